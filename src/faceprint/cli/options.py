"""Options that several commands share, and the decorator that gives a command its models."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from faceprint import settings
from faceprint.cli import completion
from faceprint.cli.output import note

if TYPE_CHECKING:
    from faceprint.runtime.session import RuntimeOptions
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = [
    "MODELS",
    "SESSION",
    "STREAM",
    "Calibration",
    "Engine",
    "Exclude",
    "Fpir",
    "Json",
    "MinQuality",
    "ModelOptions",
    "Photographs",
    "Threshold",
    "with_model_options",
]

MODELS = ("pack", "detector", "embedder", "runtime", "device", "threads", "accept_license")
"""Options of a command that looks at a few photographs."""

STREAM = (*MODELS, "processes")
"""Options of a command that looks at many photographs."""

SESSION = ("runtime", "device", "threads")
"""Options of a command that opens a graph of its own."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
MinQuality = Annotated[
    float | None,
    typer.Option(
        "--min-quality",
        metavar="X",
        min=0,
        max=1,
        help="Do not decide on faces below this quality; 0 decides on all. [the embedder's limit]",
    ),
]
Calibration = Annotated[
    str | None,
    typer.Option(
        "--calibration",
        metavar="NAME",
        help="Operating points that calibrate measured.",
        autocompletion=completion.calibrations,
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="NAME",
        help="local (this machine) or ray (a cluster).",
        autocompletion=completion.choices("local", "ray"),
    ),
]
Fpir = Annotated[
    float | None,
    typer.Option("--fpir", help="Share of strangers that may be identified as somebody. [1e-2]"),
]
Threshold = Annotated[
    float | None, typer.Option("--threshold", help="Use this cosine similarity instead.")
]
Photographs = Annotated[
    list[Path], typer.Argument(metavar="IMG...", help="Photographs, and folders of them.")
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude",
        metavar="PATTERN",
        help="Skip names ('*.png') or paths ('raw/*') in folders; repeatable.",
    ),
]


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Which models a command runs, and how. Each field is the option of that name."""

    pack: Annotated[
        str | None,
        typer.Option(
            "--pack",
            metavar="NAME",
            help="A detector and an embedder. [starter]",
            autocompletion=completion.pack_names,
        ),
    ] = None
    detector: Annotated[
        str | None,
        typer.Option(
            "--detector",
            metavar="ID",
            help="Use this detector, not the pack's.",
            autocompletion=completion.detectors,
        ),
    ] = None
    embedder: Annotated[
        str | None,
        typer.Option(
            "--embedder",
            metavar="ID",
            help="Use this embedder, not the pack's.",
            autocompletion=completion.embedders,
        ),
    ] = None
    runtime: Annotated[
        str | None,
        typer.Option(
            "--runtime",
            metavar="NAME",
            help="onnxruntime, openvino, pytorch, opencv or mxnet. [onnxruntime]",
            autocompletion=completion.choices(*completion.RUNTIMES),
        ),
    ] = None
    device: Annotated[
        str | None,
        typer.Option(
            "--device",
            metavar="NAME",
            help="cpu, auto, cuda, cuda:1, coreml, mps ..., as the runtime has them. [cpu]",
            autocompletion=completion.choices(*completion.DEVICES),
        ),
    ] = None
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads",
            metavar="N",
            min=1,
            max=1024,
            help="Number of threads. [all available cores]",
        ),
    ] = None
    processes: Annotated[
        int | None,
        typer.Option(
            "--processes",
            metavar="N",
            min=1,
            max=1024,
            help="Number of processes that share the photographs. [one per two threads]",
        ),
    ] = None
    accept_license: Annotated[
        bool, typer.Option("--accept-license", help="Accept the licenses of the models.")
    ] = False

    def preferring(self, embedder: str, detector: str = "") -> ModelOptions:
        """With the models that made a file, where the user named none.

        Args:
            embedder: its id; empty if unknown. An option of the user goes first, but
                FACEPRINT_PACK does not.
            detector: its id; empty for that of the pack with this embedder.
        """
        if not embedder or self.pack is not None or self.embedder is not None:
            return self
        from faceprint.zoo import packs

        usual = settings.default_pack()
        found = sorted(
            (pack for pack in packs.all_packs() if pack.embedder == embedder),
            key=lambda pack: pack.name != usual,
        )
        fitting = self.detector or detector or None
        if found:
            return replace(self, pack=found[0].name, detector=fitting)
        return replace(self, embedder=embedder, detector=fitting)

    def load(self, *, mirror: bool = False) -> FaceAnalyzer:
        """The models; `mirror` averages each embedding with its mirror image's."""
        from faceprint.vision.analyzer import load

        return load(
            self.pack,
            detector=self.detector,
            embedder=self.embedder,
            runtime=self.runtime,
            device=self.chosen_device(),
            threads=self.threads,
            processes=self.processes,
            accept_license=self.accept_license,
            mirror=mirror,
        )

    def session(self) -> RuntimeOptions:
        """How a single graph is run."""
        from faceprint.runtime.session import RuntimeOptions

        return RuntimeOptions(threads=self.threads, device=self.chosen_device())

    def chosen_device(self) -> str:
        """The device by `--device` and FACEPRINT_DEVICE; what `auto` found is said on stderr."""
        from faceprint.vision.device_choice import choose_device

        chosen = choose_device(self.device, self.runtime)
        if (self.device or settings.default_device()) == "auto":
            _say_device(chosen)
        return chosen


@functools.cache
def _say_device(chosen: str) -> None:
    """Say it once."""
    note(f"device auto: {chosen}")


def with_model_options(*names: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Replace a command's parameter `models: ModelOptions` by the options of these names.

    Args:
        names: fields of `ModelOptions`; a field without an option keeps its default, and
            `processes` is then 1.
    """
    kinds = get_type_hints(ModelOptions, include_extras=True)
    defaults = {field.name: field.default for field in fields(ModelOptions)}
    chosen = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=defaults[name], annotation=kinds[name]
        )
        for name in names
    ]

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(command)
        def run(*args: Any, **given: Any) -> int:
            picked = {name: given.pop(name) for name in names if name in given}
            return command(*args, **given, models=ModelOptions(**{"processes": 1} | picked))

        hints = get_type_hints(command, include_extras=True)
        signature = inspect.signature(command)
        kept = [
            item.replace(annotation=hints[name])
            for name, item in signature.parameters.items()
            if name != "models"
        ]
        parameters = [*kept, *chosen]
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {item.name: item.annotation for item in parameters}
        return run

    return decorate
