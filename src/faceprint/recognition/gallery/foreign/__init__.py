"""Embeddings of other programs as records of an export: from files, databases and dumps."""
