"""The control port: JSON lines over a unix socket, apart from what the keys speak.

Each request is one line `{"version": 1, "command": "key.new", "arguments": {…}}`, each answer
one line `{"ok": true, "result": …}` or `{"ok": false, "error": "what to do"}`.
"""

import json
import logging
import socket
from collections.abc import Callable
from typing import Any

from ukey_emulator.door import Door

from .home import Home, RackError, is_ours

_log = logging.getLogger(__name__)

SOCKET_NAME = "control.sock"
VERSION = 1
_LONGEST = 1 << 20

Command = Callable[..., Any]


class ControlServer:
    """Serves commands, named as callers name them, in the folder of a rack."""

    def __init__(self, home: Home, commands: dict[str, Command]) -> None:
        self._commands = commands
        self._door = Door(home.listen(SOCKET_NAME), self._serve, is_ours, "ukey-control")
        self._door.open()

    def stop(self) -> None:
        """Hang up on everyone."""
        if self._door.shut():
            self._door.hang_up()
            self._door.close(0)

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection.makefile("rwb") as lines:
                while line := lines.readline(_LONGEST):
                    lines.write(json.dumps(self._answer(line)).encode() + b"\n")
                    lines.flush()
        except (OSError, ValueError) as error:
            _log.debug("a control connection ended: %s", error)

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            return {"ok": True, "result": self._carry_out(line)}
        except RackError as error:
            return {"ok": False, "error": str(error)}
        except Exception as error:  # noqa: BLE001 - a mistake in one command must not end the others
            _log.exception("a command failed inside the rack")
            return {"ok": False, "error": f"the rack failed: {error}"}

    def _carry_out(self, line: bytes) -> object:
        try:
            request = json.loads(line)
            version, name = request.pop("version"), request.pop("command")
            arguments = request.pop("arguments", {})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise RackError("a request is one line of JSON with version and command") from None
        if request:
            raise RackError(f"a request has no member {', '.join(map(repr, request))}")
        if version != VERSION:
            raise RackError(f"this rack speaks version {VERSION} of the control port")
        command = self._commands.get(name) if isinstance(name, str) else None
        if command is None:
            raise RackError(f"no command {name!r}; there are: {', '.join(self._commands)}")
        try:
            return command(**arguments)
        except TypeError as error:
            raise RackError(f"{name}: {error}") from error
