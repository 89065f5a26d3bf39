"""Runtimes: one file each behind the `Session` protocol."""
