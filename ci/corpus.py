"""Packs the inputs of a fuzz target, one a line in base64, and unpacks them into files.

corpus.py unpack FILE FOLDER
corpus.py pack FOLDER FILE
"""

import base64
import hashlib
import sys
from pathlib import Path


def unpack(file: Path, folder: Path) -> None:
    """Write each input into a file of its own, named by its hash."""
    folder.mkdir(parents=True, exist_ok=True)
    for line in file.read_text().split():
        each = base64.b64decode(line)
        (folder / hashlib.sha256(each).hexdigest()).write_bytes(each)


def pack(folder: Path, file: Path) -> None:
    """Write all inputs of a folder into one file, the shortest first."""
    inputs = sorted((path.read_bytes() for path in folder.iterdir()), key=lambda x: (len(x), x))
    file.write_text("".join(base64.b64encode(each).decode() + "\n" for each in inputs))


if __name__ == "__main__":
    _, verb, source, target = sys.argv
    {"pack": pack, "unpack": unpack}[verb](Path(source), Path(target))
