"""Steps of digests, signatures and pairs of operations (§5.12 to §5.17)."""

from typing import Any

from choices import Choices
from hypothesis import strategies as st
from hypothesis.stateful import rule
from standard import algorithms
from standard.values import (
    Mech,
    Null,
    Out,
)
from stepping import (
    DIGESTS,
    HOW,
    OUT,
    PICK,
    RECOVERIES,
    SECRET_SIDE,
    SIGNATURES,
    SIZE,
    WHO,
    S,
    Steps,
    one_part,
    signer,
)


class SignatureSteps(Steps):
    """Digests, signatures, verification, states."""

    @rule(who=WHO, s=S, mechanism=DIGESTS)
    def digest_init(self, who: int, s: int, mechanism: Mech | None) -> None:
        self.step(who, "DigestInit", lambda c: (c.session(s), mechanism))

    @rule(who=WHO, s=S, key=PICK)
    def digest_key(self, who: int, s: int, key: int) -> None:
        self.step(
            who, "DigestKey", lambda c: (c.session(s), c.key(key, "GENERIC_SECRET", SECRET_SIDE))
        )

    @rule(who=WHO, s=S, word=st.sampled_from(["Sign", "Verify"]), mechanism=SIGNATURES, key=PICK)
    def signature_init(self, who: int, s: int, word: str, mechanism: Mech | None, key: int) -> None:
        self.step(
            who,
            f"{word}Init",
            lambda c: (c.session(s), mechanism, signer(c, word, mechanism, key)),
        )

    @rule(who=WHO, s=S, word=st.sampled_from(["Sign", "Verify"]), mechanism=RECOVERIES, key=PICK)
    def recovery_init(self, who: int, s: int, word: str, mechanism: Mech | None, key: int) -> None:
        self.step(
            who,
            f"{word}RecoverInit",
            lambda c: (c.session(s), mechanism, signer(c, word, mechanism, key)),
        )

    @rule(who=WHO, s=S, mechanism=SIGNATURES, key=PICK, how=HOW)
    def verify_signature_init(
        self, who: int, s: int, mechanism: Mech | None, key: int, how: str
    ) -> None:
        def build(c: Choices) -> tuple[Any, ...]:
            picked = signer(c, "Verify", mechanism, key)
            signature: Any = b"" if mechanism is None else Null(32)
            obj = c.app.handles.get(picked)
            if mechanism is not None and how != "null":
                length = algorithms.SIGNATURE_BYTES.get(mechanism.name, 32)
                signature = bytes(length - (how == "short"))
                if (
                    obj is not None
                    and obj.secret is not None
                    and mechanism.name == "SHA256_HMAC"
                    and isinstance(obj.secret, bytes)
                ):
                    made = algorithms.sign(mechanism.name, obj, bytes(range(32, 64)))
                    signature = made.data or signature
            return (c.session(s), mechanism, picked, signature)

        self.step(who, "VerifySignatureInit", build)

    @rule(who=WHO, s=S, kind=st.sampled_from(["Digest", "Sign", "SignRecover"]), size=SIZE, out=OUT)
    def whole(self, who: int, s: int, kind: str, size: int | None, out: Out) -> None:
        name = {"SignRecover": "sign recover"}.get(kind, kind.lower())

        def build(c: Choices) -> tuple[Any, ...]:
            session = c.session(s)
            return (session, c.data(c.operation(session, name), size), out)

        self.step(who, kind, build)

    @rule(who=WHO, s=S, size=st.sampled_from([0, 16, 32]), how=HOW, out=OUT)
    def verify_recover(self, who: int, s: int, size: int, how: str, out: Out) -> None:
        def build(c: Choices) -> tuple[Any, ...]:
            session = c.session(s)
            operation = c.operation(session, "verify recover")
            data = c.data(operation, size)
            return (session, c.signature(operation, data, how), out)

        self.step(who, "VerifyRecover", build)

    @rule(
        who=WHO,
        s=S,
        kind=st.sampled_from(["digest", "sign", "verify", "verify signature"]),
        size=SIZE,
    )
    def update(self, who: int, s: int, kind: str, size: int | None) -> None:
        def build(c: Choices) -> tuple[Any, ...] | None:
            session = c.session(s)
            operation = c.operation(session, kind)
            return None if one_part(operation) else (session, c.data(operation, size))

        self.step(who, f"{kind.title().replace(' ', '')}Update", build)

    @rule(who=WHO, s=S, size=SIZE, how=HOW)
    def verify(self, who: int, s: int, size: int | None, how: str) -> None:
        def build(c: Choices) -> tuple[Any, ...]:
            session = c.session(s)
            operation = c.operation(session, "verify")
            data = c.data(operation, size)
            return (session, data, c.signature(operation, data, how))

        self.step(who, "Verify", build)

    @rule(who=WHO, s=S, how=HOW)
    def verify_final(self, who: int, s: int, how: str) -> None:
        def build(c: Choices) -> tuple[Any, ...] | None:
            session = c.session(s)
            operation = c.operation(session, "verify")
            if one_part(operation):
                return None
            return (session, c.signature(operation, operation.data if operation else b"", how))

        self.step(who, "VerifyFinal", build)

    @rule(who=WHO, s=S, size=st.sampled_from([32, 32, 16, None]))
    def verify_signature(self, who: int, s: int, size: int | None) -> None:
        def build(c: Choices) -> tuple[Any, ...]:
            session = c.session(s)
            return (session, c.data(c.operation(session, "verify signature"), size))

        self.step(who, "VerifySignature", build)

    @rule(who=WHO, s=S)
    def verify_signature_final(self, who: int, s: int) -> None:
        def build(c: Choices) -> tuple[Any, ...] | None:
            session = c.session(s)
            return None if one_part(c.operation(session, "verify signature")) else (session,)

        self.step(who, "VerifySignatureFinal", build)

    @rule(
        who=WHO,
        s=S,
        function=st.sampled_from(
            ["DigestEncrypt", "DecryptDigest", "SignEncrypt", "DecryptVerify"]
        ),
        size=SIZE,
        out=OUT,
    )
    def dual(self, who: int, s: int, function: str, size: int | None, out: Out) -> None:
        def build(c: Choices) -> tuple[Any, ...] | None:
            session = c.session(s)
            for kind in ("encrypt", "decrypt", "sign", "verify", "digest"):
                if kind.title() in function and one_part(c.operation(session, kind)):
                    return None
            return (session, c.data(None, size), out)

        self.step(who, f"{function}Update", build)

    @rule(who=WHO, s=S, out=OUT)
    def get_operation_state(self, who: int, s: int, out: Out) -> None:
        self.step(who, "GetOperationState", lambda c: (c.session(s), out))

    @rule(who=WHO, s=S, pick=PICK, key=st.sampled_from([0, 0, 0, -1]))
    def set_operation_state(self, who: int, s: int, pick: int, key: int) -> None:
        def build(c: Choices) -> tuple[Any, ...]:
            saved = [data for data, _ in c.app.states]
            state = saved[pick % len(saved)] if saved and pick != 9 else b"none such"
            return (c.session(s), state, key, 0)

        self.step(who, "SetOperationState", build)
