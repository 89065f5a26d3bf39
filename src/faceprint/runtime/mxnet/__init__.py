"""Apache MXNet 1.9.1, the runtime of the 2018 article, in an environment and process of its own."""
