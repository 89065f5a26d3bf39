"""faceprint and its peers on the same photographs: one module a peer, one process a side.

The parent (`benchmarks/peers.py`) needs faceprint and numpy. A side's process runs in its peer's
own environment, so `serve.py`, `side.py` and each `peer_*.py` import the standard library and that
peer alone.
"""
