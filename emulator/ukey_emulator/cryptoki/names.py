"""The standard's names of numbers."""

from enum import IntEnum


def name_of(words: type[IntEnum], number: int) -> str:
    """Give the standard's name of a number ("CKM_SHA256"), or the number in hexadecimal digits."""
    try:
        return f"{words.__name__}_{words(number).name}"
    except ValueError:
        return f"{number:#x}"
