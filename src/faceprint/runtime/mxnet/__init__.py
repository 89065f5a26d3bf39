"""Apache MXNet 1.9.1, the runtime of the 2018 article, in its own environment and process."""
