"""`python -m faceprint` is `faceprint`."""

from faceprint.cli.app import main

if __name__ == "__main__":
    main()
