"""Sorting the faces of an album into people, and keeping what its owner corrected."""
