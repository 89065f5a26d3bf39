"""Clustering of embeddings: arrays in, labels out; no files, no databases, no images."""
