"""A valid card of a user, as the tests start from."""

SHA = "0123456789abcdef" * 4
CARD = f"""
id = "my-model"
task = "embed"
decoder = "vector"
title = "Mine"
dim = 128

[license]
weights = "MIT"
commercial_use = "yes"

[input]
width = 112
height = 112
color = "RGB"
mean = [127.5, 127.5, 127.5]
std = [128, 128, 128]

[alignment]
template = "arcface-112"

[[files]]
name = "mine.onnx"
sha256 = "{SHA}"
size = 10
urls = ["https://example.org/mine.onnx"]
"""
