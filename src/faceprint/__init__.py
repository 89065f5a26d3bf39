"""Face recognition on ONNX models: find faces, compare two, search a gallery, sort an album.

>>> import faceprint
>>> faceprint.verify("a.jpg", "b.jpg").is_match  # doctest: +SKIP
True

Public names are loaded when they are first used (PEP 562): importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from faceprint import errors
from faceprint.errors import *  # noqa: F403 - the whole tree is public

if TYPE_CHECKING:
    from faceprint.client.client import Client
    from faceprint.recognition.albums.corrections import Corrections, FaceKey
    from faceprint.recognition.albums.corrections_file import read_corrections
    from faceprint.recognition.albums.people import Album, AlbumFace, MissingPhotograph, Person
    from faceprint.recognition.cluster import cluster
    from faceprint.recognition.find import Sighting, find
    from faceprint.recognition.gallery import (
        Consent,
        Enrolled,
        EnrollOptions,
        FaceAt,
        Key,
        ModelPin,
        Policy,
        Skipped,
        SourceTable,
        Subject,
        folder_pairs,
        new_key,
    )
    from faceprint.recognition.gallery.analyzer import Analyzer
    from faceprint.recognition.gallery.audit import AuditReport
    from faceprint.recognition.gallery.gallery import Gallery
    from faceprint.recognition.gallery.merging import Merged
    from faceprint.recognition.gallery.migration import Migration
    from faceprint.recognition.gallery.privacy import Removable
    from faceprint.recognition.gallery.records import AuditEntry, Header, TemplateRow
    from faceprint.recognition.gallery.transfer import Imported
    from faceprint.recognition.thresholds.merge_threshold import MergeThreshold
    from faceprint.recognition.thresholds.min_quality import QualityFilter
    from faceprint.recognition.verify import verify
    from faceprint.similarity import compare
    from faceprint.types import (
        AnalyzedImage,
        Detections,
        Embedding,
        Face,
        Identification,
        Match,
        Measurement,
        OperatingPoint,
        Quality,
        Verification,
    )
    from faceprint.video.analyze import analyze_video
    from faceprint.video.marks import MarkedFrame
    from faceprint.video.options import VideoOptions, VideoProgress
    from faceprint.video.people import TrackPeople, TrackPerson, cluster_tracks
    from faceprint.video.track import Track
    from faceprint.video.track_rate import TrackMeasurement, TrackRate
    from faceprint.vision.analyzer import FaceAnalyzer, FacePrint, load
    from faceprint.vision.embed import VectorEmbedder
    from faceprint.vision.images import decode
    from faceprint.vision.limits import ImageLimits
    from faceprint.vision.load import Detector
    from faceprint.vision.mipmaps import Mipmaps
    from faceprint.vision.search_report import SearchReport
    from faceprint.zoo.card import (
        Alignment,
        ArchiveMember,
        CardOperatingPoint,
        InputContract,
        License,
        ModelCard,
        ModelFile,
        PublishedFigure,
        QualityMeasure,
    )

__version__ = "0.1.0"

_HOMES = {
    "Album": "faceprint.recognition.albums.people",
    "AlbumFace": "faceprint.recognition.albums.people",
    "Alignment": "faceprint.zoo.card",
    "AnalyzedImage": "faceprint.types",
    "Analyzer": "faceprint.recognition.gallery.analyzer",
    "ArchiveMember": "faceprint.zoo.card",
    "AuditEntry": "faceprint.recognition.gallery.records",
    "AuditReport": "faceprint.recognition.gallery.audit",
    "CardOperatingPoint": "faceprint.zoo.card",
    "Client": "faceprint.client.client",
    "Consent": "faceprint.recognition.gallery",
    "Corrections": "faceprint.recognition.albums.corrections",
    "Detections": "faceprint.types",
    "Detector": "faceprint.vision.load",
    "Embedding": "faceprint.types",
    "EnrollOptions": "faceprint.recognition.gallery",
    "Enrolled": "faceprint.recognition.gallery",
    "Face": "faceprint.types",
    "FaceAnalyzer": "faceprint.vision.analyzer",
    "FaceAt": "faceprint.recognition.gallery",
    "FaceKey": "faceprint.recognition.albums.corrections",
    "FacePrint": "faceprint.vision.analyzer",
    "Gallery": "faceprint.recognition.gallery.gallery",
    "Header": "faceprint.recognition.gallery.records",
    "Identification": "faceprint.types",
    "ImageLimits": "faceprint.vision.limits",
    "Imported": "faceprint.recognition.gallery.transfer",
    "InputContract": "faceprint.zoo.card",
    "Key": "faceprint.recognition.gallery",
    "License": "faceprint.zoo.card",
    "MarkedFrame": "faceprint.video.marks",
    "Match": "faceprint.types",
    "Measurement": "faceprint.types",
    "MergeThreshold": "faceprint.recognition.thresholds.merge_threshold",
    "Merged": "faceprint.recognition.gallery.merging",
    "Migration": "faceprint.recognition.gallery.migration",
    "Mipmaps": "faceprint.vision.mipmaps",
    "MissingPhotograph": "faceprint.recognition.albums.people",
    "ModelCard": "faceprint.zoo.card",
    "ModelFile": "faceprint.zoo.card",
    "ModelPin": "faceprint.recognition.gallery",
    "OperatingPoint": "faceprint.types",
    "Person": "faceprint.recognition.albums.people",
    "Policy": "faceprint.recognition.gallery",
    "PublishedFigure": "faceprint.zoo.card",
    "Quality": "faceprint.types",
    "QualityFilter": "faceprint.recognition.thresholds.min_quality",
    "QualityMeasure": "faceprint.zoo.card",
    "Removable": "faceprint.recognition.gallery.privacy",
    "SearchReport": "faceprint.vision.search_report",
    "Sighting": "faceprint.recognition.find",
    "Skipped": "faceprint.recognition.gallery",
    "SourceTable": "faceprint.recognition.gallery",
    "Subject": "faceprint.recognition.gallery",
    "TemplateRow": "faceprint.recognition.gallery.records",
    "Track": "faceprint.video.track",
    "TrackMeasurement": "faceprint.video.track_rate",
    "TrackPeople": "faceprint.video.people",
    "TrackPerson": "faceprint.video.people",
    "TrackRate": "faceprint.video.track_rate",
    "VectorEmbedder": "faceprint.vision.embed",
    "Verification": "faceprint.types",
    "VideoOptions": "faceprint.video.options",
    "VideoProgress": "faceprint.video.options",
    "analyze_video": "faceprint.video.analyze",
    "cluster": "faceprint.recognition.cluster",
    "cluster_tracks": "faceprint.video.people",
    "compare": "faceprint.similarity",
    "decode": "faceprint.vision.images",
    "find": "faceprint.recognition.find",
    "folder_pairs": "faceprint.recognition.gallery",
    "load": "faceprint.vision.analyzer",
    "new_key": "faceprint.recognition.gallery",
    "read_corrections": "faceprint.recognition.albums.corrections_file",
    "verify": "faceprint.recognition.verify",
}
"""The module of each public name; it is imported when the name is first used."""

__all__ = [
    "Album",
    "AlbumFace",
    "Alignment",
    "AnalyzedImage",
    "Analyzer",
    "ArchiveMember",
    "AuditEntry",
    "AuditReport",
    "CardOperatingPoint",
    "Client",
    "Consent",
    "Corrections",
    "Detections",
    "Detector",
    "Embedding",
    "EnrollOptions",
    "Enrolled",
    "Face",
    "FaceAnalyzer",
    "FaceAt",
    "FaceKey",
    "FacePrint",
    "Gallery",
    "Header",
    "Identification",
    "ImageLimits",
    "Imported",
    "InputContract",
    "Key",
    "License",
    "MarkedFrame",
    "Match",
    "Measurement",
    "MergeThreshold",
    "Merged",
    "Migration",
    "Mipmaps",
    "MissingPhotograph",
    "ModelCard",
    "ModelFile",
    "ModelPin",
    "OperatingPoint",
    "Person",
    "Policy",
    "PublishedFigure",
    "Quality",
    "QualityFilter",
    "QualityMeasure",
    "Removable",
    "SearchReport",
    "Sighting",
    "Skipped",
    "SourceTable",
    "Subject",
    "TemplateRow",
    "Track",
    "TrackMeasurement",
    "TrackPeople",
    "TrackPerson",
    "TrackRate",
    "VectorEmbedder",
    "Verification",
    "VideoOptions",
    "VideoProgress",
    "__version__",
    "analyze_video",
    "cluster",
    "cluster_tracks",
    "compare",
    "decode",
    "find",
    "folder_pairs",
    "load",
    "new_key",
    "read_corrections",
    "verify",
]
__all__ += errors.__all__


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'faceprint' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
