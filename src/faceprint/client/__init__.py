"""A client of the service, with the names of the Python API (extra `client`)."""
