"""Keys that tests bring to the token, and what they have the token do with them."""

from program import ROOM, Program, attributes

from ukey_emulator.cryptoki.wire import Mechanism
from ukey_emulator.terms import CKK, CKO

LOOSE = {"SENSITIVE": False, "EXTRACTABLE": True}


def secret(
    program: Program, session: int, value: bytes, kind: CKK = CKK.GENERIC_SECRET, **more: object
) -> int:
    """Bring a secret key."""
    template = attributes(CLASS=int(CKO.SECRET_KEY), KEY_TYPE=int(kind), VALUE=value, **more)
    return int(program.C_CreateObject(session, template, True))


def private(program: Program, session: int, kind: CKK, **more: object) -> int:
    """Bring a private key."""
    template = attributes(CLASS=int(CKO.PRIVATE_KEY), KEY_TYPE=int(kind), **more)
    return int(program.C_CreateObject(session, template, True))


def public(program: Program, session: int, kind: CKK, **more: object) -> int:
    """Bring a public key."""
    template = attributes(CLASS=int(CKO.PUBLIC_KEY), KEY_TYPE=int(kind), **more)
    return int(program.C_CreateObject(session, template, True))


def pair(
    program: Program, session: int, mechanism: int, public: dict[str, object], **private: object
) -> tuple[int, int]:
    """Have a pair made."""
    one, other = program.C_GenerateKeyPair(
        session, Mechanism(mechanism, None), attributes(**public), attributes(**private), True, True
    )
    return int(one), int(other)


def sign(
    program: Program, session: int, mechanism: Mechanism, key: int, data: bytes, step: int = 0
) -> bytes:
    """Sign in one part, or in parts of `step` bytes."""
    program.C_SignInit(session, mechanism, key)
    if not step:
        return bytes(program.C_Sign(session, data, ROOM))
    for at in range(0, len(data), step):
        program.C_SignUpdate(session, data[at : at + step])
    return bytes(program.C_SignFinal(session, ROOM))


def verify(
    program: Program, session: int, mechanism: Mechanism, key: int, data: bytes, signature: bytes
) -> int:
    """Verify in one part: give the return value."""
    program.C_VerifyInit(session, mechanism, key)
    return program.rv("C_Verify", session, data, signature)


def encrypt(
    program: Program, session: int, mechanism: Mechanism, key: int, data: bytes, step: int = 0
) -> bytes:
    """Encrypt in one part, or in parts of `step` bytes."""
    program.C_EncryptInit(session, mechanism, key)
    if not step:
        return bytes(program.C_Encrypt(session, data, ROOM))
    parts = [
        program.C_EncryptUpdate(session, data[at : at + step], ROOM)
        for at in range(0, len(data), step)
    ]
    return b"".join(parts) + bytes(program.C_EncryptFinal(session, ROOM))


def decrypt(
    program: Program, session: int, mechanism: Mechanism, key: int, data: bytes, step: int = 0
) -> bytes:
    """Decrypt in one part, or in parts of `step` bytes."""
    program.C_DecryptInit(session, mechanism, key)
    if not step:
        return bytes(program.C_Decrypt(session, data, ROOM))
    parts = [
        program.C_DecryptUpdate(session, data[at : at + step], ROOM)
        for at in range(0, len(data), step)
    ]
    return b"".join(parts) + bytes(program.C_DecryptFinal(session, ROOM))


def derive(
    program: Program, session: int, mechanism: Mechanism, base: int, **template: object
) -> int:
    """Derive a key whose value can be read."""
    wanted = attributes(**{**LOOSE, **template})
    return int(program.C_DeriveKey(session, mechanism, base, wanted, True))
