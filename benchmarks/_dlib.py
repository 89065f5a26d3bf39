"""dlib driven as `face_recognition` 1.3 drives it: HOG detector, five-point predictor, ResNet."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import dlib
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def model_file(name: str) -> Path:
    """A weight file of the distribution `face_recognition_models`."""
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or spec.origin is None:
        raise SystemExit("this benchmark needs: pip install dlib-bin face_recognition_models")
    return Path(spec.origin).parent / "models" / name


class DlibPipeline:
    """Photograph to 128-d embedding."""

    def __init__(self) -> None:
        self.detector = dlib.get_frontal_face_detector()
        self.predictor = dlib.shape_predictor(
            str(model_file("shape_predictor_5_face_landmarks.dat"))
        )
        self.network = dlib.face_recognition_model_v1(
            str(model_file("dlib_face_recognition_resnet_model_v1.dat"))
        )

    def boxes(self, image: Image, upsample: int = 1) -> list[Any]:
        """dlib rectangles; `face_recognition` upsamples once."""
        return list(self.detector(image, upsample))

    def chip(self, image: Image, box: Any) -> Image:
        """The aligned (150, 150, 3) crop the network sees."""
        return np.asarray(dlib.get_face_chip(image, self.predictor(image, box), 150, 0.25))

    def embed(self, chip: Image) -> NDArray[np.float64]:
        """(128,) descriptor of an aligned crop."""
        return np.asarray(self.network.compute_face_descriptor(chip))

    def faces(self, image: Image) -> list[tuple[Any, NDArray[np.float64]]]:
        """Rectangle and descriptor of each face, as `face_recognition.face_encodings` has them."""
        found = []
        for box in self.boxes(image):
            shape = self.predictor(image, box)
            found.append((box, np.asarray(self.network.compute_face_descriptor(image, shape))))
        return found

    def embed_image(self, image: Image) -> list[NDArray[np.float64]]:
        """What `face_recognition.face_encodings(image, face_locations(image))` does."""
        return [vector for _, vector in self.faces(image)]

    def central_chip(self, image: Image) -> tuple[Image, bool]:
        """The chip of the face nearest the middle, and whether a face was found at all.

        Tries one upsampling, then two; a photograph without a detection is cut around its middle,
        so that every pair counts.
        """
        height, width = image.shape[:2]
        for upsample in (1, 2):
            boxes = self.boxes(image, upsample)
            if boxes:
                best = min(
                    boxes,
                    key=lambda b: abs(b.center().x - width / 2) + abs(b.center().y - height / 2),
                )
                return self.chip(image, best), True
        side = min(width, height) // 4
        x, y = width // 2, height // 2
        return self.chip(image, dlib.rectangle(x - side, y - side, x + side, y + side)), False
