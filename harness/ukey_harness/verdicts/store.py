"""Records on disk: written whole or not at all."""

import json
import os
import tempfile
from pathlib import Path

from ukey_harness.verdicts.record import RecordError, Run, from_json, to_json


def write_text(path: Path, text: str) -> None:
    """Write a file atomically: a reader sees the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def save(run: Run, path: Path) -> None:
    """Write the record."""
    write_text(path, json.dumps(to_json(run), ensure_ascii=False, indent=1) + "\n")


def load(path: Path) -> Run:
    """Read a record; RecordError names the fault (no file, no JSON, another schema…)."""
    try:
        return from_json(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise RecordError(f"cannot read the record {path}: {error.strerror}") from error
    except ValueError as error:
        raise RecordError(f"{path}: {error}") from error
