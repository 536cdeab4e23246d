"""Operations that hold messages, come in pairs, are saved or cancelled."""

import hashlib
import struct

import pytest
from program import ROOM, Program, attributes

from ukey_emulator.cryptoki.wire import Mechanism, Out
from ukey_emulator.terms import CKF, CKK, CKM, CKO, CKR, CKU

SHA256 = Mechanism(CKM.SHA256, None)
CBC = Mechanism(CKM.AES_CBC_PAD, bytes(16))
HMAC = Mechanism(CKM.SHA256_HMAC, None)
TEXT = bytes(range(100))


def secret(program: Program, session: int, kind: CKK, **more: object) -> int:
    template = attributes(CLASS=int(CKO.SECRET_KEY), KEY_TYPE=int(kind), VALUE=bytes(16), **more)
    return int(program.C_CreateObject(session, template, True))


@pytest.mark.parametrize("kind", [CKM.RSA_PKCS, CKM.RSA_X_509])
def test_a_message_is_taken_out_of_its_signature(program: Program, kind: CKM) -> None:
    session = program.open(user=CKU.USER)
    mechanism = Mechanism(kind, None)
    public_template = attributes(MODULUS_BITS=2048, VERIFY_RECOVER=True)
    generate = Mechanism(CKM.RSA_PKCS_KEY_PAIR_GEN, None)
    private_template = attributes(SIGN_RECOVER=True)
    public, private = program.C_GenerateKeyPair(
        session, generate, public_template, private_template, True, True
    )
    program.C_SignRecoverInit(session, mechanism, private)
    signature = program.C_SignRecover(session, b"message", ROOM)
    program.C_VerifyRecoverInit(session, mechanism, public)
    assert program.C_VerifyRecover(session, signature, ROOM).lstrip(b"\0") == b"message"
    program.C_VerifyInit(session, mechanism, public)
    program.C_Verify(session, b"message", signature)
    spoilt = bytes([signature[0] ^ 1]) + signature[1:]
    program.C_VerifyInit(session, mechanism, public)
    assert program.rv("C_Verify", session, b"message", spoilt) == CKR.SIGNATURE_INVALID
    program.C_VerifyRecoverInit(session, mechanism, public)
    assert program.rv("C_VerifyRecover", session, signature[:-1], ROOM) == CKR.SIGNATURE_LEN_RANGE


def test_raw_rsa_undoes_itself(program: Program) -> None:
    session = program.open(user=CKU.USER)
    public, private = program.rsa_pair(session)
    raw = Mechanism(CKM.RSA_X_509, None)
    program.C_EncryptInit(session, raw, public)
    sealed = program.C_Encrypt(session, b"number", ROOM)
    program.C_DecryptInit(session, raw, private)
    assert program.C_Decrypt(session, sealed, ROOM) == b"number".rjust(256, b"\0")
    program.C_EncryptInit(session, raw, public)
    assert program.rv("C_Encrypt", session, b"\xff" * 256, ROOM) == CKR.DATA_LEN_RANGE


def test_digesting_what_is_encrypted_and_decrypted(program: Program) -> None:
    session = program.open(user=CKU.USER)
    key = secret(program, session, CKK.AES)
    program.C_DigestInit(session, SHA256)
    program.C_EncryptInit(session, CBC, key)
    assert program.rv("C_DigestEncryptUpdate", session, TEXT, Out(True, 3)) == CKR.BUFFER_TOO_SMALL
    sealed = program.C_DigestEncryptUpdate(session, TEXT, ROOM)
    sealed += program.C_EncryptFinal(session, ROOM)
    assert program.C_DigestFinal(session, ROOM) == hashlib.sha256(TEXT).digest()
    program.C_DigestInit(session, SHA256)
    program.C_DecryptInit(session, CBC, key)
    clear = program.C_DecryptDigestUpdate(session, sealed, ROOM)
    last = program.C_DecryptFinal(session, ROOM)
    assert clear + last == TEXT
    assert program.C_DigestFinal(session, ROOM) == hashlib.sha256(clear).digest()


def test_signing_what_is_encrypted_and_verifying_what_is_decrypted(program: Program) -> None:
    session = program.open(user=CKU.USER)
    key = secret(program, session, CKK.AES)
    mac = secret(program, session, CKK.GENERIC_SECRET)
    whole = bytes(96)
    program.C_SignInit(session, HMAC, mac)
    program.C_EncryptInit(session, Mechanism(CKM.AES_CBC, bytes(16)), key)
    sealed = program.C_SignEncryptUpdate(session, whole, ROOM)
    code = program.C_SignFinal(session, ROOM)
    program.C_EncryptFinal(session, ROOM)
    program.C_VerifyInit(session, HMAC, mac)
    program.C_DecryptInit(session, Mechanism(CKM.AES_CBC, bytes(16)), key)
    assert program.C_DecryptVerifyUpdate(session, sealed, ROOM) == whole
    program.C_VerifyFinal(session, code)


def test_a_pair_wants_both_operations(program: Program) -> None:
    session = program.open(user=CKU.USER)
    program.C_EncryptInit(session, CBC, secret(program, session, CKK.AES))
    assert program.rv("C_DigestEncryptUpdate", session, TEXT, ROOM) == CKR.OPERATION_NOT_INITIALIZED


def test_a_pair_whose_key_waits_for_its_pin_encrypts_nothing(program: Program) -> None:
    """A call that fails leaves the other operation where it was (PKCS#11 3.2 §5)."""
    session = program.open(user=CKU.USER)
    _, private = program.ec_pair(session, ALWAYS_AUTHENTICATE=True)
    key = secret(program, session, CKK.AES)
    program.C_EncryptInit(session, CBC, key)
    whole = program.C_Encrypt(session, TEXT, ROOM)
    program.C_SignInit(session, Mechanism(CKM.ECDSA_SHA256, None), private)
    program.C_EncryptInit(session, CBC, key)
    assert program.rv("C_SignEncryptUpdate", session, TEXT, ROOM) == CKR.USER_NOT_LOGGED_IN
    assert program.rv("C_SignEncryptUpdate", session, TEXT, ROOM) == CKR.OPERATION_NOT_INITIALIZED
    assert program.C_EncryptUpdate(session, TEXT, ROOM) == whole[:96]


def test_a_digest_is_saved_and_goes_on_elsewhere(program: Program, other_program: Program) -> None:
    first, second = program.open(), program.open()
    program.C_DigestInit(first, SHA256)
    program.C_DigestUpdate(first, b"one ")
    length = program.C_GetOperationState(first, Out(True, None))
    state = program.C_GetOperationState(first, Out(True, length))
    program.C_DigestUpdate(first, b"two")
    for session in (second, second):
        program.C_SetOperationState(session, state, 0, 0)
        program.C_DigestUpdate(session, b"three")
        assert program.C_DigestFinal(session, ROOM) == hashlib.sha256(b"one three").digest()
    assert program.C_DigestFinal(first, ROOM) == hashlib.sha256(b"one two").digest()
    assert program.rv("C_SetOperationState", second, bytes(32), 0, 0) == CKR.SAVED_STATE_INVALID
    stranger = other_program.open()
    assert other_program.rv("C_SetOperationState", stranger, state, 0, 0) == CKR.SAVED_STATE_INVALID


def test_a_state_is_for_sessions_like_the_one_it_comes_from(program: Program) -> None:
    """Another state of the session is told by C_SetOperationState (PKCS#11 3.2 §5.6.7)."""
    first, reading = program.open(), program.open(writable=False)
    program.C_DigestInit(first, SHA256)
    state = program.C_GetOperationState(first, ROOM)
    code = program.rv("C_SetOperationState", reading, state, 0, 0)
    assert code == CKR.SAVED_STATE_INVALID
    program.C_Login(first, CKU.USER, b"123456")
    assert program.rv("C_SetOperationState", first, state, 0, 0) == CKR.SAVED_STATE_INVALID
    program.C_Logout(first)
    program.C_SetOperationState(first, state, 0, 0)
    assert program.C_DigestFinal(first, ROOM) == hashlib.sha256(b"").digest()


def test_an_operation_with_a_key_is_not_saved(program: Program) -> None:
    session = program.open(user=CKU.USER)
    assert program.rv("C_GetOperationState", session, ROOM) == CKR.OPERATION_NOT_INITIALIZED
    key = secret(program, session, CKK.AES)
    _, private = program.rsa_pair(session, SIGN_RECOVER=True)
    program.C_SignRecoverInit(session, Mechanism(CKM.RSA_PKCS, None), private)
    program.C_MessageEncryptInit(session, Mechanism(CKM.AES_GCM, None), key)
    program.C_FindObjectsInit(session, [])
    # These are none of the operations that a state could be of (§5.6.6).
    assert program.rv("C_GetOperationState", session, ROOM) == CKR.OPERATION_NOT_INITIALIZED
    program.C_EncryptInit(session, CBC, key)
    assert program.rv("C_GetOperationState", session, ROOM) == CKR.STATE_UNSAVEABLE


def test_keys_are_digested_if_their_value_may_be_seen(program: Program) -> None:
    session = program.open(user=CKU.USER)
    hidden = secret(program, session, CKK.AES)
    shown = secret(program, session, CKK.AES, SENSITIVE=False, EXTRACTABLE=True)
    assert program.rv("C_DigestKey", session, shown) == CKR.OPERATION_NOT_INITIALIZED
    program.C_DigestInit(session, SHA256)
    program.C_DigestUpdate(session, b"key ")
    # Unlike C_DigestUpdate, this call ends nothing where it fails (§5, §5.12.4).
    assert program.rv("C_DigestKey", session, hidden) == CKR.KEY_INDIGESTIBLE
    assert program.rv("C_DigestKey", session, 4711) == CKR.KEY_HANDLE_INVALID
    program.C_DigestKey(session, shown)
    assert program.C_DigestFinal(session, ROOM) == hashlib.sha256(b"key " + bytes(16)).digest()


def test_a_signature_that_is_known_from_the_start(program: Program) -> None:
    session = program.open(user=CKU.USER)
    public, private = program.ec_pair(session)
    mechanism = Mechanism(CKM.ECDSA_SHA256, None)
    program.C_SignInit(session, mechanism, private)
    signature = program.C_Sign(session, b"in parts", ROOM)
    program.C_VerifySignatureInit(session, mechanism, public, signature)
    program.C_VerifySignature(session, b"in parts")
    program.C_VerifySignatureInit(session, mechanism, public, signature)
    program.C_VerifySignatureUpdate(session, b"in ")
    program.C_VerifySignatureUpdate(session, b"parts")
    program.C_VerifySignatureFinal(session)
    program.C_VerifySignatureInit(session, mechanism, public, signature)
    assert program.rv("C_VerifySignature", session, b"other") == CKR.SIGNATURE_INVALID
    assert program.rv("C_VerifySignature", session, b"other") == CKR.OPERATION_NOT_INITIALIZED


def test_cancelling_names_what_ends(program: Program) -> None:
    session = program.open()
    program.C_DigestInit(session, SHA256)
    program.C_FindObjectsInit(session, [])
    program.C_SessionCancel(session, 0)
    program.C_SessionCancel(session, CKF.DIGEST | CKF.SIGN)
    assert program.rv("C_DigestFinal", session, ROOM) == CKR.OPERATION_NOT_INITIALIZED
    program.C_FindObjectsFinal(session)


def test_verification_of_a_signature_known_from_the_start_is_cancelled(program: Program) -> None:
    session = program.open(user=CKU.USER)
    public, _ = program.ec_pair(session)
    mechanism = Mechanism(CKM.ECDSA_SHA256, None)
    program.C_VerifySignatureInit(session, mechanism, public, bytes(64))
    program.C_SessionCancel(session, CKF.SIGN)
    program.C_VerifySignatureUpdate(session, b"part")
    program.C_SessionCancel(session, CKF.VERIFY)
    code = program.rv("C_VerifySignatureUpdate", session, b"part")
    assert code == CKR.OPERATION_NOT_INITIALIZED


def test_users_with_names_and_other_things_of_version_3(program: Program) -> None:
    session = program.open()
    assert (
        program.rv("C_LoginUser", session, CKU.USER, b"123456", b"somebody")
        == CKR.USER_TYPE_INVALID
    )
    program.C_LoginUser(session, CKU.USER, b"123456", b"")
    assert program.C_GetSessionValidationFlags(session, 1, True) == 0
    assert program.rv("C_AsyncGetID", session, b"C_Sign", True) == CKR.SESSION_ASYNC_NOT_SUPPORTED


def test_asking_how_long_the_end_is_takes_no_part(program: Program) -> None:
    """Only an update keeps C_Digest, C_Encrypt and their kin from doing it all (§5.8.2)."""
    session = program.open(user=CKU.USER)
    key = secret(program, session, CKK.AES, ENCRYPT=True)
    program.C_DigestInit(session, SHA256)
    assert program.C_DigestFinal(session, Out(asked=True, capacity=None)) == 32
    assert program.rv("C_DigestFinal", session, Out(asked=True, capacity=1)) == CKR.BUFFER_TOO_SMALL
    assert program.C_Digest(session, TEXT, ROOM) == hashlib.sha256(TEXT).digest()
    program.C_EncryptInit(session, CBC, key)
    assert program.C_EncryptFinal(session, Out(asked=True, capacity=None)) == 16
    assert len(program.C_Encrypt(session, TEXT, ROOM)) == 112


def test_a_digest_that_is_saved_before_any_part_can_still_be_made_in_one(program: Program) -> None:
    session = program.open()
    program.C_DigestInit(session, SHA256)
    state = program.C_GetOperationState(session, ROOM)
    program.C_SetOperationState(session, state, 0, 0)
    assert program.C_Digest(session, TEXT, ROOM) == hashlib.sha256(TEXT).digest()


def test_the_token_says_that_it_does_two_operations_at_once(program: Program) -> None:
    flags = struct.unpack_from("<Q", program.C_GetTokenInfo(0, True), 96)[0]
    assert flags & CKF.DUAL_CRYPTO_OPERATIONS


def test_an_object_that_is_no_key_is_not_digested(program: Program) -> None:
    session = program.open()
    data = program.C_CreateObject(session, attributes(CLASS=int(CKO.DATA), VALUE=b"1"), True)
    program.C_DigestInit(session, SHA256)
    assert program.rv("C_DigestKey", session, data) == CKR.KEY_HANDLE_INVALID


def test_an_empty_message_can_be_signed_with_rsa(program: Program) -> None:
    session = program.open(user=CKU.USER)
    public, private = program.rsa_pair(session)
    mechanism = Mechanism(CKM.RSA_PKCS, None)
    program.C_SignInit(session, mechanism, private)
    signature = program.C_Sign(session, b"", ROOM)
    program.C_VerifyInit(session, mechanism, public)
    program.C_Verify(session, b"", signature)
    program.C_VerifyInit(session, mechanism, public)
    assert program.rv("C_Verify", session, b"\0", signature) == CKR.SIGNATURE_INVALID
