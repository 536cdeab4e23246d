"""Where the PIN comes from: a port, and three ways to it. None of them is the command line."""

import contextlib
import getpass
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Final, Protocol

from ukey_client.errors import Declined, PinUnavailable
from ukey_client.errors.system import words_of
from ukey_client.token.port import PinState

_LONGEST: Final = 1024  # bytes of a PIN file
_PATIENCE: Final = 10.0  # seconds for a pipe to give its line


class PinEntry(Protocol):
    """Somebody or something that gives a PIN."""

    def ask(self, what: str) -> str:
        """Give a secret; `what` is its Chinese name. PinUnavailable, or Declined."""


class FilePin:
    """The first line of a file; `-` is standard input, one line for each question.

    A pipe, <(…) of the shell among them, must give its line within `patience` seconds.
    """

    def __init__(self, path: Path, *, patience: float = _PATIENCE) -> None:
        self.path = path
        self.patience = patience

    def ask(self, what: str) -> str:
        """Read the line."""
        try:
            with _at_most(self.patience):
                line = self._line()
        except _TooLate as error:
            raise PinUnavailable(
                f"等待 {self.patience:g} 秒后，{self.path} 中仍没有{what}。请检查写入它的程序。"
            ) from error
        except OSError as error:
            raise PinUnavailable(f"无法读取 {self.path}（{words_of(error)}）") from error
        except UnicodeDecodeError as error:
            raise PinUnavailable(f"{self.path} 不是 UTF-8 文字") from error
        secret = line.rstrip("\r\n")
        if not secret:
            raise PinUnavailable(f"{self.path} 中没有{what}")
        return secret

    def _line(self) -> str:
        if str(self.path) == "-":
            return sys.stdin.readline(_LONGEST)
        with self.path.open(encoding="utf-8") as file:
            return file.readline(_LONGEST)


class GivenPin:
    """A secret that the environment gave."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def ask(self, what: str) -> str:
        """Give it, whatever it is called."""
        del what
        return self._secret


class TerminalPin:
    """The holder, at a terminal; what is typed is not shown."""

    def ask(self, what: str) -> str:
        """Ask on the terminal."""
        with warnings.catch_warnings():
            # getpass warns when it would show what is typed: then it must not be typed.
            warnings.simplefilter("error", getpass.GetPassWarning)
            try:
                secret = getpass.getpass(f"{what}：")
            except (KeyboardInterrupt, EOFError) as error:
                raise Declined from error
            except (getpass.GetPassWarning, OSError) as error:
                raise PinUnavailable(
                    "没有终端可以输入。请设置环境变量 UKEY_PIN，或用 --pin-file 指定文件。"
                ) from error
        if not secret:
            raise Declined
        return secret


def pin_entry(
    pin_file: str | None,
    pin_source: Path | None = None,
    *,
    variable: str = "UKEY_PIN",
    environment: Mapping[str, str] | None = None,
) -> PinEntry:
    """Choose: the file of the command line, the URI's pin-source, the environment, the holder."""
    if pin_file is not None:
        return FilePin(Path(pin_file))
    if pin_source is not None:
        return FilePin(pin_source)
    secret = (os.environ if environment is None else environment).get(variable)
    return GivenPin(secret) if secret else TerminalPin()


class _TooLate(Exception):  # noqa: N818 - never seen outside
    """The time is over."""


@contextlib.contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raise _TooLate inside when the time is over, also out of an open() or a read().

    Only a signal ends both, without disturbing what standard input has buffered for the next
    question. Signals reach the main thread only: elsewhere there is no limit.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def over(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise _TooLate

    handler = signal.signal(signal.SIGALRM, over)
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left, interval)
        signal.signal(signal.SIGALRM, handler)


def warning_of(state: PinState) -> str | None:
    """Say what the holder must know before typing a PIN; None if there is nothing."""
    if state.final_try or state.tries_left == 1:
        return "注意：证书口令仅剩最后一次机会，再输错证书介质将被锁定！"
    if state.low:
        left = "" if state.tries_left is None else f"，剩余 {state.tries_left} 次机会"
        return f"注意：此前曾输错证书口令{left}。"
    return None
