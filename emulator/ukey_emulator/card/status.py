"""Status words: how a card answers, by name (ISO/IEC 7816-4:2020 §5.6)."""

from enum import IntEnum

_TRIES = 0x63C0
_MOST_TRIES = 0x0F


class SW(IntEnum):
    """The status words that our applets give; `61xx` and `63Cx` carry a number and are built."""

    OK = 0x9000
    VERIFICATION_FAILED = 0x6300
    MEMORY_FAILURE = 0x6581
    WRONG_LENGTH = 0x6700
    LOGICAL_CHANNEL_NOT_SUPPORTED = 0x6881
    SECURE_MESSAGING_NOT_SUPPORTED = 0x6882
    LAST_COMMAND_EXPECTED = 0x6883
    CHAINING_NOT_SUPPORTED = 0x6884
    SECURITY_STATUS_NOT_SATISFIED = 0x6982
    AUTHENTICATION_METHOD_BLOCKED = 0x6983
    CONDITIONS_NOT_SATISFIED = 0x6985
    INCORRECT_DATA = 0x6A80
    FUNCTION_NOT_SUPPORTED = 0x6A81
    NOT_FOUND = 0x6A82
    NOT_ENOUGH_MEMORY = 0x6A84
    INCORRECT_P1_P2 = 0x6A86
    REFERENCED_DATA_NOT_FOUND = 0x6A88
    INSTRUCTION_NOT_SUPPORTED = 0x6D00
    CLASS_NOT_SUPPORTED = 0x6E00
    NO_PRECISE_DIAGNOSIS = 0x6F00


class CardRefusal(Exception):  # noqa: N818 - a refusal is what it is
    """A command that is refused: the status word, and for the log why."""

    def __init__(self, sw: int, why: str = "") -> None:
        super().__init__(f"{sw:04X} {why}".rstrip())
        self.sw = sw
        self.why = why


class WrongPin(CardRefusal):
    """A PIN, PUK or key that is not right: `63Cx` with the tries left; 15 stands for more."""

    def __init__(self, tries_left: int) -> None:
        super().__init__(_TRIES | min(tries_left, _MOST_TRIES), f"{tries_left} tries left")
        self.tries_left = tries_left
