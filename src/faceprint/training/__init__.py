"""Make models from other models: int8 from float32."""
