"""Comparing, searching and sorting faces."""
