"""Steps of encryption and decryption, of data and of messages (§5.8 to §5.11)."""

from typing import Any

from choices import Choices
from hypothesis import strategies as st
from hypothesis.stateful import rule
from standard.values import (
    GcmMessage,
    Mech,
    Out,
)
from stepping import (
    CIPHERS,
    OUT,
    PICK,
    PRIVATE_SIDE,
    PUBLIC_SIDE,
    RIGHT,
    SEALS,
    SECRET_SIDE,
    SIZE,
    WHO,
    S,
    Steps,
    one_part,
)


class CipherSteps(Steps):
    """Encryption and decryption."""

    @rule(who=WHO, s=S, word=st.sampled_from(["Encrypt", "Decrypt"]), mechanism=CIPHERS, key=PICK)
    def cipher_init(self, who: int, s: int, word: str, mechanism: Mech | None, key: int) -> None:
        def build(c: Choices) -> tuple[Any, ...]:
            rsa = mechanism is not None and mechanism.name == "RSA_PKCS"
            side = PUBLIC_SIDE if word == "Encrypt" else PRIVATE_SIDE
            picked = c.key(key, "RSA", side) if rsa else c.key(key, "AES", SECRET_SIDE)
            return (c.session(s), mechanism, picked)

        self.step(who, f"{word}Init", build)

    @rule(
        who=WHO,
        s=S,
        function=st.sampled_from(["Encrypt", "EncryptUpdate", "Decrypt", "DecryptUpdate"]),
        size=SIZE,
        right=RIGHT,
        out=OUT,
    )
    def cipher(
        self, who: int, s: int, function: str, size: int | None, right: bool, out: Out
    ) -> None:
        kind = function.removesuffix("Update").lower()

        def build(c: Choices) -> tuple[Any, ...] | None:
            session = c.session(s)
            operation = c.operation(session, kind)
            if function.endswith("Update") and one_part(operation):
                return None
            if kind == "decrypt":
                return (session, c.sealed(operation, size, right=right), out)
            return (session, c.data(operation, size), out)

        self.step(who, function, build)

    @rule(who=WHO, s=S, kind=st.sampled_from(["encrypt", "decrypt", "digest", "sign"]), out=OUT)
    def final(self, who: int, s: int, kind: str, out: Out) -> None:
        def build(c: Choices) -> tuple[Any, ...] | None:
            session = c.session(s)
            return None if one_part(c.operation(session, kind)) else (session, out)

        self.step(who, f"{kind.title()}Final", build)

    @rule(who=WHO, s=S, word=st.sampled_from(["Encrypt", "Decrypt"]), mechanism=SEALS, key=PICK)
    def message_init(self, who: int, s: int, word: str, mechanism: Mech | None, key: int) -> None:
        self.step(
            who,
            f"Message{word}Init",
            lambda c: (c.session(s), mechanism, c.key(key, "AES", SECRET_SIDE)),
        )

    @rule(
        who=WHO,
        s=S,
        word=st.sampled_from(["Encrypt", "Decrypt"]),
        size=st.sampled_from([0, 16, 17, None]),
        right=RIGHT,
        out=OUT,
    )
    def message(self, who: int, s: int, word: str, size: int | None, right: bool, out: Out) -> None:
        def build(c: Choices) -> tuple[Any, ...]:
            session = c.session(s)
            operation = c.operation(session, f"message {word.lower()}")
            opening = word == "Decrypt"
            data = c.data(None, size)
            parameter, data = c.message(operation, b"extra", data, opening=opening, right=right)
            return (session, parameter, b"extra", data, out)

        self.step(who, f"{word}Message", build)

    @rule(
        who=WHO,
        s=S,
        word=st.sampled_from(["Encrypt", "Decrypt"]),
        extra=st.sampled_from([b"", b"x"]),
    )
    def message_begin(self, who: int, s: int, word: str, extra: bytes) -> None:
        parameter = GcmMessage(bytes(range(12)), bytes(16))
        self.step(who, f"{word}MessageBegin", lambda c: (c.session(s), parameter, extra))

    @rule(
        who=WHO,
        s=S,
        word=st.sampled_from(["Encrypt", "Decrypt"]),
        size=st.sampled_from([0, 16, 17, None]),
        out=OUT,
        flags=st.sampled_from([0, 1]),
    )
    def message_next(
        self, who: int, s: int, word: str, size: int | None, out: Out, flags: int
    ) -> None:
        parameter = GcmMessage(bytes(range(12)), bytes(16))
        self.step(
            who,
            f"{word}MessageNext",
            lambda c: (c.session(s), parameter, c.data(None, size), out, flags),
        )

    @rule(who=WHO, s=S, word=st.sampled_from(["Encrypt", "Decrypt"]))
    def message_final(self, who: int, s: int, word: str) -> None:
        self.step(who, f"Message{word}Final", lambda c: (c.session(s),))
