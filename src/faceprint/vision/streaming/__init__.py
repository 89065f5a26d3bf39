"""Photographs as a stream: an ordered map over threads and worker processes."""
