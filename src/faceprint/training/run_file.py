"""The run file: one TOML file that determines a training run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from faceprint.errors import UsageError
from faceprint.training.distill_table import Distill
from faceprint.training.finetune_table import Finetune
from faceprint.training.network_names import LOSSES, NETWORKS, PRUNED, TIMM
from faceprint.training.typed_toml import read_toml

__all__ = [
    "Augmentation",
    "Data",
    "Distill",
    "Loss",
    "Network",
    "RunFile",
    "Schedule",
    "Validation",
    "read_run_file",
]

OPTIMIZERS = ("sgd", "adamw")
DECAYS = ("polynomial", "cosine", "constant")
PRECISIONS = ("float32", "bfloat16")
SAMPLINGS = ("people", "photographs")
PROTOCOLS = ("lfw", "bin", "pairs")


@dataclass(frozen=True, slots=True)
class Data:
    """Table `data`: what is trained on. Paths are relative to the run file.

    Attributes:
        folder: one folder per person, a Parquet table, or a RecordIO pack of aligned crops.
        store: the crop store.
        against: evaluation sets, as `folder`; shared people are refused.
        exclude: patterns of people and photographs to leave out.
        aligned: the pictures are crops of 112x112.
        clean: leave out near-duplicates and outliers.
        fewest: people with fewer photographs are left out.
        sampling: `people`: everybody is seen equally often; `photographs`: every photograph.
        pack, detector, embedder: models that find faces and clean; None as elsewhere.
    """

    folder: Path
    store: Path
    against: tuple[Path, ...] = ()
    exclude: tuple[str, ...] = ()
    aligned: bool = False
    clean: bool = True
    fewest: int = 2
    sampling: str = "people"
    pack: str | None = None
    detector: str | None = None
    embedder: str | None = None


@dataclass(frozen=True, slots=True)
class Network:
    """Table `network`; see `networks.build`. `initial` is a state dict to start from."""

    name: str = "iresnet50"
    dim: int = 512
    width: float = 1.0
    dropout: float = 0.0
    initial: Path | None = None


@dataclass(frozen=True, slots=True)
class Loss:
    """Table `loss`; see `margins` and `head`. `margin` is the paper's when None."""

    name: str = "arcface"
    margin: float | None = None
    scale: float = 64.0
    sample_rate: float = 1.0


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Table `augmentation`: the probability of each change of a crop.

    Attributes:
        sides: low resolution shrinks crops to a side from the first number to below the second.
    """

    flip: float = 0.5
    color: float = 0.0
    blur: float = 0.0
    jpeg: float = 0.0
    low_resolution: float = 0.0
    mask: float = 0.0
    glasses: float = 0.0
    sides: tuple[int, ...] = (18, 84)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Table `schedule`.

    Attributes:
        batch: crops per forward pass.
        accumulation: passes per update.
        rate: highest learning rate, after the warm-up.
        optimizer: of the network; `sgd`, or `adamw`, whose rate is relative to each weight's size.
            Class centers are always updated by `sgd`.
        decay: to zero at the end, by a square or half a cosine; or `constant`.
        clip: longest gradient of the network.
        checkpoint_every: updates between two checkpoints.
        log_every: updates between two lines of the log.
        workers: threads that read and augment.
        tensorboard: write the log as curves of TensorBoard too.
    """

    epochs: int = 20
    optimizer: str = "sgd"
    batch: int = 128
    accumulation: int = 1
    rate: float = 0.1
    warmup_epochs: float = 1.0
    decay: str = "polynomial"
    momentum: float = 0.9
    weight_decay: float = 5e-4
    clip: float = 5.0
    precision: str = "float32"
    device: str = "cpu"
    threads: int | None = None
    workers: int = 2
    checkpoint_every: int = 1000
    log_every: int = 50
    tensorboard: bool = False


@dataclass(frozen=True, slots=True)
class Validation:
    """Table `validation`: labeled pairs, measured as by `faceprint evaluate`.

    Attributes:
        path: as the PATH of `evaluate`.
        pairs: as its --pairs.
        aligned: as its --aligned.
        every: epochs between two measurements.
    """

    path: Path
    protocol: str = "lfw"
    pairs: Path | None = None
    aligned: bool = False
    every: int = 1


@dataclass(frozen=True, slots=True)
class RunFile:
    """A whole run file.

    Attributes:
        out: folder for the checkpoint, the log and validation.
        seed: of everything random.
        finetune: None trains `network` from its own start.
    """

    data: Data
    out: Path
    seed: int = 0
    network: Network = field(default_factory=Network)
    loss: Loss = field(default_factory=Loss)
    augmentation: Augmentation = field(default_factory=Augmentation)
    schedule: Schedule = field(default_factory=Schedule)
    validation: Validation | None = None
    distill: Distill | None = None
    finetune: Finetune | None = None


def read_run_file(path: Path) -> RunFile:
    """Read and check a run file.

    Raises:
        UsageError: not readable, not TOML, an unknown key, or a value of another kind or out of
            range; names the key.
    """
    run: RunFile = read_toml(RunFile, path)
    for problem in _problems(run):
        raise UsageError(f"{path}: {problem}")
    return run


def _problems(run: RunFile) -> Iterator[str]:
    """What is out of range."""
    schedule, shares = run.schedule, dataclasses.asdict(run.augmentation)
    name, networks = run.network.name, (*NETWORKS, PRUNED, f"{TIMM}NAME")
    for key, value, allowed in (
        ("network.name", networks[-1] if name.startswith(TIMM) else name, networks),
        ("loss.name", run.loss.name, LOSSES),
        ("data.sampling", run.data.sampling, SAMPLINGS),
        ("schedule.decay", schedule.decay, DECAYS),
        ("schedule.precision", schedule.precision, PRECISIONS),
        ("schedule.optimizer", schedule.optimizer, OPTIMIZERS),
        ("validation.protocol", run.validation and run.validation.protocol, (*PROTOCOLS, None)),
    ):
        if value not in allowed:
            known = ", ".join(each for each in allowed if each)
            yield f"{key} is {value!r}; it must be one of {known}"
    sides = shares.pop("sides")
    if len(sides) != 2 or not 1 <= sides[0] < sides[1] <= 113:
        yield "augmentation.sides must be two rising numbers from 1 to 113"
    for key, share in shares.items():
        if not 0 <= share <= 1:
            yield f"augmentation.{key} is {share:g}; a probability lies in 0..1"
    if schedule.batch < 2:
        yield "schedule.batch is below 2, which batch normalization needs"
    for key in ("epochs", "accumulation", "checkpoint_every", "log_every", "workers"):
        if getattr(schedule, key) < 1:
            yield f"schedule.{key} is below 1"
    for key in ("rate", "clip"):
        if not getattr(schedule, key) > 0:
            yield f"schedule.{key} must be above 0"
    for key in ("warmup_epochs", "momentum", "weight_decay"):
        if not getattr(schedule, key) >= 0:
            yield f"schedule.{key} must not be negative"
    if not 0 < run.loss.sample_rate <= 1:
        yield "loss.sample_rate lies above 0 and is at most 1"
    if not run.loss.scale > 0:
        yield "loss.scale must be above 0"
    if run.seed < 0:
        yield "seed must not be negative"
    if run.finetune is not None:
        yield from run.finetune.problems()
    if run.validation is not None and run.validation.every < 1:
        yield "validation.every is below 1"
    if name == PRUNED and not (run.distill is not None and 0 < run.network.width < 1):
        yield "network.name 'pruned' is a smaller teacher: it needs distill and a width below 1"
    if run.distill is not None:
        yield from run.distill.problems()
        if run.loss != Loss() or run.data.against:
            yield "loss and data.against are for people with names, and distill has none"
        if run.finetune is not None:
            yield "a run has the table finetune or distill, not both"
