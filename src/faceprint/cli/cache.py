"""`faceprint cache`: the embeddings that evaluations keep."""

from __future__ import annotations

import typer

from faceprint._text import counted
from faceprint.cli import options
from faceprint.cli.exit_codes import DONE
from faceprint.cli.output import note, print_json, print_table, say

__all__ = ["app"]

app = typer.Typer(
    help="The boxes and embeddings that `evaluate` and `calibrate` keep.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def show(as_json: options.Json = False) -> int:
    """List the cached files. JSON: folder, files[]: file, rows, bytes."""
    from faceprint import settings
    from faceprint.evaluation.embedding_cache import held

    folder = settings.home() / "embeddings"
    files = [{"file": path.name, "rows": rows, "bytes": size} for path, rows, size in held(folder)]
    if as_json:
        print_json({"folder": str(folder), "files": files})
        return DONE
    note(f"{folder} holds biometric data; protect it")
    print_table(("file", "rows", "bytes"), [list(file.values()) for file in files])
    return DONE


@app.command()
def clear(as_json: options.Json = False) -> int:
    """Delete the cache; the next evaluation computes it again. JSON: files (how many)."""
    from faceprint import settings
    from faceprint.evaluation.embedding_cache import clear

    count = clear(settings.home() / "embeddings")
    if as_json:
        print_json({"files": count})
    else:
        say(f"{counted(count, 'file', 'files')} removed")
    return DONE
