"""A program for deepface 0.0.103; the drop-in runs it with one import line changed.

    python deepface_script.py FOLDER_OF_PHOTOGRAPHS FOLDER_TO_SEARCH

Verifies pairs and finds faces in a folder. It prints JSON.
"""

import itertools
import json
import sys
from pathlib import Path

from deepface import DeepFace

pairs, found, represented = [], [], []
for detector, most in (("yunet", 6), ("mtcnn", 3)):
    photographs = sorted(Path(sys.argv[1]).glob("*.jpg"))[:most]
    for a, b in itertools.combinations(photographs, 2):
        answer = DeepFace.verify(
            img1_path=str(a),
            img2_path=str(b),
            model_name="Dlib",
            detector_backend=detector,
            enforce_detection=False,
            silent=True,
        )
        areas = [answer["facial_areas"][key] for key in ("img1", "img2")]
        pairs.append(
            {
                "pair": [detector, a.name, b.name],
                "verified": bool(answer["verified"]),
                "distance": answer["distance"],
                "threshold": answer["threshold"],
                "boxes": [[area[side] for side in "xywh"] for area in areas],
                "eyes": [[*area["left_eye"], *area["right_eye"]] for area in areas],
            }
        )
    for photograph in photographs:
        frames = DeepFace.find(
            img_path=str(photograph),
            db_path=sys.argv[2],
            model_name="Dlib",
            detector_backend=detector,
            enforce_detection=False,
            silent=True,
            return_type="dict",
        )
        for rows in frames:
            faces = {Path(row["identity"]).relative_to(sys.argv[2]).as_posix() for row in rows}
            distances = sorted(round(float(row["distance"]), 6) for row in rows)
            found.append([detector, photograph.name, sorted(faces), distances])
    faces = DeepFace.extract_faces(str(photographs[0]), detector_backend=detector)
    assert faces[0]["face"].max() <= 1
    for metric in ("euclidean", "euclidean_l2", "angular"):
        answer = DeepFace.verify(
            *map(str, photographs[:2]), "Dlib", detector, distance_metric=metric, silent=True
        )
        represented.append([detector, metric, answer["distance"], answer["threshold"]])
print(json.dumps({"pairs": pairs, "found": found, "metrics": represented}))
