"""Mechanisms, judged by the library that did not make the operation's glue."""

import hashlib
import hmac
import struct

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import load_der_public_key
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from program import P256, ROOM, Program, attributes

from ukey_emulator.cryptoki.wire import Mechanism, Out, Parameter
from ukey_emulator.terms import CKA, CKG, CKK, CKM, CKO, CKR, CKU

KEY = bytes(range(16))
IV = bytes(range(16, 32))
quick = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def aes_key(program: Program, session: int) -> int:
    template = attributes(CLASS=int(CKO.SECRET_KEY), KEY_TYPE=int(CKK.AES), VALUE=KEY)
    return int(program.C_CreateObject(session, template, True))


def expected(kind: CKM, data: bytes) -> bytes:
    if kind is CKM.AES_GCM:
        return AESGCM(KEY).encrypt(IV[:12], data, b"more")
    mode = modes.CTR(IV) if kind is CKM.AES_CTR else modes.CBC(IV)
    if kind is CKM.AES_CBC_PAD:
        pad = PKCS7(128).padder()
        data = pad.update(data) + pad.finalize()
    context = Cipher(algorithms.AES(KEY), mode).encryptor()
    return context.update(data) + context.finalize()


PARAMETERS = {
    CKM.AES_CBC_PAD: IV,
    CKM.AES_CTR: struct.pack("<Q", 128) + IV,
    CKM.AES_GCM: Parameter("GCM", (IV[:12], 96, b"more", 128)),
}


@pytest.mark.parametrize("kind", PARAMETERS)
@quick
@given(parts=st.lists(st.binary(max_size=50), max_size=5))
def test_parts_of_any_size_make_the_same_ciphertext(
    program: Program, kind: CKM, parts: list[bytes]
) -> None:
    session = program.open(user=CKU.USER)
    key = aes_key(program, session)
    mechanism = Mechanism(kind, PARAMETERS[kind])
    program.C_EncryptInit(session, mechanism, key)
    out = b"".join(program.C_EncryptUpdate(session, part, ROOM) for part in parts)
    out += program.C_EncryptFinal(session, ROOM)
    assert out == expected(kind, b"".join(parts))
    program.C_DecryptInit(session, mechanism, key)
    clear = b""
    for at in range(0, len(out), 7):
        piece = out[at : at + 7]
        most = program.C_DecryptUpdate(session, piece, Out(True, None))
        got = program.C_DecryptUpdate(session, piece, ROOM)
        assert len(got) <= most
        clear += got
    clear += program.C_DecryptFinal(session, ROOM)
    assert clear == b"".join(parts)
    program.C_CloseSession(session)


def test_blocks_that_are_not_full(program: Program) -> None:
    session = program.open(user=CKU.USER)
    key = aes_key(program, session)
    mechanism = Mechanism(CKM.AES_CBC, IV)
    program.C_EncryptInit(session, mechanism, key)
    assert program.rv("C_Encrypt", session, bytes(15), ROOM) == CKR.DATA_LEN_RANGE
    program.C_DecryptInit(session, mechanism, key)
    assert program.rv("C_Decrypt", session, bytes(15), ROOM) == CKR.ENCRYPTED_DATA_LEN_RANGE
    program.C_DecryptInit(session, Mechanism(CKM.AES_CBC_PAD, IV), key)
    assert program.rv("C_Decrypt", session, bytes(16), ROOM) == CKR.ENCRYPTED_DATA_INVALID


def test_a_wrong_tag_gives_no_plaintext(program: Program) -> None:
    session = program.open(user=CKU.USER)
    key = aes_key(program, session)
    mechanism = Mechanism(CKM.AES_GCM, PARAMETERS[CKM.AES_GCM])
    program.C_EncryptInit(session, mechanism, key)
    sealed = program.C_Encrypt(session, b"message", ROOM)
    program.C_DecryptInit(session, mechanism, key)
    program.C_DecryptUpdate(session, sealed[:-1], ROOM)
    program.C_DecryptUpdate(session, bytes([sealed[-1] ^ 1]), ROOM)
    code, results = program.face.call(program.application, "C_DecryptFinal", (session, ROOM))
    assert (code, results) == (CKR.AEAD_DECRYPT_FAILED, ())


@pytest.mark.parametrize(
    ("kind", "parameter"),
    [
        (CKM.AES_CBC, None),
        (CKM.AES_CBC, bytes(15)),
        (CKM.AES_ECB, bytes(16)),
        (CKM.AES_GCM, bytes(48)),
        (CKM.AES_GCM, Parameter("GCM", (IV, 128, None, 129))),
        (CKM.AES_CTR, struct.pack("<Q", 129) + IV),
    ],
)
def test_wrong_parameters(program: Program, kind: CKM, parameter: object) -> None:
    session = program.open(user=CKU.USER)
    mechanism = Mechanism(kind, parameter)
    key = aes_key(program, session)
    assert program.rv("C_EncryptInit", session, mechanism, key) == CKR.MECHANISM_PARAM_INVALID


def test_the_convention_for_output(program: Program) -> None:
    session = program.open(user=CKU.USER)
    _, private = program.ec_pair(session)
    ecdsa = Mechanism(CKM.ECDSA, None)
    program.C_SignInit(session, ecdsa, private)
    assert program.rv("C_SignInit", session, ecdsa, private) == CKR.OPERATION_ACTIVE
    assert program.C_Sign(session, bytes(32), Out(True, None)) == 64
    short = program.face.call(program.application, "C_Sign", (session, bytes(32), Out(True, 1)))
    assert short == (CKR.BUFFER_TOO_SMALL, (64,))
    assert len(program.C_Sign(session, bytes(32), Out(True, 64))) == 64
    assert program.rv("C_Sign", session, b"", ROOM) == CKR.OPERATION_NOT_INITIALIZED
    program.C_SignInit(session, ecdsa, private)
    assert program.rv("C_Sign", session, b"", Out(False, None)) == CKR.ARGUMENTS_BAD
    program.C_SignInit(session, ecdsa, private)
    program.C_SignUpdate(session, bytes(3))
    assert program.rv("C_Sign", session, bytes(29), ROOM) == CKR.OPERATION_ACTIVE
    program.C_SignInit(session, None, 0)
    assert program.rv("C_SignFinal", session, ROOM) == CKR.OPERATION_NOT_INITIALIZED
    assert program.rv("C_SignInit", session, None, 0) == CKR.ARGUMENTS_BAD
    assert program.rv("C_DigestInit", session, None) == CKR.ARGUMENTS_BAD


@pytest.fixture(scope="module")
def numbers() -> rsa.RSAPrivateNumbers:
    return rsa.generate_private_key(65537, 2048).private_numbers()


def big(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def import_rsa(
    program: Program, session: int, numbers: rsa.RSAPrivateNumbers, *, crt: bool = True
) -> int:
    parts = {
        "MODULUS": big(numbers.public_numbers.n),
        "PUBLIC_EXPONENT": big(numbers.public_numbers.e),
        "PRIVATE_EXPONENT": big(numbers.d),
    }
    if crt:
        parts |= {"PRIME_1": big(numbers.p), "PRIME_2": big(numbers.q)}
    template = attributes(CLASS=int(CKO.PRIVATE_KEY), KEY_TYPE=int(CKK.RSA), **parts)
    return int(program.C_CreateObject(session, template, True))


PSS = struct.pack("<QQQ", CKM.SHA256, CKG.MGF1_SHA256, 32)
MESSAGE = b"what the holder sees"
SCHEMES = {
    CKM.SHA256_RSA_PKCS: (None, padding.PKCS1v15(), hashes.SHA256()),
    CKM.SHA512_RSA_PKCS: (None, padding.PKCS1v15(), hashes.SHA512()),
    CKM.SHA256_RSA_PKCS_PSS: (PSS, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()),
}


@pytest.mark.parametrize("kind", SCHEMES)
@pytest.mark.parametrize("crt", [True, False])
def test_an_imported_rsa_key_signs(
    program: Program, numbers: rsa.RSAPrivateNumbers, kind: CKM, *, crt: bool
) -> None:
    parameter, pad, algorithm = SCHEMES[kind]
    session = program.open(user=CKU.USER)
    key = import_rsa(program, session, numbers, crt=crt)
    program.C_SignInit(session, Mechanism(kind, parameter), key)
    program.C_SignUpdate(session, MESSAGE[:5])
    program.C_SignUpdate(session, MESSAGE[5:])
    signature = program.C_SignFinal(session, ROOM)
    public = numbers.public_numbers.public_key()
    public.verify(signature, MESSAGE, pad, algorithm)


def test_numbers_that_are_no_rsa_key_are_refused(
    program: Program, numbers: rsa.RSAPrivateNumbers
) -> None:
    session = program.open(user=CKU.USER)
    template = attributes(
        CLASS=int(CKO.PRIVATE_KEY),
        KEY_TYPE=int(CKK.RSA),
        MODULUS=big(numbers.public_numbers.n),
        PUBLIC_EXPONENT=big(numbers.public_numbers.e),
        PRIVATE_EXPONENT=big(numbers.d),
        PRIME_1=big(numbers.p),
        PRIME_2=big(numbers.q + 2),
    )
    code = program.rv("C_CreateObject", session, template, True)
    assert code == CKR.ATTRIBUTE_VALUE_INVALID


def test_raw_rsa_takes_what_fits(program: Program, numbers: rsa.RSAPrivateNumbers) -> None:
    session = program.open(user=CKU.USER)
    key = import_rsa(program, session, numbers)
    raw = Mechanism(CKM.RSA_PKCS, None)
    program.C_SignInit(session, raw, key)
    assert program.rv("C_Sign", session, bytes(246), ROOM) == CKR.DATA_LEN_RANGE
    program.C_SignInit(session, raw, key)
    signature = program.C_Sign(session, b"any bytes", ROOM)
    public = numbers.public_numbers
    clear = pow(int.from_bytes(signature, "big"), public.e, public.n).to_bytes(256, "big")
    assert clear == b"\0\1" + b"\xff" * 244 + b"\0any bytes"


def test_rsa_decrypts_what_the_library_encrypts(
    program: Program, numbers: rsa.RSAPrivateNumbers
) -> None:
    session = program.open(user=CKU.USER)
    key = import_rsa(program, session, numbers)
    public = numbers.public_numbers.public_key()
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), b"label")
    parameter = Parameter("OAEP", (int(CKM.SHA256), int(CKG.MGF1_SHA256), 1, b"label"))
    for pad, mechanism in (
        (padding.PKCS1v15(), Mechanism(CKM.RSA_PKCS, None)),
        (oaep, Mechanism(CKM.RSA_PKCS_OAEP, parameter)),
    ):
        program.C_DecryptInit(session, mechanism, key)
        assert program.C_Decrypt(session, public.encrypt(MESSAGE, pad), ROOM) == MESSAGE
    program.C_DecryptInit(session, Mechanism(CKM.RSA_PKCS, None), key)
    assert program.rv("C_Decrypt", session, bytes(10), ROOM) == CKR.ENCRYPTED_DATA_LEN_RANGE


def test_no_answer_tells_true_padding_from_false(
    program: Program, numbers: rsa.RSAPrivateNumbers
) -> None:
    """PKCS#1 v1.5 rejects implicitly: a message comes that is always the same for a ciphertext."""
    session = program.open(user=CKU.USER)
    key = import_rsa(program, session, numbers)
    public = numbers.public_numbers
    size = (public.n.bit_length() + 7) // 8
    made = []
    for block in (b"\0\1" + b"p" * (size - 3) + b"\0", b"\0\2" + b"p" * (size - 2)):
        power = pow(int.from_bytes(block, "big"), public.e, public.n).to_bytes(size, "big")
        for _ in range(2):
            program.C_DecryptInit(session, Mechanism(CKM.RSA_PKCS, None), key)
            made.append(program.C_Decrypt(session, power, ROOM))
    assert made[0] == made[1]
    assert made[2] == made[3]
    assert made[0] != made[2]
    assert not any(b"ppp" in each for each in made)


@quick
@given(message=st.binary(min_size=1, max_size=64))
def test_ecdsa_signs_the_leftmost_bits_of_any_message(program: Program, message: bytes) -> None:
    session = program.open(user=CKU.USER)
    public, private = program.ec_pair(session)
    program.C_SignInit(session, Mechanism(CKM.ECDSA, None), private)
    signature = program.C_Sign(session, message, ROOM)
    info = program.read(session, public, CKA.PUBLIC_KEY_INFO)
    point = load_der_public_key(info)
    assert isinstance(point, ec.EllipticCurvePublicKey)
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    assert verifies(point, int.from_bytes(message[:32], "big"), r, s)
    program.C_VerifyInit(session, Mechanism(CKM.ECDSA, None), public)
    program.C_Verify(session, message, signature)
    program.C_CloseSession(session)


def verifies(point: ec.EllipticCurvePublicKey, number: int, r: int, s: int) -> bool:
    """Verify over the bare number, as FIPS 186-5 §6.4.2 has it, through a 32-byte digest."""
    digest = number.to_bytes(32, "big")
    point.verify(encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(hashes.SHA256())))
    return True


@pytest.mark.parametrize(
    ("mechanism", "code"),
    [
        (Mechanism(0x7FFFFFFF, None), CKR.MECHANISM_INVALID),
        (Mechanism(CKM.AES_KEY_GEN, None), CKR.MECHANISM_INVALID),
        (Mechanism(CKM.RSA_PKCS, None), CKR.KEY_TYPE_INCONSISTENT),
        (Mechanism(CKM.ECDSA, b"parameter"), CKR.MECHANISM_PARAM_INVALID),
    ],
)
def test_signing_with_what_does_not_fit(program: Program, mechanism: Mechanism, code: CKR) -> None:
    session = program.open(user=CKU.USER)
    _, private = program.ec_pair(session)
    assert program.rv("C_SignInit", session, mechanism, private) == code


def test_permissions_of_a_key(program: Program) -> None:
    session = program.open(user=CKU.USER)
    ecdsa = Mechanism(CKM.ECDSA, None)
    public, private = program.ec_pair(session, SIGN=False)
    assert program.rv("C_SignInit", session, ecdsa, private) == CKR.KEY_FUNCTION_NOT_PERMITTED
    assert program.rv("C_SignInit", session, ecdsa, public) == CKR.KEY_FUNCTION_NOT_PERMITTED
    assert program.rv("C_SignInit", session, ecdsa, 999) == CKR.KEY_HANDLE_INVALID
    only = struct.pack("<Q", CKM.ECDSA_SHA256)
    _, private = program.ec_pair(session, ALLOWED_MECHANISMS=only)
    assert program.rv("C_SignInit", session, ecdsa, private) == CKR.MECHANISM_INVALID
    program.C_SignInit(session, Mechanism(CKM.ECDSA_SHA256, None), private)


def test_a_key_that_asks_each_time(program: Program) -> None:
    session = program.open(user=CKU.USER)
    ecdsa = Mechanism(CKM.ECDSA, None)
    _, private = program.ec_pair(session, ALWAYS_AUTHENTICATE=True)
    program.C_SignInit(session, ecdsa, private)
    assert program.rv("C_Sign", session, bytes(32), ROOM) == CKR.USER_NOT_LOGGED_IN
    program.C_SignInit(session, ecdsa, private)
    assert program.rv("C_Login", session, CKU.CONTEXT_SPECIFIC, b"wrong!") == CKR.PIN_INCORRECT
    program.C_Login(session, CKU.CONTEXT_SPECIFIC, b"123456")
    program.C_Sign(session, bytes(32), ROOM)
    assert (
        program.rv("C_Login", session, CKU.CONTEXT_SPECIFIC, b"123456")
        == CKR.OPERATION_NOT_INITIALIZED
    )


def test_generation_by_a_bad_template_makes_neither_half(program: Program) -> None:
    session = program.open(user=CKU.USER)
    public = attributes(EC_PARAMS=P256)
    generate = Mechanism(CKM.EC_KEY_PAIR_GEN, None)
    for private, code in (
        (attributes(MODULUS=b"\1"), CKR.TEMPLATE_INCONSISTENT),
        (attributes(VALUE=b"\1"), CKR.ATTRIBUTE_READ_ONLY),
        (attributes(CLASS=int(CKO.DATA)), CKR.TEMPLATE_INCONSISTENT),
    ):
        arguments = (session, generate, public, private, True, True)
        assert program.rv("C_GenerateKeyPair", *arguments) == code
    unknown = attributes(EC_PARAMS=b"\6\3\1\2\3")
    arguments = (session, generate, unknown, [], True, True)
    assert program.rv("C_GenerateKeyPair", *arguments) == CKR.CURVE_NOT_SUPPORTED
    assert program.find(session) == []


def test_hmac_and_digest(program: Program) -> None:
    session = program.open(user=CKU.USER)
    template = attributes(
        CLASS=int(CKO.SECRET_KEY), KEY_TYPE=int(CKK.GENERIC_SECRET), VALUE=b"secret"
    )
    key = program.C_CreateObject(session, template, True)
    mac = Mechanism(CKM.SHA256_HMAC, None)
    program.C_SignInit(session, mac, key)
    code = program.C_Sign(session, MESSAGE, ROOM)
    assert code == hmac.digest(b"secret", MESSAGE, "sha256")
    program.C_VerifyInit(session, mac, key)
    assert program.rv("C_Verify", session, MESSAGE, code[:-1]) == CKR.SIGNATURE_LEN_RANGE
    program.C_VerifyInit(session, mac, key)
    assert program.rv("C_Verify", session, MESSAGE, bytes(32)) == CKR.SIGNATURE_INVALID
    program.C_DigestInit(session, Mechanism(CKM.SHA3_256, None))
    program.C_DigestUpdate(session, MESSAGE)
    assert program.C_DigestFinal(session, ROOM) == hashlib.sha3_256(MESSAGE).digest()
