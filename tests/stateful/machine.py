"""The state machine: random calls, legal and illegal, the same on every device."""

from typing import Any

from choices import IV, Choices
from cipher_steps import CipherSteps
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule
from key_steps import KeySteps
from object_steps import ObjectSteps
from recipes import RECIPE
from signature_steps import SignatureSteps
from standard.values import (
    Cell,
    Mech,
    Out,
)
from stepping import (
    GOOD_CIPHERS,
    GUESSES,
    HOW,
    KEY,
    OUT,
    RIGHT,
    SIZE,
    WHO,
    S,
)
from token_steps import TokenSteps


class Machine(TokenSteps, ObjectSteps, CipherSteps, SignatureSteps, KeySteps):
    """All steps, and longer ways through operations that can begin."""

    @initialize(user=st.sampled_from([1, 1, 1, 0, None]), makes=st.lists(RECIPE, max_size=4))
    def begin(self, user: int | None, makes: list[str]) -> None:
        """Have sessions, a login and some keys to begin with."""
        for who in (0, 1):
            self.step(who, "OpenSession", lambda c: (c.slot, 6, None, None, Cell()))
        if user is not None:
            self.login(0, 0, user, "right")
        for recipe in makes:
            self.create_object(0, 0, recipe, {"TOKEN": False, "PRIVATE": False}, None, Cell())

    @rule(
        who=WHO,
        s=S,
        word=st.sampled_from(["Encrypt", "Decrypt"]),
        mechanism=st.sampled_from(GOOD_CIPHERS),
        key=KEY,
        calls=st.lists(
            st.tuples(st.sampled_from(["", "", "Update", "Update", "Final", "Init"]), SIZE, OUT),
            min_size=1,
            max_size=5,
        ),
        right=RIGHT,
    )
    def work_cipher(
        self, who: int, s: int, word: str, mechanism: Mech, key: int, calls: list[Any], right: bool
    ) -> None:
        """Begin an operation that can begin, and go on with it some way."""
        rsa = mechanism.name == "RSA_PKCS"
        self.have_key(who, ("rsa public" if word == "Encrypt" else "rsa private") if rsa else "aes")
        self.cipher_init(who, s, word, mechanism, key)
        for function, size, out in calls:
            if function == "Init":
                self.cipher_init(who, s, word, None, key)
            elif function == "Final":
                self.final(who, s, word.lower(), out)
            else:
                self.cipher(who, s, word + function, size, right, out)

    @rule(
        who=WHO,
        s=S,
        word=st.sampled_from(["Sign", "Verify"]),
        mechanism=st.sampled_from(
            [Mech("SHA256_HMAC"), Mech("RSA_PKCS"), Mech("SHA256_RSA_PKCS"), Mech("ECDSA")]
        ),
        key=KEY,
        calls=st.lists(
            st.tuples(st.sampled_from(["", "", "Update", "Update", "Final"]), SIZE, OUT, HOW),
            min_size=1,
            max_size=5,
        ),
    )
    def work_signature(
        self, who: int, s: int, word: str, mechanism: Mech, key: int, calls: list[Any]
    ) -> None:
        """Begin a signature or verification that can begin, and go on with it some way."""
        side = "private" if word == "Sign" else "public"
        family = {"SHA256_HMAC": "secret", "ECDSA": f"ec {side}"}.get(mechanism.name)
        self.have_key(who, family or f"rsa {side}")
        self.signature_init(who, s, word, mechanism, key)
        for function, size, out, how in calls:
            if function == "Update":
                self.update(who, s, word.lower(), size)
            elif word == "Sign":
                self.final(who, s, "sign", out) if function else self.whole(
                    who, s, "Sign", size, out
                )
            elif function == "Final":
                self.verify_final(who, s, how)
            else:
                self.verify(who, s, size, how)

    @rule(
        who=WHO,
        s=S,
        calls=st.lists(
            st.tuples(
                st.sampled_from(["whole", "update", "update", "final", "key", "save", "restore"]),
                SIZE,
                OUT,
            ),
            min_size=1,
            max_size=6,
        ),
        key=KEY,
    )
    def work_digest(self, who: int, s: int, calls: list[Any], key: int) -> None:
        """Begin a digest, and go on with it some way."""
        self.digest_init(who, s, Mech("SHA256"))
        for call, size, out in calls:
            if call == "whole":
                self.whole(who, s, "Digest", size, out)
            elif call == "update":
                self.update(who, s, "digest", size)
            elif call == "final":
                self.final(who, s, "digest", out)
            elif call == "key":
                self.digest_key(who, s, key)
            elif call == "save":
                self.get_operation_state(who, s, out)
            else:
                self.set_operation_state(who, s, 0, 0)

    @rule(
        who=WHO,
        s=S,
        pair=st.sampled_from(["DigestEncrypt", "DecryptDigest", "SignEncrypt", "DecryptVerify"]),
        mechanism=st.sampled_from([Mech("AES_ECB"), Mech("AES_CBC_PAD", IV)]),
        calls=st.lists(
            st.tuples(
                st.sampled_from(["dual", "dual", "dual", "update", "final", "other final"]),
                SIZE,
                OUT,
            ),
            min_size=1,
            max_size=5,
        ),
        how=HOW,
    )
    def work_pair(
        self, who: int, s: int, pair: str, mechanism: Mech, calls: list[Any], how: str
    ) -> None:
        """Begin two operations, and go on with them together and apart."""
        word = "Encrypt" if "Encrypt" in pair else "Decrypt"
        other = pair.replace(word, "")
        self.have_key(who, "aes")
        self.have_key(who, "secret")
        self.cipher_init(who, s, word, mechanism, 0)
        if other == "Digest":
            self.digest_init(who, s, Mech("SHA256"))
        else:
            self.signature_init(who, s, other, Mech("SHA256_HMAC"), 0)
        for call, size, out in calls:
            if call == "dual":
                self.dual(who, s, pair, size, out)
            elif call == "update":
                self.update(who, s, other.lower(), size)
            elif call == "final":
                self.final(who, s, word.lower(), out)
            elif other == "Verify":
                self.verify_final(who, s, how)
            else:
                self.final(who, s, other.lower(), out)

    @rule(
        who=WHO,
        s=S,
        word=st.sampled_from(["Encrypt", "Decrypt"]),
        calls=st.lists(
            st.tuples(
                st.sampled_from(["message", "begin", "next", "next", "last", "final"]),
                st.sampled_from([0, 16, 17, None]),
                OUT,
            ),
            min_size=1,
            max_size=6,
        ),
        right=RIGHT,
    )
    def work_messages(self, who: int, s: int, word: str, calls: list[Any], right: bool) -> None:
        """Begin a process of messages, and go on with it some way."""
        self.have_key(who, "aes")
        self.message_init(who, s, word, Mech("AES_GCM"), 0)
        for call, size, out in calls:
            if call == "message":
                self.message(who, s, word, size, right, out)
            elif call == "begin":
                self.message_begin(who, s, word, b"x")
            elif call == "final":
                self.message_final(who, s, word)
            else:
                self.message_next(who, s, word, size, out, int(call == "last"))

    @rule(
        who=WHO,
        s=S,
        word=st.sampled_from(["Encrypt", "Sign", "Decrypt"]),
        guess=GUESSES,
        size=SIZE,
        out=OUT,
        before=RIGHT,
    )
    def work_guarded(
        self, who: int, s: int, word: str, guess: str, size: int | None, out: Out, before: bool
    ) -> None:
        """Use a key that wants its PIN at each use, with a login for it or without."""
        flags = {"TOKEN": False, "PRIVATE": True, "ALWAYS_AUTHENTICATE": True}
        if word == "Encrypt":
            word = "Sign"
        self.login(who, s, 1, "right")
        self.create_object(who, s, "rsa private", flags, None, Cell())

        def begin(c: Choices) -> tuple[Any, ...]:
            key = c.object(0, lambda o: o.flag("ALWAYS_AUTHENTICATE"))
            return (c.session(s), Mech("RSA_PKCS"), key)

        self.step(who, f"{word}Init", begin)
        if before:
            self.login(who, s, 2, guess)
        if word == "Sign":
            self.whole(who, s, "Sign", size, out)
        else:
            self.cipher(who, s, "Decrypt", size, True, out)
