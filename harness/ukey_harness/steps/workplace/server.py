"""A warm process that forks programs: `ukey login` then starts in milliseconds, not in a second.

Started as `python -m ukey_harness.steps.workplace.server FD`. It imports what the programs need
and nothing else: no PKCS#11 module is loaded, no thread started, so each fork is a clean process.
A request is one datagram of JSON (entry, argv, env, cwd, largest_file) with the file descriptors
stdin, stdout, stderr and status; to status the program's pid, and later its exit code, are written
as lines.
"""

import contextlib
import importlib
import json
import os
import resource
import signal
import socket
import sys
import traceback
from typing import Any

DATAGRAM = 1 << 20
DESCRIPTORS = 4
CRASHED = 70
PRELOADED = (
    "ukey_harness.cli",
    "ukey_client.cli",
    "ukey_client.listing",
    "ukey_client.sealing.order",
    "ukey_client.renewal.renew",
    "ukey_client.token.pin",
    "ukey_client.login",
    "ukey_client.binding",
    "ukey_client.sealing",
    "ukey_client.renewal",
    "ukey_client.pin",
    "pkcs11",
    "httpx2",
    "ukey_harness.steps.errands",
)


def serve(requests: socket.socket) -> None:
    """Fork a program for each request until the other side closes."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers need no waiting for
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the harness's to handle
    while True:
        datagram, descriptors, _, _ = socket.recv_fds(requests, DATAGRAM, DESCRIPTORS)
        if not datagram:
            return
        if os.fork() == 0:
            requests.close()
            _keep(json.loads(datagram), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _keep(request: dict[str, Any], descriptors: list[int]) -> None:
    """Fork the program and write down how it ends; never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    status = descriptors.pop()
    pid = os.fork()
    if pid == 0:
        os.close(status)
        _become(request, descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    with contextlib.suppress(BrokenPipeError):
        os.write(status, f"{pid}\n".encode())
        _, wait_status = os.waitpid(pid, 0)
        os.write(status, f"{os.waitstatus_to_exitcode(wait_status)}\n".encode())
    os._exit(0)


def _become(request: dict[str, Any], descriptors: list[int]) -> None:
    """Become the program; never returns."""
    code = CRASHED
    try:
        os.setsid()  # no terminal: nothing can be asked of the person who runs the tests
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.environ.clear()
        os.environ.update(request["env"])
        os.chdir(request["cwd"])
        if request["largest_file"]:
            limit = request["largest_file"]
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        module, _, name = request["entry"].partition(":")
        code = getattr(importlib.import_module(module), name)(request["argv"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - the last catch of a process: nothing may pass it
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(code if isinstance(code, int) else 0)


def main() -> None:
    """Warm up, then serve on the inherited socket whose number is the argument."""
    requests = socket.socket(fileno=int(sys.argv[1]))
    for name in PRELOADED:
        # A program that cannot be imported says so itself when it is started.
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    requests.send(b"ready")
    serve(requests)


if __name__ == "__main__":
    main()
