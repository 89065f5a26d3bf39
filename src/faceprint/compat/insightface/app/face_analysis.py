"""Find and embed the faces of photographs, with the names and arguments of insightface 2.1."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

import numpy as np

from faceprint import settings
from faceprint._onnxruntime import onnxruntime
from faceprint.compat.bgr import bgr_to_rgb
from faceprint.compat.insightface.detection import Detection, sizes_of
from faceprint.compat.insightface.face import Face
from faceprint.compat.insightface.packs import cards_of
from faceprint.compat.insightface.recognition import Recognition
from faceprint.errors import UsageError
from faceprint.types import Image
from faceprint.vision.analyzer import FaceAnalyzer
from faceprint.vision.device_choice import choose_device
from faceprint.vision.draw import draw_faces
from faceprint.vision.load import LoadOptions
from faceprint.zoo import store

__all__ = ["FaceAnalysis"]

_TASKS = ("detection", "recognition")
_DEVICES = {
    "CUDAExecutionProvider": "cuda",
    "CoreMLExecutionProvider": "coreml",
    "OpenVINOExecutionProvider": "openvino",
    "CPUExecutionProvider": "cpu",
}


class FaceAnalysis:
    """A detector and a recognizer.

    Args:
        name: `buffalo_l`, `buffalo_m`, `buffalo_s` or `buffalo_sc`.
        root: accepted, not used: models come from the store (docs/models.md).
        allowed_modules: some of `detection` and `recognition`; None for both.
        providers: ONNX Runtime's providers by preference; None for FACEPRINT_DEVICE, else the CPU.
        accept_license: accept the models' licenses, as FACEPRINT_ACCEPT_LICENSE does.
        uncovered: other arguments of insightface's.

    Raises:
        UsageError: a pack, module, provider or argument that is not covered.
        LicenseNotAcceptedError: InsightFace's models are for non-commercial research.
        ModelMissingError: a model that is not here and can't be downloaded.
    """

    def __init__(
        self,
        name: str | os.PathLike[str] = "buffalo_l",
        root: str | os.PathLike[str] = "~/.insightface",
        allowed_modules: Collection[str] | None = None,
        *,
        providers: Sequence[object] | None = None,
        accept_license: bool = False,
        **uncovered: object,
    ) -> None:
        given = ", ".join(key for key, value in uncovered.items() if value)
        if given:
            raise UsageError(
                f"not covered: {given}; FACEPRINT_THREADS and FACEPRINT_DEVICE set cores and device"
            )
        tasks = set(_TASKS if allowed_modules is None else allowed_modules)
        if not {"detection"} <= tasks <= set(_TASKS):
            raise UsageError(
                f"allowed_modules is {allowed_modules!r}, not 'detection' with or without "
                "'recognition'; others are not covered"
            )
        detector, embedder = cards_of(name)
        self._name, self._cards = str(name), (detector, embedder)
        self._recognizes = "recognition" in tasks
        self._device, self._accept = _device(providers), accept_license
        for card in self._cards if self._recognizes else (detector,):
            store.ensure(card, accept_license=accept_license)
        self.models: dict[str, Detection | Recognition] = {}

    def prepare(self, ctx_id: int = 0, det_thresh: float = 0.5, det_size: object = None) -> None:
        """Open the models.

        Args:
            ctx_id: below 0 for the CPU; else the device that `providers` names.
            det_thresh: lowest score of a face.
            det_size: (width, height) of the canvas to search, or several of them; None for
                (128, 128) and (640, 640), as in insightface 2.1.

        Raises:
            UsageError: a `det_size` that is none, or a threshold outside 0..1.
        """
        if not 0 <= det_thresh <= 1:
            raise UsageError(f"det_thresh is {det_thresh}, not from 0 to 1")
        sizes = sizes_of(det_size)
        device = "cpu" if ctx_id < 0 else self._device
        options = LoadOptions(device=device, accept_license=self._accept)
        self.det_thresh, self.det_size = det_thresh, det_size
        analyzer = FaceAnalyzer(self._name, *self._cards, options)
        self.det_model = Detection(analyzer, det_thresh, sizes)
        self.models = {"detection": self.det_model}
        if self._recognizes:
            self.models["recognition"] = Recognition(analyzer)

    def get(self, img: Image, max_num: int = 0, det_metric: str = "default") -> list[Face]:
        """The faces of a photograph, most confident first.

        Args:
            img: (H, W, 3) BGR uint8, as `cv2.imread` gives it.
            max_num: most faces to return; 0 for all.
            det_metric: which those are: `max` for the largest, `default` for large ones near the
                middle.

        Raises:
            UsageError: `prepare` was not called, or another array.
        """
        if not self.models:
            raise UsageError("call prepare(ctx_id=0) before get()")
        image = bgr_to_rgb(img)
        found = self.det_model.find(image, None, max_num, det_metric)
        assert found.landmarks is not None
        faces = [
            Face(bbox=box, kps=points, det_score=score)
            for box, points, score in zip(found.boxes, found.landmarks, found.scores, strict=True)
        ]
        recognition = self.models.get("recognition")
        if isinstance(recognition, Recognition) and faces:
            for face, embedding in zip(
                faces, recognition.embed(image, list(found.landmarks)), strict=True
            ):
                face.embedding = embedding
        return faces

    def draw_on(self, img: Image, faces: Sequence[Face]) -> Image:
        """A copy of a BGR image with boxes and landmarks."""
        import faceprint.faces

        drawn = draw_faces(
            bgr_to_rgb(img),
            [faceprint.faces.Face(face.bbox, float(face.det_score), face.kps) for face in faces],
        )
        return np.ascontiguousarray(drawn[:, :, ::-1])


def _device(providers: Sequence[object] | None) -> str:
    """The device of the first provider that is covered and installed."""
    if providers is None or settings.default_runtime() != "onnxruntime":
        return choose_device()
    names = [str(each[0] if isinstance(each, tuple) else each) for each in providers]
    available = onnxruntime.get_available_providers()
    for name in names:
        if name in _DEVICES and name in available:
            return _DEVICES[name]
    raise UsageError(
        f"providers are {names}: none of them is covered and installed; "
        f"covered are {', '.join(_DEVICES)}"
    )
