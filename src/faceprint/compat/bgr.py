"""Images with OpenCV's order of channels, as insightface and deepface take them."""

from __future__ import annotations

import numpy as np

from faceprint.errors import InvalidImageArrayError
from faceprint.types import Image, check_image
from faceprint.vision.images import decode

__all__ = ["bgr_to_rgb"]


def bgr_to_rgb(image: object) -> Image:
    """(H, W, 3) BGR uint8 as contiguous RGB.

    Raises:
        InvalidImageArrayError: another type, shape or dtype.
        ImageTooLargeError: over the limit on pixels.
    """
    if image is None:
        raise InvalidImageArrayError(
            "the image is None, which cv2.imread gives for a file that it can't read"
        )
    return decode(np.ascontiguousarray(check_image(image)[:, :, ::-1]))
