"""Where the PIN comes from: a port, and three ways to it. None of them is the command line."""

import getpass
import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from ukey_client.errors import Declined, PinUnavailable
from ukey_client.token.port import PinState

_LONGEST: Final = 1024  # bytes of a PIN file


class PinEntry(Protocol):
    """Somebody or something that gives a PIN."""

    def ask(self, what: str) -> str:
        """Give a secret; `what` is its Chinese name. PinUnavailable, or Declined."""


class FilePin:
    """The first line of a file; `-` is standard input, one line for each question."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def ask(self, what: str) -> str:
        """Read the line."""
        try:
            if str(self.path) == "-":
                line = sys.stdin.readline(_LONGEST)
            else:
                with self.path.open(encoding="utf-8") as file:
                    line = file.readline(_LONGEST)
        except OSError as error:
            raise PinUnavailable(f"无法读取 {self.path}（{error.strerror}）") from error
        except UnicodeDecodeError as error:
            raise PinUnavailable(f"{self.path} 不是 UTF-8 文字") from error
        secret = line.rstrip("\r\n")
        if not secret:
            raise PinUnavailable(f"{self.path} 中没有{what}")
        return secret


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


def warning_of(state: PinState) -> str | None:
    """Say what the holder must know before typing a PIN; None if there is nothing."""
    if state.final_try or state.tries_left == 1:
        return "注意：证书口令仅剩最后一次机会，再输错证书介质将被锁定！"
    if state.low:
        left = "" if state.tries_left is None else f"，剩余 {state.tries_left} 次机会"
        return f"注意：此前曾输错证书口令{left}。"
    return None
