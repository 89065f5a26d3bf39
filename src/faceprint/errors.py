"""Every error that faceprint raises on purpose, drawn as one tree.

FaceprintError
├── UsageError (ValueError)               a call or option that cannot be meant
│   └── InvalidImageArrayError            an array that is not RGB uint8 (H, W, 3)
├── InputError (ValueError)               an input that cannot be used
│   ├── DecodeError                       not an image, truncated, or lying about itself
│   │   ├── ImageTooLargeError            over the pixel or byte limit, refused before decoding
│   │   └── SourceNotFoundError           (also FileNotFoundError)
│   ├── NoFaceError                       a face was needed and none was found
│   ├── SeveralFacesError                 one face was asked for and more were found
│   └── DatasetError                      a data set or protocol file that does not hold together
├── ModelError (RuntimeError)
│   ├── UnknownModelError (KeyError)      no card or pack of that name
│   ├── CardError (ValueError)            a card that is not valid
│   ├── ModelMissingError                 not on this machine, and it may not or cannot be fetched
│   │   ├── DownloadError (OSError)       every address failed
│   │   └── LicenseNotAcceptedError       its license has not been accepted
│   ├── ChecksumError (ValueError)        a file whose size or sha256 is not the card's
│   ├── ModelMismatchError (ValueError)   embeddings or galleries of two different models
│   ├── NotFiniteError (ValueError)       a network gave NaN or infinity for a photograph
│   └── RuntimeUnavailableError           a runtime or device that is not the one asked for
├── MissingExtraError (ImportError)       an optional dependency that is not installed
├── ServiceError (OSError)                a service that gave no answer, or refused to
└── GalleryError (RuntimeError)
    ├── UnknownSubjectError (KeyError)
    ├── GalleryCorruptError (ValueError)  not a gallery, damaged, or hostile
    └── GalleryLockedError                encrypted without a key, or with the wrong one

The command line maps classes to exit codes in `cli/exit_codes.py`, the server to HTTP codes in
`_problems.py`.
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
        # KeyError quotes its argument; people should read the sentence itself.
        return str(self.args[0]) if self.args else ""


class UsageError(FaceprintError, ValueError):
    """A call or option that cannot be meant."""


class InvalidImageArrayError(UsageError):
    """An array that is not RGB uint8 of shape (H, W, 3)."""


class InputError(FaceprintError, ValueError):
    """An input that cannot be used."""


class DecodeError(InputError):
    """Not an image, truncated, or lying about itself."""


class ImageTooLargeError(DecodeError):
    """Over the limit on pixels or bytes; refused before any pixel is made."""


class SourceNotFoundError(DecodeError, FileNotFoundError):
    """A path that leads to no readable file."""


class NoFaceError(InputError):
    """A face was needed and none was found."""


class SeveralFacesError(InputError):
    """Exactly one face was asked for and more were found."""


class DatasetError(InputError):
    """A data set or protocol file that does not hold together."""


class ModelError(FaceprintError, RuntimeError):
    """Anything about models."""


class UnknownModelError(ModelError, KeyError):
    """No card or pack of that name."""


class CardError(ModelError, ValueError):
    """A model card that is not valid."""


class ModelMissingError(ModelError):
    """A model that is not on this machine, and may not or cannot be fetched."""


class DownloadError(ModelMissingError, OSError):
    """Every address of a file failed."""


class LicenseNotAcceptedError(ModelMissingError):
    """A model whose license has not been accepted yet."""


class ChecksumError(ModelError, ValueError):
    """A file whose size or sha256 is not the card's."""


class ModelMismatchError(ModelError, ValueError):
    """Embeddings or galleries that belong to two different models."""


class NotFiniteError(ModelError, ValueError):
    """A network gave NaN or infinity for a photograph."""


class RuntimeUnavailableError(ModelError):
    """A runtime or device that is not there, or is not the one that was asked for."""


class MissingExtraError(FaceprintError, ImportError):
    """An optional dependency that is not installed; the message names the extra."""


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
    """Anything about galleries."""


class UnknownSubjectError(GalleryError, KeyError):
    """No subject of that name in the gallery."""


class GalleryCorruptError(GalleryError, ValueError):
    """Not a gallery, damaged, or of hostile origin."""


class GalleryLockedError(GalleryError):
    """An encrypted gallery without its key, or with another one."""
