"""Steps of key management (§5.18)."""

from typing import Any

from choices import Choices
from hypothesis import strategies as st
from hypothesis.stateful import rule
from recipes import FLAGS, SPOIL, secret_template, spoilt
from standard import material
from standard.values import (
    Cell,
    Ecdh,
    Mech,
    Out,
    Template,
)
from stepping import (
    CELL,
    OUT,
    PICK,
    PRIVATE_SIDE,
    SECRET_SIDE,
    WHO,
    S,
    Steps,
    half,
    wrapped,
)


class KeySteps(Steps):
    """Keys generated, wrapped, unwrapped, derived."""

    @rule(
        who=WHO,
        s=S,
        mechanism=st.sampled_from(
            [Mech("AES_KEY_GEN")] * 3 + [Mech("GENERIC_SECRET_KEY_GEN"), Mech("AES_ECB")]
        ),
        length=st.sampled_from([16, 16, 24, 32, 7, None]),
        flags=FLAGS,
        spoil=SPOIL,
        cell=CELL,
    )
    def generate_key(
        self,
        who: int,
        s: int,
        mechanism: Mech,
        length: int | None,
        flags: dict[str, bool],
        spoil: str | None,
        cell: Cell,
    ) -> None:
        def build(c: Choices) -> tuple[Any, ...]:
            key_type = "GENERIC_SECRET" if "GENERIC" in mechanism.name else "AES"
            values = secret_template(c.world.new_name(), key_type, length, flags)
            return (c.session(s), mechanism, spoilt(values, spoil), cell)

        self.step(who, "GenerateKey", build)

    @rule(who=WHO, s=S, public=FLAGS, private=FLAGS, spoil=SPOIL, cell=CELL)
    def generate_key_pair(
        self,
        who: int,
        s: int,
        public: dict[str, bool],
        private: dict[str, bool],
        spoil: str | None,
        cell: Cell,
    ) -> None:
        def build(c: Choices) -> tuple[Any, ...]:
            seen = half(c, "ec public", public, ("CLASS", "EC_POINT"))
            hidden = half(c, "ec private", private, ("CLASS", "VALUE", "EC_PARAMS"))
            mechanism = Mech("EC_KEY_PAIR_GEN")
            return (
                c.session(s),
                mechanism,
                Template(tuple(seen.items())),
                spoilt(hidden, spoil),
                cell,
                Cell(),
            )

        self.step(who, "GenerateKeyPair", build)

    @rule(
        who=WHO,
        s=S,
        mechanism=st.sampled_from([Mech("AES_KEY_WRAP")] * 4 + [Mech("SHA256")]),
        wrapping=PICK,
        key=PICK,
        out=OUT,
    )
    def wrap_key(
        self, who: int, s: int, mechanism: Mech, wrapping: int, key: int, out: Out
    ) -> None:
        def build(c: Choices) -> tuple[Any, ...]:
            wrapper = c.key(wrapping, "AES", SECRET_SIDE)
            inner = c.object(key, lambda o: o.kind == SECRET_SIDE)
            return (c.session(s), mechanism, wrapper, inner, out)

        self.step(who, "WrapKey", build)

    @rule(
        who=WHO,
        s=S,
        unwrapping=PICK,
        how=st.sampled_from(["right", "right", "wrong", "short", "null", "odd"]),
        key_type=st.sampled_from(["AES", "GENERIC_SECRET"]),
        flags=FLAGS,
        spoil=SPOIL,
        cell=CELL,
    )
    def unwrap_key(
        self,
        who: int,
        s: int,
        unwrapping: int,
        how: str,
        key_type: str,
        flags: dict[str, bool],
        spoil: str | None,
        cell: Cell,
    ) -> None:
        def build(c: Choices) -> tuple[Any, ...]:
            opener = c.key(unwrapping, "AES", SECRET_SIDE)
            values = secret_template(c.world.new_name(), key_type, None, flags)
            values["CLASS"] = "SECRET_KEY"
            blob = wrapped(c, opener, how)
            mechanism = Mech("AES_KEY_WRAP")
            return (c.session(s), mechanism, opener, blob, spoilt(values, spoil), cell)

        self.step(who, "UnwrapKey", build)

    @rule(
        who=WHO,
        s=S,
        base=PICK,
        key_type=st.sampled_from(["AES", "GENERIC_SECRET"]),
        flags=FLAGS,
        spoil=SPOIL,
        cell=CELL,
    )
    def derive_key(
        self,
        who: int,
        s: int,
        base: int,
        key_type: str,
        flags: dict[str, bool],
        spoil: str | None,
        cell: Cell,
    ) -> None:
        def build(c: Choices) -> tuple[Any, ...]:
            values = secret_template(c.world.new_name(), key_type, 16, flags)
            values["CLASS"] = "SECRET_KEY"
            picked = c.key(base, "EC", PRIVATE_SIDE)
            wanted = spoilt(values, spoil if spoil != "incomplete" else None)
            return (c.session(s), Ecdh(material.OTHER_POINT), picked, wanted, cell)

        self.step(who, "DeriveKey", build)
