"""Makes models out of models: so far, int8 out of float32."""
