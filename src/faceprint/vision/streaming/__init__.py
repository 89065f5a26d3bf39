"""Streams of photographs, analyzed in order on several threads and worker processes."""
