"""Racks and holders' programs that are cut: a process to be started with cut.c.

It reads a command a line, JSON, and answers each with a line:

    {"rack": HOME, "stop": [STEP, TORN]}     serve HOME; killed at that step. "ready"
                                             With "journal": PATH it keeps a journal there
    {"program": {…}, "send": N}              renew (see `_renew`); killed before message N.
                                             "killed" or "done", and how many it sent
    {"end": true}                            end the rack. "killed" if it was cut before, or "alive"

Each is a child of this process, which has all imported already and no thread. The argument, if
there is one, says how the racks are broken on purpose (sabotage.py).
"""

import contextlib
import ctypes
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import sabotage
from cryptography import x509

from ukey_client.renewal import renew
from ukey_client.token import open_token
from ukey_emulator import module_path
from ukey_emulator.rack.rack import Rack

_shim = ctypes.CDLL(None)
PIN = "123456"
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def _child(work: Callable[[int], object]) -> tuple[int, int]:
    """Do some work in a child, which is given a pipe to tell of it; give its id and the pipe."""
    source, sink = os.pipe()
    child = os.fork()
    if child:
        os.close(sink)
        return child, source
    code = 1
    with contextlib.suppress(BaseException):
        try:
            os.close(source)
            _shim.prctl(_DIE_WITH_PARENT, signal.SIGKILL)
            work(sink)
            code = 0
        except BaseException:  # noqa: BLE001 - whatever it is, it ends this child
            traceback.print_exc()
        sys.stderr.flush()
    os._exit(code)


def _serve(home: str, step: int, sink: int, *, torn: bool, journal: str | None) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    _shim.cut_watch(os.fsencode(home), os.open(journal, flags, 0o600) if journal else -1)
    with Rack(Path(home)):
        _shim.cut_at(step, torn)
        os.write(sink, b"ready")
        signal.pause()


def _renew(home: str, url: str, ca: str, send: int, sink: int) -> None:
    """Renew the certificate that is on the only key of a rack, as a holder's program does."""
    os.environ["UKEY_HOME"] = home
    authority = x509.load_pem_x509_certificate(Path(ca).read_bytes())
    _shim.cut_at_send(send)
    with open_token(module_path()) as token:
        token.login(PIN)
        (held,) = token.certificates()
        renew(token, held, url, ca_certificates=[authority])
    os.write(sink, str(_shim.cut_sends()).encode())


def _was_killed(child: int) -> bool:
    status = os.waitpid(child, 0)[1]
    if status and not os.WIFSIGNALED(status):
        raise RuntimeError(f"a child failed with status {status}")
    return bool(status) and os.WTERMSIG(status) == signal.SIGKILL


def main() -> None:
    """Do what the lines say, until there are no more."""
    rack = 0
    for how in sys.argv[1:]:
        sabotage.ALL[how]()
    for line in sys.stdin:
        answer: Any
        match json.loads(line):
            case {"rack": home, "stop": [step, torn], **more}:
                serve = partial(_serve, home, step, torn=torn, journal=more.get("journal"))
                rack, pipe = _child(serve)
                answer = os.read(pipe, 10).decode()
                os.close(pipe)
            case {"program": dict(words), "send": send}:
                program, pipe = _child(lambda sink: _renew(**words, send=send, sink=sink))
                killed = _was_killed(program)
                answer = f"{'killed' if killed else 'done'} {os.read(pipe, 10).decode()}"
                os.close(pipe)
            case {"end": _}:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(rack, signal.SIGTERM)
                answer = "killed" if _was_killed(rack) else "alive"
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
