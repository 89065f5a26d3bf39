"""Detectors: each turns raw network outputs into `Detections`."""
