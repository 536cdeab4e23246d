"""Where a rack's state lives."""

import os
from pathlib import Path


def default_home() -> Path:
    """Give `$UKEY_HOME`, or the folder ukeylab in the XDG state folder."""
    home = os.environ.get("UKEY_HOME")
    if home:
        return Path(home)
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "ukeylab"
