"""`python -m faceprint.compat.face_recognition` is the command `face_recognition`."""

from faceprint.compat.face_recognition.face_recognition_cli import main

main(prog_name="face_recognition")
