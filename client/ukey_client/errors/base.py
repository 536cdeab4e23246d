# ruff: noqa: N818 - an error is named by its fault, as in the messages and the interface
"""What every fault of the holder has: a message in Chinese and an exit code."""

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """With what a command of the client ends (1 and 2 are the usual ones of a program)."""

    OK = 0
    INTERNAL = 1  # a fault of this program
    USAGE = 2  # the command line, or a token URI, is wrong
    TOKEN = 3  # the module or the key cannot be used
    CERTIFICATE = 4  # absent, ambiguous, expired, revoked
    PIN = 5  # wrong, locked, unacceptable
    PORTAL = 6  # the portal refused, or said what it must not say
    UNREACHABLE = 7  # portal, CA, TSA or status service do not answer
    DOCUMENT = 8  # the document cannot be sealed
    FILE = 9  # a file cannot be read or written
    DECLINED = 10  # the holder said no
    RENEWAL = 11  # the CA did not renew


class HolderError(Exception):
    """A fault that the holder can do something about."""

    exit_code: ClassVar[int] = ExitCode.INTERNAL

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class OrderIncomplete(HolderError):
    """The command line does not say all that is needed."""

    exit_code = ExitCode.USAGE

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}。")
        self.reason = reason


class Declined(HolderError):
    """The holder said no, or could not be asked."""

    exit_code = ExitCode.DECLINED

    def __init__(self, message: str = "已取消，没有进行签名。") -> None:
        super().__init__(message)
