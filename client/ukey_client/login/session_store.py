"""Where the session with a portal is kept between two commands: a file of the user alone."""

import contextlib
import hashlib
import json
import os
from pathlib import Path

from ukey_client.errors import FileUnwritable
from ukey_client.errors.system import words_of

_MODE = 0o600
_FOLDER_MODE = 0o700


class SessionStore:
    """One file for each portal's origin below a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, origin: str) -> dict[str, str]:
        """Read the cookies for an origin; nothing if there are none that can be trusted.

        A file that others could have written is not read.
        """
        path = self._path(origin)
        try:
            with path.open(encoding="utf-8") as file:
                status = os.fstat(file.fileno())
                if status.st_uid != os.geteuid() or status.st_mode & 0o077:
                    return {}
                kept = json.load(file)
        except (OSError, ValueError):
            return {}
        if not isinstance(kept, dict) or kept.get("origin") != origin:
            return {}
        cookies = kept.get("cookies")
        if not isinstance(cookies, dict):
            return {}
        return {str(name): str(value) for name, value in cookies.items()}

    def save(self, origin: str, cookies: dict[str, str]) -> None:
        """Keep the cookies of an origin, written whole or not at all."""
        path = self._path(origin)
        fresh = path.with_suffix(f".{os.getpid()}.new")
        try:
            self.folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump({"origin": origin, "cookies": cookies}, file)
            fresh.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
            raise FileUnwritable(path, words_of(error)) from error

    def forget(self, origin: str) -> None:
        """Throw the session with an origin away."""
        with contextlib.suppress(OSError):
            self._path(origin).unlink(missing_ok=True)

    def _path(self, origin: str) -> Path:
        name = hashlib.sha256(origin.encode()).hexdigest()[:16]
        return self.folder / f"session-{name}.json"


def default_folder() -> Path:
    """Give $UKEY_HOME/client; UKEY_HOME is the XDG state folder's `ukeylab` by default."""
    home = os.environ.get("UKEY_HOME")
    if home:
        return Path(home) / "client"
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "ukeylab" / "client"
