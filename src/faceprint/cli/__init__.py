"""The command line: parses and prints; the Python API does the work."""
