"""What the PIV application knows only while it has power and is selected."""

from dataclasses import dataclass


@dataclass(slots=True)
class Volatile:
    """The security status (SP 800-73-5 Part 1 §5), and the halves of authentications begun.

    `verified` says that the PIN was given, `just_verified` that no key which wants it each time has
    been used since; `managed` that somebody has authenticated with 9B. `challenge` and `witness`
    are what 9B has to answer next.
    """

    verified: bool = False
    just_verified: bool = False
    managed: bool = False
    challenge: bytes | None = None
    witness: bytes | None = None
