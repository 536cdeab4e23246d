"""Steps of slots, tokens and sessions (§5.5, §5.6)."""

from typing import Any

from choices import Choices
from hypothesis import strategies as st
from hypothesis.stateful import rule
from standard.values import (
    Cell,
    Info,
    Null,
)
from stepping import (
    CELL,
    GUESSES,
    NEW_PINS,
    RARELY,
    RIGHT,
    SELDOM,
    WHO,
    S,
    Steps,
    pin_of,
)


class TokenSteps(Steps):
    """Sessions, logins, PINs."""

    @rule(who=WHO, slot=S, flags=st.sampled_from([6, 6, 4, 4, 2]), cell=CELL)
    def open_session(self, who: int, slot: int, flags: int, cell: Cell) -> None:
        def build(c: Choices) -> tuple[Any, ...] | None:
            if len(c.app.sessions) > 5:
                return None
            return (c.slot if slot != 9 else -1, flags, None, None, cell)

        self.step(who, "OpenSession", build)

    @rule(who=WHO, s=S, really=RARELY)
    def close_session(self, who: int, s: int, really: bool) -> None:
        if really or s == 9:
            self.step(who, "CloseSession", lambda c: (c.session(s),))

    @rule(who=WHO, slot=S, really=SELDOM)
    def close_all_sessions(self, who: int, slot: int, really: bool) -> None:
        if really or slot == 9:
            self.step(who, "CloseAllSessions", lambda c: (c.slot if slot != 9 else -1,))

    @rule(who=WHO, s=S, asked=RIGHT)
    def get_session_info(self, who: int, s: int, asked: bool) -> None:
        info = Info("CK_SESSION_INFO", asked)
        self.step(who, "GetSessionInfo", lambda c: (c.session(s), info))

    @rule(who=WHO, slot=S, asked=RIGHT)
    def get_token_info(self, who: int, slot: int, asked: bool) -> None:
        info = Info("CK_TOKEN_INFO", asked)
        self.step(who, "GetTokenInfo", lambda c: (c.slot if slot != 9 else -1, info))

    @rule(who=WHO, s=S, user=st.sampled_from([0, 0, 1, 1, 1, 1, 2, 2, 7]), guess=GUESSES)
    def login(self, who: int, s: int, user: int, guess: str) -> None:
        self.step(who, "Login", lambda c: (c.session(s), user, pin_of(c, user, guess)))

    @rule(
        who=WHO,
        s=S,
        user=st.sampled_from([0, 1, 2]),
        guess=GUESSES,
        name=st.sampled_from([b"", b"", b"somebody"]),
    )
    def login_user(self, who: int, s: int, user: int, guess: str, name: bytes) -> None:
        self.step(who, "LoginUser", lambda c: (c.session(s), user, pin_of(c, user, guess), name))

    @rule(who=WHO, s=S, really=RARELY)
    def logout(self, who: int, s: int, really: bool) -> None:
        if really or s == 9:
            self.step(who, "Logout", lambda c: (c.session(s),))

    @rule(who=WHO, guess=GUESSES, slot=S, label=st.sampled_from([b"stateful", b"new", None]))
    def init_token(self, who: int, guess: str, slot: int, label: bytes | None) -> None:
        def build(c: Choices) -> tuple[Any, ...]:
            return (c.slot if slot != 9 else -1, pin_of(c, 0, guess), label)

        self.step(who, "InitToken", build)

    @rule(who=WHO, s=S, new=NEW_PINS)
    def init_pin(self, who: int, s: int, new: bytes | None) -> None:
        self.step(who, "InitPIN", lambda c: (c.session(s), Null(6) if new is None else new))

    @rule(who=WHO, s=S, guess=GUESSES, new=NEW_PINS)
    def set_pin(self, who: int, s: int, guess: str, new: bytes | None) -> None:
        def build(c: Choices) -> tuple[Any, ...]:
            user = 0 if c.app.login == "SO" else 1
            return (c.session(s), pin_of(c, user, guess), Null(6) if new is None else new)

        self.step(who, "SetPIN", build)

    @rule(who=WHO, s=S, flags=st.sampled_from([0x40, 0x100, 0x200, 0x400, 0x800, 0x2000, 0x7F46]))
    def session_cancel(self, who: int, s: int, flags: int) -> None:
        self.step(who, "SessionCancel", lambda c: (c.session(s), flags))
