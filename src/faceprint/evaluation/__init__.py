"""Data sets, protocols, metrics, calibration and reports: where every threshold comes from."""
