"""insightface behind FastAPI, as its users write it: `FaceAnalysis.get` in the threads of FastAPI.

PACK=folder SIDE=320 THREADS=1 uvicorn service_insightface:app
"""

import os
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import cv2
import numpy as np
from fastapi import FastAPI, UploadFile
from peer_insightface import open_app

analysis = open_app(
    {"pack": os.environ["PACK"], "side": int(os.environ["SIDE"])}, int(os.environ["THREADS"])
)
app = FastAPI()


@app.post("/faces")
def faces(image: UploadFile) -> list[dict[str, Any]]:
    """Boxes, scores and embeddings of a photograph."""
    pixels = cv2.imdecode(np.frombuffer(image.file.read(), np.uint8), cv2.IMREAD_COLOR)
    return [
        {
            "box": face.bbox.tolist(),
            "score": float(face.det_score),
            "embedding": face.normed_embedding.tolist(),
        }
        for face in analysis.get(pixels)
    ]
