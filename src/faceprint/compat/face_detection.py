"""`python -m faceprint.compat.face_detection` is face_recognition's command `face_detection`."""

from faceprint.compat.face_recognition.face_detection_cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main(prog_name="face_detection")
