"""Faces over time: video files, cameras and network streams."""
