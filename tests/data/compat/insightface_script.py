"""A program for insightface 2.1; the drop-in runs it with one import line changed.

    python insightface_script.py FOLDER_OF_PHOTOGRAPHS MODEL_ROOT

Detects, embeds and compares, with the default sizes of the canvas and with one size. It prints
JSON: the faces of each photograph, and the similarities of all faces.
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
from insightface.app import FaceAnalysis

app = FaceAnalysis(name="buffalo_sc", root=sys.argv[2], providers=["CPUExecutionProvider"])
runs = []
for det_size in (None, (640, 640)):
    app.prepare(ctx_id=0, det_thresh=0.5, det_size=det_size)
    photographs, embeddings = {}, []
    for path in sorted(Path(sys.argv[1]).rglob("*")):
        if path.suffix not in (".jpg", ".png"):
            continue
        faces = app.get(cv2.imread(str(path)))
        photographs[path.relative_to(sys.argv[1]).as_posix()] = [
            {
                "box": [round(float(edge), 2) for edge in face.bbox],
                "kps": [[round(float(x), 2), round(float(y), 2)] for x, y in face["kps"]],
                "score": round(float(face.det_score), 4),
                "norm": round(float(face.embedding_norm), 3),
            }
            for face in faces
        ]
        embeddings += [face.normed_embedding for face in faces]
        if faces:
            largest = app.get(cv2.imread(str(path)), max_num=1)
            assert len(largest) == 1 and largest[0].embedding.shape == (512,)
    similarities = np.stack(embeddings) @ np.stack(embeddings).T
    runs.append({"photographs": photographs, "similarities": np.round(similarities, 5).tolist()})
print(json.dumps(runs))
