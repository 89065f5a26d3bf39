"""The service: the Python API over HTTP, and a page for people (extra `server`)."""
