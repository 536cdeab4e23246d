"""What a published test is tried on: a session, and each operation in one part and in many."""

from collections.abc import Iterator
from typing import Any

from brought import LOOSE, private, public, secret
from c_program import CProgram
from program import Out, attributes

from ukey_emulator.cryptoki.wire import Mechanism, Query
from ukey_emulator.terms import CKA, CKK, CKM, CKO, CKU

WIDE = Out(asked=True, capacity=1 << 14)
EVERYTHING = (1 << 32) - 1
Test = dict[str, Any]


class WrongResultError(Exception):
    """What came out is not what was published."""


def expect(found: object, published: object) -> None:
    """Raise WrongResultError unless it is what was published."""
    if found != published:
        raise WrongResultError(f"{found!r:.80}, not {published!r:.80}")


def raw(test: Test, field: str) -> bytes:
    """Give a field's bytes, none where there is no such field."""
    return bytes.fromhex(test.get(field, ""))


def hash_name(published: str) -> str:
    """Give the standard's word for a hash function: SHA-512/224 is SHA512_224."""
    return (
        published.replace("SHA-", "SHA").replace("SHA2-", "SHA").replace("-", "_").replace("/", "_")
    )


def hash_kind(published: str) -> CKM:
    """Give the mechanism of a hash function."""
    name = hash_name(published)
    return CKM[{"SHA1": "SHA_1"}.get(name, name)]


def parts(data: bytes) -> Iterator[bytes]:
    """Cut a message into parts of uneven lengths, shorter and longer than a block."""
    at = 0
    for length in (1, 15, 16, 17, 3, 64, 33, 250):
        if at < len(data):
            yield data[at : at + length]
        at += length
    if at < len(data):
        yield data[at:]


class Bench:
    """A program with a session, for the tests of one file; `used` are a test's mechanisms."""

    def __init__(self, program: CProgram, slot: int, algorithm: str) -> None:
        self.program = program
        self.session = program.open(slot, user=CKU.USER)
        self.algorithm = algorithm
        self.used: set[CKM] = set()

    def _begins(self, mechanism: Mechanism) -> Mechanism:
        self.used.add(CKM(mechanism.type))
        return mechanism

    def _whole(self, way: str, mechanism: Mechanism, key: int, data: bytes) -> bytes:
        """Have data encrypted, decrypted or signed in one part."""
        call = self.program.__getattr__
        call(f"C_{way}Init")(self.session, self._begins(mechanism), key)
        return bytes(call(f"C_{way}")(self.session, data, WIDE))

    def _cut(self, way: str, mechanism: Mechanism, key: int, data: bytes) -> bytes:
        """Have data encrypted or decrypted in many parts."""
        call = self.program.__getattr__
        call(f"C_{way}Init")(self.session, mechanism, key)
        given = [call(f"C_{way}Update")(self.session, part, WIDE) for part in parts(data)]
        return b"".join(given) + bytes(call(f"C_{way}Final")(self.session, WIDE))

    def encrypt(self, mechanism: Mechanism, key: int, data: bytes, *, cut: bool = True) -> bytes:
        """Encrypt in one part, and where it can be `cut` in many, with the same result."""
        whole = self._whole("Encrypt", mechanism, key, data)
        if cut:
            expect(self._cut("Encrypt", mechanism, key, data), whole)
        return whole

    def decrypt(self, mechanism: Mechanism, key: int, data: bytes, *, cut: bool = True) -> bytes:
        """Decrypt likewise."""
        whole = self._whole("Decrypt", mechanism, key, data)
        if cut:
            expect(self._cut("Decrypt", mechanism, key, data), whole)
        return whole

    def sign(self, mechanism: Mechanism, key: int, data: bytes, *, cut: bool = True) -> bytes:
        """Sign likewise: only for signatures that are always the same."""
        whole = self._whole("Sign", mechanism, key, data)
        if cut:
            self.program.C_SignInit(self.session, mechanism, key)
            for part in parts(data):
                self.program.C_SignUpdate(self.session, part)
            expect(bytes(self.program.C_SignFinal(self.session, WIDE)), whole)
        return whole

    def verify(
        self, mechanism: Mechanism, key: int, data: bytes, signature: bytes, *, cut: bool = True
    ) -> None:
        """Verify in one part and in many, and with the signature given first."""
        self.program.C_VerifyInit(self.session, self._begins(mechanism), key)
        self.program.C_Verify(self.session, data, signature)
        if cut:
            self.program.C_VerifyInit(self.session, mechanism, key)
            for part in parts(data):
                self.program.C_VerifyUpdate(self.session, part)
            self.program.C_VerifyFinal(self.session, signature)
            self.program.C_VerifySignatureInit(self.session, mechanism, key, signature)
            self.program.C_VerifySignature(self.session, data)

    def seal(self, kind: CKM, key: int, message: Any, extra: bytes, data: bytes) -> bytes:
        """Encrypt one message; its tag is written where its parameter has room for it."""
        self.program.C_MessageEncryptInit(self.session, Mechanism(kind, None), key)
        sealed = bytes(self.program.C_EncryptMessage(self.session, message, extra, data, WIDE))
        self.program.C_MessageEncryptFinal(self.session)
        return sealed

    def unseal(self, kind: CKM, key: int, message: Any, extra: bytes, sealed: bytes) -> bytes:
        """Decrypt one message."""
        self.program.C_MessageDecryptInit(self.session, Mechanism(kind, None), key)
        data = bytes(self.program.C_DecryptMessage(self.session, message, extra, sealed, WIDE))
        self.program.C_MessageDecryptFinal(self.session)
        return data

    def digest(self, mechanism: Mechanism, data: bytes) -> bytes:
        """Digest in one part and in many."""
        self.program.C_DigestInit(self.session, self._begins(mechanism))
        whole = bytes(self.program.C_Digest(self.session, data, WIDE))
        self.program.C_DigestInit(self.session, mechanism)
        for part in parts(data):
            self.program.C_DigestUpdate(self.session, part)
        expect(bytes(self.program.C_DigestFinal(self.session, WIDE)), whole)
        return whole

    def digest_key(self, mechanism: Mechanism, key: int) -> bytes:
        """Digest the value of a key."""
        self.program.C_DigestInit(self.session, mechanism)
        self.program.C_DigestKey(self.session, key)
        return bytes(self.program.C_DigestFinal(self.session, WIDE))

    def recover(self, mechanism: Mechanism, key: int, signature: bytes) -> bytes:
        """Verify a signature and give what it signs."""
        self.program.C_VerifyRecoverInit(self.session, self._begins(mechanism), key)
        return bytes(self.program.C_VerifyRecover(self.session, signature, WIDE))

    def secret(self, value: bytes, kind: CKK, **more: object) -> int:
        """Bring a secret key whose value can be read."""
        return secret(self.program, self.session, value, kind, **{**LOOSE, **more})

    def private(self, kind: CKK, **more: object) -> int:
        """Bring a private key."""
        return private(self.program, self.session, kind, **{**LOOSE, **more})

    def public(self, kind: CKK, **more: object) -> int:
        """Bring a public key."""
        return public(self.program, self.session, kind, **more)

    def value(self, key: int, attribute: CKA = CKA.VALUE) -> bytes:
        """Read a key's value, or another of its attributes."""
        queries = [Query(attribute, 1 << 14, None)]
        (answer,) = self.program.C_GetAttributeValue(self.session, key, queries)
        return bytes(answer[1])

    def derive_key(self, mechanism: Mechanism, base: int, **template: object) -> int:
        """Derive an object."""
        arguments = (self._begins(mechanism), base, attributes(**template), True)
        return int(self.program.C_DeriveKey(self.session, *arguments))

    def derive(self, mechanism: Mechanism, base: int, **template: object) -> bytes:
        """Derive a secret key and read its value."""
        return self.value(self.derive_key(mechanism, base, **{**LOOSE, **template}))

    def generate(self, mechanism: Mechanism, **template: object) -> bytes:
        """Generate a secret key and read its value."""
        arguments = (self._begins(mechanism), attributes(**{**LOOSE, **template}), True)
        return self.value(self.program.C_GenerateKey(self.session, *arguments))

    def wrap(self, mechanism: Mechanism, key: int, value: bytes) -> bytes:
        """Wrap a secret key of that value."""
        wrapped = self.secret(value, CKK.GENERIC_SECRET)
        arguments = (self._begins(mechanism), key, wrapped, WIDE)
        return bytes(self.program.C_WrapKey(self.session, *arguments))

    def unwrap(self, mechanism: Mechanism, key: int, wrapped: bytes, **more: object) -> bytes:
        """Unwrap a secret key and read its value."""
        kinds = {"CLASS": int(CKO.SECRET_KEY), "KEY_TYPE": int(CKK.GENERIC_SECRET)}
        template = attributes(**{**kinds, **LOOSE, **more})
        arguments = (self._begins(mechanism), key, wrapped, template, True)
        return self.value(self.program.C_UnwrapKey(self.session, *arguments))

    def decapsulate(self, mechanism: Mechanism, key: int, ciphertext: bytes) -> bytes:
        """Decapsulate a secret key and read its value."""
        arguments = (self._begins(mechanism), key, attributes(**LOOSE), ciphertext, True)
        return self.value(self.program.C_DecapsulateKey(self.session, *arguments))

    def start_over(self) -> None:
        """End what a test has left under way."""
        self.used = set()
        self.program.C_SessionCancel(self.session, EVERYTHING)

    def close(self) -> None:
        """Close the session, and with it all keys."""
        self.program.C_CloseSession(self.session)
