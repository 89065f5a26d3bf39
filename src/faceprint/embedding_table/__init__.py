"""Tables of embeddings, in memory and as Parquet or npz files."""
