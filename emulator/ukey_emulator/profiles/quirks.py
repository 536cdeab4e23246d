"""Quirks: what real keys do otherwise than the standard says, each with a name that turns it on."""

from enum import StrEnum

from .table import ProfileError, close


class Quirk(StrEnum):
    """The quirks that there are; README.md says what each does."""

    LOGIN_AGAIN = "login-again-is-ok"
    LOCKED_INCORRECT = "locked-pin-is-incorrect"
    NO_TRIES = "tries-are-not-told"
    REMOVED_HANDLE = "removed-is-invalid-handle"
    SHORT_BUFFER = "short-buffer-ends-operation"
    NO_PROFILES = "no-profile-objects"
    ANY_PIN = "piv-pins-of-any-characters"


def quirk(name: str) -> Quirk:
    """Give the quirk of that name; ProfileError with those that there are."""
    try:
        return Quirk(name)
    except ValueError:
        hint = close(name, list(Quirk)) or f"; there are: {', '.join(Quirk)}"
        raise ProfileError(f"there is no quirk {name!r}{hint}") from None
