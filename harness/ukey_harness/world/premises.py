"""Where a world keeps its state: a folder that one world at a time may use."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from pathlib import Path
from typing import Self

from ukey_harness.world.errors import WorldError

_PORT_LIMIT = 65536


class Premises:
    """The folder of a world, held until `leave`.

    With a home it is home/world, and stays, with the ports, so that the next world in it is the
    same one at the same addresses. Without, it is a private temporary folder, and goes.
    """

    def __init__(
        self, folder: Path, lock: int, temporary: tempfile.TemporaryDirectory[str] | None
    ) -> None:
        self.folder = folder
        self._lock = lock
        self._temporary = temporary

    @classmethod
    def enter(cls, home: Path | None) -> Self:
        """Take the folder; WorldError where it cannot be used or another world is in it."""
        temporary = None
        if home is None:
            temporary = tempfile.TemporaryDirectory(
                prefix="ukeylab-world-", ignore_cleanup_errors=True
            )
        folder = Path(temporary.name) if temporary else Path(home or "") / "world"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if temporary:
                temporary.cleanup()
            raise WorldError(f"the world cannot keep its state in {folder}: {error}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            raise WorldError(
                f"another world is running in {folder}: stop it, or use another home"
            ) from error
        return cls(folder, lock, temporary)

    def ports(self) -> dict[str, int]:
        """Return the ports that `keep_ports` kept, empty in a new folder."""
        path = self.folder / "ports.json"
        try:
            kept = json.loads(path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise WorldError(f"{path} cannot be read ({error}): remove {self.folder}") from error
        if not isinstance(kept, dict) or not all(
            isinstance(port, int) and 0 < port < _PORT_LIMIT for port in kept.values()
        ):
            raise WorldError(f"{path} does not hold ports: remove {self.folder}")
        return kept

    def keep_ports(self, ports: dict[str, int]) -> None:
        """Keep the ports, as the certificates name them for as long as they are valid."""
        path = self.folder / "ports.json"
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps(ports), encoding="utf-8")
        draft.replace(path)

    def leave(self) -> None:
        """Let go of the folder; a temporary one is removed."""
        os.close(self._lock)
        if self._temporary is not None:
            self._temporary.cleanup()
