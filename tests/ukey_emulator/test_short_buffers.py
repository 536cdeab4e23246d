"""A buffer that is too short leaves an operation as it was, whatever call comes next (§5.2)."""

import hashlib
import hmac

import pytest
from program import ROOM, Program, attributes

from ukey_emulator.cryptoki.wire import Mechanism, Out
from ukey_emulator.terms import CKK, CKM, CKO, CKR, CKU

SHORT = Out(asked=True, capacity=1)
CBC = Mechanism(CKM.AES_CBC, bytes(16))
PADDED = Mechanism(CKM.AES_CBC_PAD, bytes(16))
KEY = bytes(range(16))


@pytest.fixture
def session(program: Program) -> int:
    return program.open(user=CKU.USER)


def secret(program: Program, session: int, kind: CKK) -> int:
    template = attributes(CLASS=int(CKO.SECRET_KEY), KEY_TYPE=int(kind), VALUE=KEY)
    return int(program.C_CreateObject(session, template, True))


def test_other_data_is_digested_after_a_short_buffer(program: Program, session: int) -> None:
    program.C_DigestInit(session, Mechanism(CKM.SHA256, None))
    assert program.rv("C_Digest", session, b"one", SHORT) == CKR.BUFFER_TOO_SMALL
    assert program.C_Digest(session, b"two", ROOM) == hashlib.sha256(b"two").digest()
    program.C_DigestInit(session, Mechanism(CKM.SHA256, None))
    assert program.rv("C_Digest", session, b"one", SHORT) == CKR.BUFFER_TOO_SMALL
    program.C_DigestUpdate(session, b"three")
    assert program.rv("C_DigestFinal", session, SHORT) == CKR.BUFFER_TOO_SMALL
    program.C_DigestUpdate(session, b" four")
    assert program.C_DigestFinal(session, ROOM) == hashlib.sha256(b"three four").digest()


@pytest.mark.parametrize("kind", [CKM.SHA256_HMAC, CKM.AES_CMAC])
def test_other_data_is_signed_after_a_short_buffer(
    program: Program, session: int, kind: CKM
) -> None:
    key = secret(program, session, CKK.AES if kind == CKM.AES_CMAC else CKK.GENERIC_SECRET)
    mechanism = Mechanism(kind, None)
    program.C_SignInit(session, mechanism, key)
    expected = program.C_Sign(session, b"two", ROOM)
    if kind == CKM.SHA256_HMAC:
        assert expected == hmac.digest(KEY, b"two", "sha256")
    program.C_SignInit(session, mechanism, key)
    assert program.rv("C_Sign", session, b"one", SHORT) == CKR.BUFFER_TOO_SMALL
    assert program.C_Sign(session, b"two", ROOM) == expected
    program.C_SignInit(session, mechanism, key)
    program.C_SignUpdate(session, b"t")
    assert program.rv("C_SignFinal", session, SHORT) == CKR.BUFFER_TOO_SMALL
    program.C_SignUpdate(session, b"wo")
    assert program.C_SignFinal(session, ROOM) == expected


def test_a_signature_is_of_the_data_that_it_came_with(program: Program, session: int) -> None:
    public, private = program.rsa_pair(session)
    mechanism = Mechanism(CKM.SHA256_RSA_PKCS, None)
    program.C_SignInit(session, mechanism, private)
    assert program.rv("C_Sign", session, b"one", SHORT) == CKR.BUFFER_TOO_SMALL
    signature = program.C_Sign(session, b"two", ROOM)
    program.C_VerifyInit(session, mechanism, public)
    program.C_Verify(session, b"two", signature)


@pytest.mark.parametrize("mechanism", [CBC, PADDED], ids=["whole blocks", "padded"])
def test_other_data_is_ciphered_after_a_short_buffer(
    program: Program, session: int, mechanism: Mechanism
) -> None:
    key = secret(program, session, CKK.AES)
    text = bytes(40 if mechanism is PADDED else 32)
    for verb in ("Encrypt", "Decrypt"):
        begin = getattr(program, f"C_{verb}Init")
        whole, part = getattr(program, f"C_{verb}"), getattr(program, f"C_{verb}Update")
        program.C_EncryptInit(session, mechanism, key)
        sealed = program.C_Encrypt(session, text, ROOM)
        given, expected = (text, sealed) if verb == "Encrypt" else (sealed, text)
        program.C_EncryptInit(session, mechanism, key)
        other = program.C_Encrypt(session, b"another text " * 16, ROOM)
        begin(session, mechanism, key)
        assert program.rv(f"C_{verb}", session, other, SHORT) == CKR.BUFFER_TOO_SMALL
        assert whole(session, given, ROOM) == expected
        begin(session, mechanism, key)
        assert program.rv(f"C_{verb}", session, other, SHORT) == CKR.BUFFER_TOO_SMALL
        assert program.rv(f"C_{verb}Update", session, other, SHORT) == CKR.BUFFER_TOO_SMALL
        came = part(session, given, ROOM)
        if mechanism is PADDED:
            assert program.rv(f"C_{verb}Final", session, SHORT) == CKR.BUFFER_TOO_SMALL
        came += getattr(program, f"C_{verb}Final")(session, ROOM)
        assert came == expected


def test_a_buffer_as_long_as_the_plaintext_is_enough(program: Program, session: int) -> None:
    key = secret(program, session, CKK.AES)
    public, private = program.rsa_pair(session, DECRYPT=True)
    for mechanism, sealing, opening in (
        (PADDED, key, key),
        (Mechanism(CKM.RSA_PKCS, None), public, private),
    ):
        program.C_EncryptInit(session, mechanism, sealing)
        one = program.C_Encrypt(session, b"one", ROOM)
        program.C_EncryptInit(session, mechanism, sealing)
        three = program.C_Encrypt(session, b"three", ROOM)
        program.C_DecryptInit(session, mechanism, opening)
        code, lengths = program.face.call(
            program.application, "C_Decrypt", (session, three, Out(asked=True, capacity=4))
        )
        assert (code, lengths) == (CKR.BUFFER_TOO_SMALL, (5,))
        assert program.C_Decrypt(session, one, Out(asked=True, capacity=3)) == b"one"


def test_room_for_more_objects_than_there_can_be(program: Program, session: int) -> None:
    secret(program, session, CKK.AES)
    program.C_FindObjectsInit(session, attributes(CLASS=int(CKO.SECRET_KEY)))
    assert len(program.C_FindObjects(session, Out(asked=True, capacity=2**64 - 3))) == 1
