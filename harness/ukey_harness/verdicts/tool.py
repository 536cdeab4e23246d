"""What wrote a record: this tool and its version."""

import platform
from importlib import metadata


def tool_version() -> str:
    """Return the version of the installed distribution, "unknown" in a bare checkout."""
    try:
        return metadata.version("ukeylab")
    except metadata.PackageNotFoundError:
        return "unknown"


def tool_identity() -> dict[str, str]:
    """Return name and version of the tool, of Python and of the platform."""
    return {
        "name": "ukeylab",
        "version": tool_version(),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
