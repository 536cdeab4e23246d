"""A program with a private rack of fresh keys around it."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from ukey_emulator import module_path

from .profiles import Profile
from .rack.keyring import KeyInfo
from .rack.rack import Rack
from .readers.manager import SOCKET_NAME as READERS_SOCKET

_NOT_FOUND = 127
_NOT_STARTED = 126
_SIGNALLED = 128


class NotStartedError(Exception):
    """The program cannot be started; `status` is what a shell would end with."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def run_with_keys(command: Sequence[str], keys: int, profile: str, *, pcscd: bool = False) -> int:
    """Run a program with `keys` fresh keys of a profile plugged in; give its exit code.

    Its environment has UKEY_HOME, PKCS11_MODULE, PCSCLITE_CSOCK_NAME and of the first key
    UKEY_PIN, UKEY_SO_PIN and UKEY_LABEL; with `pcscd` the third leads to a real pcscd that has
    the keys in its readers. Everything is gone afterwards. RackError if the rack cannot run or the
    profile is of no use, NotStartedError if the program cannot be started.
    """
    with tempfile.TemporaryDirectory(prefix="ukey-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        with Rack(home, lasting=False) as rack:
            made = [rack.keys.new(profile=profile) for _ in range(keys)]
            environment = _environment(home, made, profile)
            if not pcscd:
                return run_program(command, environment)
            with rack.pcscd() as readers:
                return run_program(command, {**environment, "PCSCLITE_CSOCK_NAME": str(readers)})


def _environment(home: Path, keys: list[KeyInfo], profile: str) -> dict[str, str]:
    environment = {
        **os.environ,
        "UKEY_HOME": str(home),
        "PKCS11_MODULE": str(module_path()),
        "PCSCLITE_CSOCK_NAME": str(home / READERS_SOCKET),
    }
    for of_another_key in ("UKEY_PIN", "UKEY_SO_PIN", "UKEY_LABEL"):
        environment.pop(of_another_key, None)
    if keys:
        pins = Profile.load(profile).pins
        environment.update(UKEY_PIN=pins.user, UKEY_SO_PIN=pins.so, UKEY_LABEL=keys[0].label)
    return environment


def run_program(command: Sequence[str], environment: dict[str, str]) -> int:
    """Run a program; give its exit code, 128 and the signal if one has ended it.

    What is sent to us goes to the program as well. NotStartedError if it cannot be started.
    """
    try:
        child = subprocess.Popen(command, env=environment)
    except FileNotFoundError as error:
        raise NotStartedError(f"there is no program {command[0]}", _NOT_FOUND) from error
    except OSError as error:
        raise NotStartedError(
            f"{command[0]} cannot be started: {error.strerror}", _NOT_STARTED
        ) from error

    def pass_on(number: int, frame: FrameType | None) -> None:
        del frame
        child.send_signal(number)

    # The terminal sends Ctrl-C to the program as well; what is sent to us alone is passed on.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, pass_on)
    code = child.wait()
    return _SIGNALLED - code if code < 0 else code
