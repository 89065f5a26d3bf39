"""Nearest vectors by cosine similarity."""
