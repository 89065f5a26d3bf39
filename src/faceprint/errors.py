"""Every error that faceprint raises on purpose, drawn as one tree.

FaceprintError
├── UsageError (ValueError)               an invalid argument or combination of options
│   └── InvalidImageArrayError            an array that is not RGB uint8 (H, W, 3)
├── InputError (ValueError)               an input that cannot be used
│   ├── DecodeError                       not an image, truncated, or inconsistent
│   │   ├── ImageTooLargeError            over the pixel or byte limit, refused before decoding
│   │   └── SourceNotFoundError           (also FileNotFoundError)
│   ├── NoFaceError                       a face was needed and none was found
│   ├── SeveralFacesError                 exactly one face was needed and more were found
│   └── DatasetError                      a data set or protocol file with an error
├── ModelError (RuntimeError)
│   ├── UnknownModelError (KeyError)      no card or pack of that name
│   ├── CardError (ValueError)            an invalid model card
│   ├── ModelMissingError                 not on this machine, and not to be downloaded
│   │   ├── DownloadError (OSError)       every download address failed
│   │   └── LicenseNotAcceptedError       the license has not been accepted
│   ├── ChecksumError (ValueError)        a file whose size or sha256 differs from the card's
│   ├── ModelMismatchError (ValueError)   embeddings or galleries of two different models
│   ├── NotFiniteError (ValueError)       a network returned NaN or infinity for a photograph
│   └── RuntimeUnavailableError           the requested runtime or device is not available
├── MissingExtraError (ImportError)       an optional dependency is not installed
├── ServiceError (OSError)                no answer from a service, or a refusal
└── GalleryError (RuntimeError)
    ├── UnknownSubjectError (KeyError)
    ├── GalleryCorruptError (ValueError)  not a gallery, damaged, or tampered with
    └── GalleryLockedError                encrypted, and the key is missing or wrong

The command line maps these classes to exit codes in `cli/exit_codes.py`, the server to HTTP codes
in `_problems.py`.
"""

from __future__ import annotations

__all__ = [
    "CardError",
    "ChecksumError",
    "DatasetError",
    "DecodeError",
    "DownloadError",
    "FaceprintError",
    "GalleryCorruptError",
    "GalleryError",
    "GalleryLockedError",
    "ImageTooLargeError",
    "InputError",
    "InvalidImageArrayError",
    "LicenseNotAcceptedError",
    "MissingExtraError",
    "ModelError",
    "ModelMismatchError",
    "ModelMissingError",
    "NoFaceError",
    "NotFiniteError",
    "RuntimeUnavailableError",
    "ServiceError",
    "SeveralFacesError",
    "SourceNotFoundError",
    "UnknownModelError",
    "UnknownSubjectError",
    "UsageError",
]


class FaceprintError(Exception):
    """Base of all errors that faceprint raises on purpose."""

    def __str__(self) -> str:
        # KeyError would quote its argument.
        return str(self.args[0]) if self.args else ""


class UsageError(FaceprintError, ValueError):
    """An invalid argument or combination of options."""


class InvalidImageArrayError(UsageError):
    """An array that is not RGB uint8 of shape (H, W, 3)."""


class InputError(FaceprintError, ValueError):
    """An input that cannot be used."""


class DecodeError(InputError):
    """Not an image, truncated, or with a header that contradicts its content."""


class ImageTooLargeError(DecodeError):
    """Over the limit on pixels or bytes; refused before any pixel is decoded."""


class SourceNotFoundError(DecodeError, FileNotFoundError):
    """A path that does not lead to a readable file."""


class NoFaceError(InputError):
    """A face was needed and none was found."""


class SeveralFacesError(InputError):
    """Exactly one face was needed and more were found."""


class DatasetError(InputError):
    """A data set or protocol file with an error."""


class ModelError(FaceprintError, RuntimeError):
    """Base of the errors about models."""


class UnknownModelError(ModelError, KeyError):
    """No card or pack of that name."""


class CardError(ModelError, ValueError):
    """An invalid model card."""


class ModelMissingError(ModelError):
    """A model that is not on this machine, and cannot or must not be downloaded."""


class DownloadError(ModelMissingError, OSError):
    """Every download address of a file failed."""


class LicenseNotAcceptedError(ModelMissingError):
    """A model whose license has not been accepted."""


class ChecksumError(ModelError, ValueError):
    """A file whose size or sha256 differs from the card's."""


class ModelMismatchError(ModelError, ValueError):
    """Embeddings or galleries of two different models."""


class NotFiniteError(ModelError, ValueError):
    """A network returned NaN or infinity for a photograph."""


class RuntimeUnavailableError(ModelError):
    """The requested runtime or device is not available.

    Args:
        message: what was asked for, why it is not available, and what to do.
        reason: why, and what to do.
    """

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason or message


class MissingExtraError(FaceprintError, ImportError):
    """An optional dependency is not installed; the message names the extra."""


class ServiceError(FaceprintError, OSError):
    """A service that gave no answer, or refused: an API key, a rate, an address.

    Args:
        message: what went wrong, in words.
        status: of the HTTP answer; None where there was none.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class GalleryError(FaceprintError, RuntimeError):
    """Base of the errors about galleries."""


class UnknownSubjectError(GalleryError, KeyError):
    """No subject of that name in the gallery."""


class GalleryCorruptError(GalleryError, ValueError):
    """Not a gallery, damaged, or tampered with."""


class GalleryLockedError(GalleryError):
    """The gallery is encrypted, and the key is missing or wrong."""
