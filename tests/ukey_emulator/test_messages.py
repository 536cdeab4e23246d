"""Messages: many encrypted or signed under one key, and keys wrapped with associated data."""

import struct
from typing import Any

import pytest
from brought import LOOSE, decrypt, encrypt, secret, sign
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.poly1305 import Poly1305
from program import ROOM, Program, attributes

from ukey_emulator.cryptoki.wire import Mechanism, Misfit, Out, Parameter
from ukey_emulator.terms import CKA, CKF, CKG, CKK, CKM, CKO, CKR, CKU

KEY = bytes(range(32))
NONCE = bytes(range(50, 62))
TEXT = b"one message of some length, not whole blocks"
END = int(CKF.END_OF_MESSAGE)
GCM = Mechanism(CKM.AES_GCM, None)


def gcm(nonce: bytes, fixed: int, how: CKG, tag: bytes | None = b"") -> Parameter:
    return Parameter("GCM_MESSAGE", (nonce, fixed, int(how), tag, 128))


def ccm(length: int, tag: bytes | None = b"") -> Parameter:
    return Parameter("CCM_MESSAGE", (length, NONCE, 0, int(CKG.NO_GENERATE), tag, 8))


def chacha(tag: bytes | None = b"") -> Parameter:
    return Parameter("POLY1305_MESSAGE", (NONCE, tag))


CIPHERS: dict[CKM, Any] = {
    CKM.AES_GCM: (
        CKK.AES,
        lambda tag=b"": gcm(NONCE, 0, CKG.NO_GENERATE, tag),
        16,
        AESGCM(KEY).encrypt(NONCE, TEXT, b"extra"),
    ),
    CKM.AES_CCM: (
        CKK.AES,
        lambda tag=b"": ccm(len(TEXT), tag),
        8,
        AESCCM(KEY, 8).encrypt(NONCE, TEXT, b"extra"),
    ),
    CKM.CHACHA20_POLY1305: (
        CKK.CHACHA20,
        chacha,
        16,
        ChaCha20Poly1305(KEY).encrypt(NONCE, TEXT, b"extra"),
    ),
}


@pytest.mark.parametrize("kind", CIPHERS)
def test_messages_whole_and_in_parts(program: Program, kind: CKM) -> None:
    key_type, parameter, tag_length, expected = CIPHERS[kind]
    sealed, tag = expected[:-tag_length], expected[-tag_length:]
    session = program.open(user=CKU.USER)
    key = secret(program, session, KEY, key_type)
    program.C_MessageEncryptInit(session, Mechanism(kind, None), key)
    for _ in range(2):
        heads, out = program.C_EncryptMessage(session, parameter(), b"extra", TEXT, ROOM)
        assert (heads, out) == ((None, tag), sealed)
    assert program.C_EncryptMessageBegin(session, parameter(), b"extra") == (None, None)
    _, first = program.C_EncryptMessageNext(session, parameter(), TEXT[:17], ROOM, 0)
    heads, last = program.C_EncryptMessageNext(session, parameter(), TEXT[17:], ROOM, END)
    assert (first + last, heads) == (sealed, (None, tag))
    program.C_MessageEncryptFinal(session)
    program.C_MessageDecryptInit(session, Mechanism(kind, None), key)
    assert program.C_DecryptMessage(session, parameter(tag), b"extra", sealed, ROOM) == TEXT
    program.C_DecryptMessageBegin(session, parameter(tag), b"extra")
    assert program.C_DecryptMessageNext(session, parameter(tag), sealed[:9], ROOM, 0) == b""
    assert program.C_DecryptMessageNext(session, parameter(tag), sealed[9:], ROOM, END) == TEXT
    spoilt = bytes([tag[0] ^ 1]) + tag[1:]
    arguments = (session, parameter(spoilt), b"extra", sealed, ROOM)
    assert program.rv("C_DecryptMessage", *arguments) == CKR.AEAD_DECRYPT_FAILED
    arguments = (session, parameter(tag), b"other", sealed, ROOM)
    assert program.rv("C_DecryptMessage", *arguments) == CKR.AEAD_DECRYPT_FAILED
    program.C_MessageDecryptFinal(session)


@pytest.mark.parametrize("kind", CIPHERS)
def test_the_same_ciphers_in_one_call(program: Program, kind: CKM) -> None:
    key_type, _, tag_length, expected = CIPHERS[kind]
    fields = {
        CKM.AES_GCM: Parameter("GCM", (NONCE, 96, b"extra", 128)),
        CKM.AES_CCM: Parameter("CCM", (len(TEXT), NONCE, b"extra", tag_length)),
        CKM.CHACHA20_POLY1305: Parameter("POLY1305", (NONCE, b"extra")),
    }[kind]
    session = program.open(user=CKU.USER)
    key = secret(program, session, KEY, key_type)
    for step in (0, 7):
        assert encrypt(program, session, Mechanism(kind, fields), key, TEXT, step) == expected
        assert decrypt(program, session, Mechanism(kind, fields), key, expected, step) == TEXT


def test_states_of_encrypting_messages(program: Program) -> None:
    session = program.open(user=CKU.USER)
    key = secret(program, session, KEY, CKK.AES)
    parameter = gcm(NONCE, 0, CKG.NO_GENERATE)
    whole = (session, parameter, b"", TEXT, ROOM)
    part = (session, parameter, TEXT, ROOM, 0)
    begin = (session, parameter, b"")
    none, active = CKR.OPERATION_NOT_INITIALIZED, CKR.OPERATION_ACTIVE
    assert program.rv("C_EncryptMessage", *whole) == none
    assert program.rv("C_EncryptMessageBegin", *begin) == none
    assert program.rv("C_EncryptMessageNext", *part) == none
    assert program.rv("C_MessageEncryptFinal", session) == none
    program.C_MessageEncryptInit(session, GCM, key)
    assert program.rv("C_MessageEncryptInit", session, GCM, key) == active
    assert program.rv("C_EncryptMessageNext", *part) == none
    program.C_EncryptMessageBegin(*begin)
    assert program.rv("C_EncryptMessageBegin", *begin) == active
    assert program.rv("C_EncryptMessage", *whole) == active
    assert program.rv("C_MessageEncryptFinal", session) == active
    program.C_EncryptMessageNext(*part)
    refused = (session, parameter, None, ROOM, 0)
    assert program.rv("C_EncryptMessageNext", *refused) == CKR.ARGUMENTS_BAD
    assert program.rv("C_EncryptMessageNext", *part) == none
    program.C_MessageEncryptInit(session, None, 0)
    assert program.rv("C_MessageEncryptFinal", session) == none
    program.C_MessageEncryptInit(session, GCM, key)
    program.C_SessionCancel(session, CKF.MESSAGE_ENCRYPT)
    assert program.rv("C_MessageEncryptFinal", session) == none


def test_states_of_decrypting_messages(program: Program) -> None:
    session = program.open(user=CKU.USER)
    key = secret(program, session, KEY, CKK.AES)
    parameter = gcm(NONCE, 0, CKG.NO_GENERATE, bytes(16))
    part = (session, parameter, TEXT, ROOM, 0)
    none, active = CKR.OPERATION_NOT_INITIALIZED, CKR.OPERATION_ACTIVE
    assert program.rv("C_MessageDecryptFinal", session) == none
    program.C_MessageDecryptInit(session, GCM, key)
    assert program.rv("C_MessageDecryptInit", session, GCM, key) == active
    assert program.rv("C_DecryptMessageNext", *part) == none
    program.C_DecryptMessageBegin(session, parameter, b"")
    assert program.rv("C_DecryptMessageBegin", session, parameter, b"") == active
    assert program.rv("C_DecryptMessage", session, parameter, b"", TEXT, ROOM) == active
    assert program.rv("C_MessageDecryptFinal", session) == active
    end = (session, parameter, TEXT, ROOM, END)
    assert program.rv("C_DecryptMessageNext", *end) == CKR.AEAD_DECRYPT_FAILED
    assert program.rv("C_DecryptMessageNext", *part) == none
    program.C_MessageDecryptFinal(session)


def test_buffers_for_messages(program: Program) -> None:
    session = program.open(user=CKU.USER)
    key = secret(program, session, KEY, CKK.AES)
    program.C_MessageEncryptInit(session, GCM, key)
    parameter = gcm(bytes(12), 0, CKG.GENERATE_COUNTER)
    whole = (session, parameter, b"", TEXT)
    assert program.C_EncryptMessage(*whole, Out(True, None)) == (None, len(TEXT))
    short = program.face.call(program.application, "C_EncryptMessage", (*whole, Out(True, 3)))
    assert short == (CKR.BUFFER_TOO_SMALL, (None, len(TEXT)))
    # Neither has used up a nonce.
    heads, _ = program.C_EncryptMessage(*whole, Out(True, len(TEXT)))
    assert heads[0] == bytes(12)
    no_place = gcm(NONCE, 0, CKG.NO_GENERATE, None)
    code = program.rv("C_EncryptMessage", session, no_place, b"", TEXT, ROOM)
    assert code == CKR.MECHANISM_PARAM_INVALID
    for parameter in (None, Misfit(5)):
        code = program.rv("C_EncryptMessage", session, parameter, b"", TEXT, ROOM)
        assert code == CKR.MECHANISM_PARAM_INVALID


@pytest.mark.parametrize("how", [CKG.GENERATE, CKG.GENERATE_RANDOM, CKG.GENERATE_COUNTER])
def test_nonces_are_made_and_never_the_same(program: Program, how: CKG) -> None:
    session = program.open(user=CKU.USER)
    key = secret(program, session, KEY, CKK.AES)
    # The mechanism's own parameter is that of a message, which is as long as CK_GCM_PARAMS.
    program.C_MessageEncryptInit(session, Mechanism(CKM.AES_GCM, Misfit(48)), key)
    given = b"fixd" + bytes(8)
    seen = set()
    for _ in range(5):
        (nonce, tag), sealed = program.C_EncryptMessage(
            session, gcm(given, 32, how), b"extra", TEXT, ROOM
        )
        assert AESGCM(KEY).decrypt(nonce, sealed + tag, b"extra") == TEXT
        assert nonce.startswith(b"fixd")
        seen.add(nonce)
    assert len(seen) == 5
    if how is CKG.GENERATE_COUNTER:
        assert seen == {b"fixd" + struct.pack(">Q", count) for count in range(5)}


def test_a_counter_is_laid_over_the_nonce(program: Program) -> None:
    session = program.open(user=CKU.USER)
    key = secret(program, session, KEY, CKK.AES)
    program.C_MessageEncryptInit(session, GCM, key)
    parameter = gcm(NONCE, 88, CKG.GENERATE_COUNTER_XOR)
    made = [program.C_EncryptMessage(session, parameter, b"", b"", ROOM)[0][0] for _ in range(3)]
    assert made == [NONCE[:-1] + bytes([NONCE[-1] ^ count]) for count in range(3)]
    for _ in range(253):
        program.C_EncryptMessage(session, parameter, b"", b"", ROOM)
    arguments = (session, parameter, b"", b"", ROOM)
    assert program.rv("C_EncryptMessage", *arguments) == CKR.MECHANISM_PARAM_INVALID


def test_ccm_messages_hold_to_their_length(program: Program) -> None:
    session = program.open(user=CKU.USER)
    key = secret(program, session, KEY, CKK.AES)
    program.C_MessageEncryptInit(session, Mechanism(CKM.AES_CCM, None), key)
    arguments = (session, ccm(5), b"", b"four", ROOM)
    assert program.rv("C_EncryptMessage", *arguments) == CKR.DATA_LEN_RANGE
    program.C_EncryptMessageBegin(session, ccm(5), b"")
    arguments = (session, ccm(5), b"four", ROOM, END)
    assert program.rv("C_EncryptMessageNext", *arguments) == CKR.DATA_LEN_RANGE


@pytest.mark.parametrize("kind", [CKM.SHA256_HMAC, CKM.ECDSA_SHA256, CKM.RSA_PKCS])
def test_signed_messages(program: Program, kind: CKM) -> None:
    session = program.open(user=CKU.USER)
    mechanism = Mechanism(kind, None)
    if kind is CKM.SHA256_HMAC:
        public = private = secret(program, session, KEY)
    elif kind is CKM.RSA_PKCS:
        public, private = program.rsa_pair(session)
    else:
        public, private = program.ec_pair(session)
    none, active = CKR.OPERATION_NOT_INITIALIZED, CKR.OPERATION_ACTIVE
    assert program.rv("C_SignMessage", session, None, TEXT, ROOM) == none
    program.C_MessageSignInit(session, mechanism, private)
    assert program.rv("C_MessageSignInit", session, mechanism, private) == active
    length = program.C_SignMessage(session, None, TEXT, Out(True, None))
    short = (session, None, TEXT, Out(True, 1))
    code, results = program.face.call(program.application, "C_SignMessage", short)
    assert (code, results) == (CKR.BUFFER_TOO_SMALL, (length,))
    signatures = [program.C_SignMessage(session, None, TEXT, ROOM) for _ in range(2)]
    assert program.rv("C_SignMessageNext", session, None, TEXT, ROOM) == none
    program.C_SignMessageBegin(session, None)
    assert program.rv("C_SignMessage", session, None, TEXT, ROOM) == active
    assert program.rv("C_MessageSignFinal", session) == active
    program.C_SignMessageNext(session, None, TEXT[:9], Out(False, None))
    assert program.C_SignMessageNext(session, None, TEXT[9:], Out(True, None)) == length
    signatures.append(program.C_SignMessageNext(session, None, TEXT[9:], ROOM))
    program.C_MessageSignFinal(session)
    program.C_MessageVerifyInit(session, mechanism, public)
    for signature in signatures:
        program.C_VerifyMessage(session, None, TEXT, signature)
        spoilt = bytes([signature[0] ^ 1]) + signature[1:]
        code = program.rv("C_VerifyMessage", session, None, TEXT, spoilt)
        assert code == CKR.SIGNATURE_INVALID
        program.C_VerifyMessageBegin(session, None)
        assert program.rv("C_MessageVerifyFinal", session) == active
        program.C_VerifyMessageNext(session, None, TEXT[:9], None)
        program.C_VerifyMessageNext(session, None, TEXT[9:], signature)
    assert program.rv("C_VerifyMessageNext", session, None, TEXT, None) == none
    program.C_MessageVerifyFinal(session)
    assert program.rv("C_MessageVerifyFinal", session) == none


def test_a_key_that_asks_each_time_signs_messages_after_a_login(program: Program) -> None:
    session = program.open(user=CKU.USER)
    _, private = program.ec_pair(session, ALWAYS_AUTHENTICATE=True)
    program.C_MessageSignInit(session, Mechanism(CKM.ECDSA_SHA256, None), private)
    code = program.rv("C_SignMessage", session, None, TEXT, ROOM)
    assert code == CKR.USER_NOT_LOGGED_IN
    program.C_Login(session, CKU.CONTEXT_SPECIFIC, b"123456")
    program.C_SignMessage(session, None, TEXT, ROOM)
    program.C_MessageSignFinal(session)


WRAPPED = {"CLASS": int(CKO.SECRET_KEY), "KEY_TYPE": int(CKK.GENERIC_SECRET), **LOOSE}


@pytest.mark.parametrize("how", [CKG.NO_GENERATE, CKG.GENERATE, CKG.GENERATE_RANDOM])
@pytest.mark.parametrize("kind", [CKM.AES_GCM, CKM.AES_CCM])
def test_wrapping_with_associated_data(program: Program, kind: CKM, how: CKG) -> None:
    session = program.open(user=CKU.USER)
    wrapping = secret(program, session, KEY, CKK.AES)
    key = secret(program, session, TEXT, **LOOSE)

    def mechanism(nonce: bytes, tag: bytes) -> Mechanism:
        if kind is CKM.AES_GCM:
            return Mechanism(kind, gcm(nonce, 0, how, tag))
        fields = (0, nonce, 0, int(how), tag, 16)
        return Mechanism(kind, Parameter("CCM_MESSAGE", fields))

    (made, tag), wrapped = program.C_WrapKeyAuthenticated(
        session, mechanism(NONCE, b""), wrapping, key, b"extra", ROOM
    )
    assert (made is None) == (how is CKG.NO_GENERATE)
    nonce = NONCE if made is None else made
    cipher = AESGCM(KEY) if kind is CKM.AES_GCM else AESCCM(KEY)
    assert cipher.decrypt(nonce, wrapped + tag, b"extra") == TEXT
    arguments = (session, mechanism(nonce, tag), wrapping, wrapped, attributes(**WRAPPED))
    back = program.C_UnwrapKeyAuthenticated(*arguments, b"extra", True)
    assert program.read(session, back, CKA.VALUE) == TEXT
    code = program.rv("C_UnwrapKeyAuthenticated", *arguments, b"other", True)
    assert code == CKR.WRAPPED_KEY_INVALID
    asked = (session, mechanism(NONCE, b""), wrapping, key, b"extra", Out(True, None))
    assert program.C_WrapKeyAuthenticated(*asked) == (None, len(TEXT))


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (CKM.AES_GCM, ("GCM_WRAP", (NONCE, 0, int(CKG.GENERATE), b"extra", 128))),
        (CKM.AES_CCM, ("CCM_WRAP", (0, NONCE, 0, int(CKG.GENERATE), b"extra", 16))),
    ],
)
def test_wrapping_makes_a_nonce(program: Program, kind: CKM, fields: Any) -> None:
    session = program.open(user=CKU.USER)
    wrapping = secret(program, session, KEY, CKK.AES)
    key = secret(program, session, TEXT, **LOOSE)
    arguments = (session, Mechanism(kind, Parameter(*fields)), wrapping, key, ROOM)
    code, (nonce, wrapped) = program.face.call(program.application, "C_WrapKey", arguments)
    assert code == CKR.OK
    cipher = AESGCM(KEY) if kind is CKM.AES_GCM else AESCCM(KEY)
    assert cipher.decrypt(nonce, wrapped, b"extra") == TEXT
    known = tuple(nonce if field == NONCE else field for field in fields[1])
    mechanism = Mechanism(kind, Parameter(fields[0], known))
    template = attributes(**WRAPPED)
    back = program.C_UnwrapKey(session, mechanism, wrapping, wrapped, template, True)
    assert program.read(session, back, CKA.VALUE) == TEXT
    spoilt = wrapped[:-1] + bytes([wrapped[-1] ^ 1])
    arguments = (session, mechanism, wrapping, spoilt, template, True)
    assert program.rv("C_UnwrapKey", *arguments) == CKR.WRAPPED_KEY_INVALID


def test_wrapping_that_knows_no_associated_data(program: Program) -> None:
    session = program.open(user=CKU.USER)
    wrapping = secret(program, session, KEY, CKK.AES)
    key = secret(program, session, TEXT, **LOOSE)
    for mechanism, code in (
        (GCM, CKR.MECHANISM_PARAM_INVALID),
        (Mechanism(CKM.AES_GCM, gcm(NONCE, 0, CKG.GENERATE_COUNTER)), CKR.MECHANISM_PARAM_INVALID),
        (Mechanism(CKM.AES_ECB, gcm(NONCE, 0, CKG.NO_GENERATE)), CKR.MECHANISM_INVALID),
        (Mechanism(CKM.SHA256, None), CKR.MECHANISM_INVALID),
    ):
        arguments = (session, mechanism, wrapping, key, b"", ROOM)
        assert program.rv("C_WrapKeyAuthenticated", *arguments) == code


def test_chacha20_and_poly1305_apart(program: Program) -> None:
    session = program.open(user=CKU.USER)
    key = secret(program, session, KEY, CKK.CHACHA20)
    for counter, nonce in ((struct.pack("<I", 7), NONCE), (struct.pack("<Q", 7), NONCE[:8])):
        fields = (counter, 8 * len(counter), nonce, 8 * len(nonce))
        mechanism = Mechanism(CKM.CHACHA20, Parameter("CHACHA20", fields))
        context = Cipher(algorithms.ChaCha20(KEY, counter + nonce), None).encryptor()
        assert encrypt(program, session, mechanism, key, TEXT, 5) == context.update(TEXT)
    fields = (bytes(4), 32, NONCE[:8], 64)
    mechanism = Mechanism(CKM.CHACHA20, Parameter("CHACHA20", fields))
    code = program.rv("C_EncryptInit", session, mechanism, key)
    assert code == CKR.MECHANISM_PARAM_INVALID
    code_key = secret(program, session, KEY, CKK.POLY1305)
    made = sign(program, session, Mechanism(CKM.POLY1305, None), code_key, TEXT, 5)
    assert made == Poly1305.generate_tag(KEY, TEXT)
    for kind, key_type in (
        (CKM.CHACHA20_KEY_GEN, CKK.CHACHA20),
        (CKM.POLY1305_KEY_GEN, CKK.POLY1305),
    ):
        new = program.C_GenerateKey(session, Mechanism(kind, None), attributes(**LOOSE), True)
        assert len(program.read(session, new, CKA.VALUE)) == 32
        assert program.read(session, new, CKA.KEY_TYPE) == struct.pack("<Q", key_type)
