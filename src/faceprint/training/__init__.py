"""Make models: train them, and quantize them to int8."""
