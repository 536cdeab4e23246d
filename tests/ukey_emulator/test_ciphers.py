"""Block and stream ciphers, authenticated or not, and codes made with them."""

import hashlib
import hmac
import struct

import pytest
from brought import LOOSE, decrypt, derive, encrypt, secret, sign, verify
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.decrepit.ciphers.modes import CFB, CFB8, OFB
from cryptography.hazmat.primitives import keywrap
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from program import ROOM, Program, attributes

from ukey_emulator.chip.mechanisms.gcm import AnyNonce
from ukey_emulator.cryptoki.wire import Mechanism, Out, Parameter
from ukey_emulator.terms import CKA, CKK, CKM, CKO, CKR, CKU

KEY = bytes(range(32))
IV = bytes(range(32, 48))
DES3_KEY = bytes.fromhex("0123456789abcdef23456789abcdef01456789abcdef0123")
TEXT = bytes(range(100, 196))
quick = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def library(cipher: Cipher[modes.Mode], data: bytes) -> bytes:
    context = cipher.encryptor()
    return context.update(data) + context.finalize()


AES = algorithms.AES(KEY)
DES = TripleDES(DES3_KEY)
PLAIN = {
    CKM.AES_OFB: (CKK.AES, KEY, IV, library(Cipher(AES, OFB(IV)), TEXT)),
    CKM.AES_CFB8: (CKK.AES, KEY, IV, library(Cipher(AES, CFB8(IV)), TEXT)),
    CKM.AES_CFB128: (CKK.AES, KEY, IV, library(Cipher(AES, CFB(IV)), TEXT)),
    CKM.AES_ECB: (CKK.AES, KEY, None, library(Cipher(AES, modes.ECB()), TEXT)),  # noqa: S305
    CKM.AES_XTS: (CKK.AES_XTS, KEY, IV, None),
    CKM.DES3_ECB: (CKK.DES3, DES3_KEY, None, library(Cipher(DES, modes.ECB()), TEXT)),  # noqa: S305
    CKM.DES3_CBC: (CKK.DES3, DES3_KEY, IV[:8], library(Cipher(DES, modes.CBC(IV[:8])), TEXT)),
    CKM.DES3_CBC_PAD: (
        CKK.DES3,
        DES3_KEY,
        IV[:8],
        library(Cipher(DES, modes.CBC(IV[:8])), TEXT + b"\x08" * 8),
    ),
}


@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.parametrize("step", [0, 7, 96])
def test_plain_modes(program: Program, kind: CKM, step: int) -> None:
    key_type, value, parameter, expected = PLAIN[kind]
    if expected is None:
        tweaked = Cipher(algorithms.AES(KEY), modes.XTS(IV))
        expected = library(tweaked, TEXT)
    session = program.open(user=CKU.USER)
    key = secret(program, session, value, key_type)
    mechanism = Mechanism(kind, parameter)
    assert encrypt(program, session, mechanism, key, TEXT, step) == expected
    assert decrypt(program, session, mechanism, key, expected, step) == TEXT


@pytest.mark.parametrize("kind", [CKM.AES_OFB, CKM.AES_XTS, CKM.DES3_CBC, CKM.DES3_CBC_PAD])
def test_an_iv_of_another_length(program: Program, kind: CKM) -> None:
    key_type, value, _, _ = PLAIN[kind]
    session = program.open(user=CKU.USER)
    key = secret(program, session, value, key_type)
    code = program.rv("C_EncryptInit", session, Mechanism(kind, bytes(15)), key)
    assert code == CKR.MECHANISM_PARAM_INVALID


@pytest.mark.parametrize(
    ("kind", "key_type", "length"),
    [
        (CKM.DES2_KEY_GEN, CKK.DES2, 16),
        (CKM.DES3_KEY_GEN, CKK.DES3, 24),
        (CKM.AES_XTS_KEY_GEN, CKK.AES_XTS, 64),
        (CKM.SHA3_256_KEY_GEN, CKK.SHA3_256_HMAC, 40),
    ],
)
def test_keys_are_made(program: Program, kind: CKM, key_type: CKK, length: int) -> None:
    session = program.open(user=CKU.USER)
    fixed = key_type in (CKK.DES2, CKK.DES3)
    size = {} if fixed else {"VALUE_LEN": length}
    key = program.C_GenerateKey(session, Mechanism(kind, None), attributes(**LOOSE, **size), True)
    value = program.read(session, key, CKA.VALUE)
    assert len(value) == length
    assert program.read(session, key, CKA.KEY_TYPE) == struct.pack("<Q", key_type)
    if fixed:
        assert all(byte.bit_count() % 2 for byte in value)
        zeros = library(Cipher(TripleDES((value + value[:8])[:24]), modes.ECB()), bytes(8))  # noqa: S305
        assert program.read(session, key, CKA.CHECK_VALUE) == zeros[:3]


def test_a_length_that_the_type_tells_anyway(program: Program) -> None:
    session = program.open(user=CKU.USER)
    generate = Mechanism(CKM.DES3_KEY_GEN, None)
    program.C_GenerateKey(session, generate, attributes(VALUE_LEN=24), True)
    code = program.rv("C_GenerateKey", session, generate, attributes(VALUE_LEN=16), True)
    assert code == CKR.TEMPLATE_INCONSISTENT


def test_a_des_key_of_wrong_parity_is_refused(program: Program) -> None:
    session = program.open(user=CKU.USER)
    template = attributes(CLASS=int(CKO.SECRET_KEY), KEY_TYPE=int(CKK.DES3), VALUE=bytes(24))
    code = program.rv("C_CreateObject", session, template, True)
    assert code == CKR.ATTRIBUTE_VALUE_INVALID
    wrapping = secret(program, session, KEY, CKK.AES)
    template = attributes(CLASS=int(CKO.SECRET_KEY), KEY_TYPE=int(CKK.DES3))
    for value, expected in (
        (bytes(24), CKR.WRAPPED_KEY_INVALID),
        (bytes(32), CKR.WRAPPED_KEY_LEN_RANGE),
    ):
        wrapped = keywrap.aes_key_wrap(KEY, value)
        mechanism = Mechanism(CKM.AES_KEY_WRAP, None)
        arguments = (session, mechanism, wrapping, wrapped, template, True)
        assert program.rv("C_UnwrapKey", *arguments) == expected


def ctr(bits: int, counter: int) -> Mechanism:
    block = bytes(12) + counter.to_bytes(4, "big")
    return Mechanism(CKM.AES_CTR, struct.pack("<Q16s", bits, block))


@pytest.mark.parametrize(
    ("bits", "counter", "blocks"),
    [(2, 1, 3), (2, 0xFFFF_FFFC, 4), (2, 3, 1), (8, 250, 6), (128, 2**32 - 1, 6)],
)
@pytest.mark.parametrize("step", [0, 7])
def test_a_counter_does_not_overflow(
    program: Program, bits: int, counter: int, blocks: int, step: int
) -> None:
    """The last block may leave the counter at its end; nothing goes beyond (§6.11)."""
    session = program.open(user=CKU.USER)
    key = secret(program, session, KEY, CKK.AES)
    mechanism, text = ctr(bits, counter), TEXT[: 16 * blocks]
    block = bytes(12) + counter.to_bytes(4, "big")
    expected = library(Cipher(AES, modes.CTR(block)), text)
    assert encrypt(program, session, mechanism, key, text, step) == expected
    assert decrypt(program, session, mechanism, key, expected, step) == text
    if bits == 128:
        return
    for use in ("Encrypt", "Decrypt"):
        program.rv(f"C_{use}Init", session, mechanism, key)
        code = program.rv(f"C_{use}", session, text + b"x", ROOM)
        assert code == CKR.DATA_LEN_RANGE
        program.rv(f"C_{use}Init", session, mechanism, key)
        program.rv(f"C_{use}Update", session, text, ROOM)
        assert program.rv(f"C_{use}Update", session, b"x", ROOM) == CKR.DATA_LEN_RANGE


@pytest.mark.parametrize("bits", [0, 129])
def test_a_counter_of_no_such_size(program: Program, bits: int) -> None:
    session = program.open(user=CKU.USER)
    key = secret(program, session, KEY, CKK.AES)
    code = program.rv("C_EncryptInit", session, ctr(bits, 0), key)
    assert code == CKR.MECHANISM_PARAM_INVALID


@pytest.mark.parametrize(
    "mechanism",
    [ctr(32, 1), *(Mechanism(kind, IV) for kind in (CKM.AES_OFB, CKM.AES_CFB8, CKM.AES_CFB128))],
    ids=lambda mechanism: mechanism.type.name,
)
def test_modes_of_streams_wrap_keys(program: Program, mechanism: Mechanism) -> None:
    session = program.open(user=CKU.USER)
    wrapping = secret(program, session, KEY, CKK.AES, ENCRYPT=True, WRAP=True)
    key = secret(program, session, TEXT[:19], **LOOSE)
    wrapped = program.C_WrapKey(session, mechanism, wrapping, key, ROOM)
    assert wrapped == encrypt(program, session, mechanism, wrapping, TEXT[:19])
    template = attributes(
        CLASS=int(CKO.SECRET_KEY), KEY_TYPE=int(CKK.GENERIC_SECRET), SENSITIVE=False
    )
    back = program.C_UnwrapKey(session, mechanism, wrapping, wrapped, template, True)
    assert program.read(session, back, CKA.VALUE) == TEXT[:19]


@pytest.mark.parametrize("iv", [b"", *(bytes(range(7)) * n for n in (1, 2, 18, 19, 200))])
def test_an_iv_of_gcm_has_any_length(program: Program, iv: bytes) -> None:
    """From one byte on; beyond 128 the library has none, but published vectors have."""
    session = program.open(user=CKU.USER)
    key = secret(program, session, KEY, CKK.AES)
    mechanism = Mechanism(CKM.AES_GCM, Parameter("GCM", (iv, 8 * len(iv), TEXT[:21], 96)))
    if not iv:
        code = program.rv("C_EncryptInit", session, mechanism, key)
        assert code == CKR.MECHANISM_PARAM_INVALID
        return
    sealed = encrypt(program, session, mechanism, key, TEXT, step=37)
    if 8 <= len(iv) <= 128:
        assert sealed == AESGCM(KEY).encrypt(iv, TEXT, TEXT[:21])[:-4]
    assert encrypt(program, session, mechanism, key, TEXT) == sealed
    assert decrypt(program, session, mechanism, key, sealed, step=50) == TEXT
    spoilt = sealed[:-1] + bytes([sealed[-1] ^ 1])
    program.C_DecryptInit(session, mechanism, key)
    assert program.rv("C_Decrypt", session, spoilt, ROOM) == CKR.AEAD_DECRYPT_FAILED


@pytest.mark.parametrize("step", [5, 16, 96])
def test_the_counter_of_gcm_begins_again_within_its_four_bytes(step: int) -> None:
    """Under this key the counter of this IV starts at fffffffe; of such an IV the library knows."""
    iv = bytes.fromhex("e350fe4ecc9a2c77f7a77c11373e90ca")
    message = AnyNonce(KEY, iv, sealing=True)
    message.add(b"additional")
    sealed = b"".join(message.update(TEXT[at : at + step]) for at in range(0, len(TEXT), step))
    assert sealed + message.tag() == AESGCM(KEY).encrypt(iv, TEXT, b"additional")


@pytest.mark.parametrize("data", [TEXT[:5], TEXT[:40]])
def test_a_question_for_the_room_of_a_part_is_never_answered_by_nothing(
    program: Program, data: bytes
) -> None:
    """Wrappers make a NULL buffer of a length of 0, and the data would never be taken (§5.2)."""
    session = program.open(user=CKU.USER)
    key = secret(program, session, KEY, CKK.AES)
    for mechanism in (
        Mechanism(CKM.AES_GCM, Parameter("GCM", (IV, 128, b"", 128))),
        Mechanism(CKM.AES_CBC_PAD, IV),
    ):
        sealed = encrypt(program, session, mechanism, key, data)
        for name, source, wanted in (("Encrypt", data, sealed), ("Decrypt", sealed, data)):
            getattr(program, f"C_{name}Init")(session, mechanism, key)
            update = getattr(program, f"C_{name}Update")
            room = update(session, source, Out(asked=True, capacity=None))
            assert room >= len(source)
            got = update(session, source, ROOM)
            assert len(got) <= room
            assert got + getattr(program, f"C_{name}Final")(session, ROOM) == wanted


@pytest.mark.parametrize("bits", [32, 64, 96, 104, 112, 120, 128])
def test_tags_that_gcm_has(program: Program, bits: int) -> None:
    """The lengths of SP 800-38D §5.2.1.2."""
    session = program.open(user=CKU.USER)
    key = secret(program, session, KEY, CKK.AES)
    mechanism = Mechanism(CKM.AES_GCM, Parameter("GCM", (IV[:12], 96, b"more", bits)))
    sealed = encrypt(program, session, mechanism, key, TEXT)
    assert sealed == AESGCM(KEY).encrypt(IV[:12], TEXT, b"more")[: len(TEXT) + bits // 8]
    assert decrypt(program, session, mechanism, key, sealed) == TEXT


@pytest.mark.parametrize("bits", [0, 8, 31, 33, 40, 88, 127, 129, 136])
def test_tags_that_gcm_has_not(program: Program, bits: int) -> None:
    session = program.open(user=CKU.USER)
    key = secret(program, session, KEY, CKK.AES)
    mechanism = Mechanism(CKM.AES_GCM, Parameter("GCM", (IV[:12], 96, b"", bits)))
    code = program.rv("C_EncryptInit", session, mechanism, key)
    assert code == CKR.MECHANISM_PARAM_INVALID


def ccm(length: int, nonce: bytes, extra: bytes, tag: int) -> Mechanism:
    return Mechanism(CKM.AES_CCM, Parameter("CCM", (length, nonce, extra, tag)))


@quick
@given(
    data=st.binary(max_size=70),
    extra=st.binary(max_size=40),
    nonce=st.binary(min_size=7, max_size=13),
    tag=st.sampled_from([4, 6, 8, 10, 12, 14, 16]),
    step=st.integers(0, 20),
)
def test_ccm_in_parts_of_any_size(
    program: Program, data: bytes, extra: bytes, nonce: bytes, tag: int, step: int
) -> None:
    session = program.open(user=CKU.USER)
    key = secret(program, session, KEY, CKK.AES)
    mechanism = ccm(len(data), nonce, extra, tag)
    expected = AESCCM(KEY, tag).encrypt(nonce, data, extra)
    assert encrypt(program, session, mechanism, key, data, step) == expected
    assert decrypt(program, session, mechanism, key, expected, step) == data
    program.C_CloseSession(session)


def test_ccm_with_long_associated_data(program: Program) -> None:
    session = program.open(user=CKU.USER)
    key = secret(program, session, KEY, CKK.AES)
    extra = bytes(70000)
    made = encrypt(program, session, ccm(5, IV[:12], extra, 16), key, b"hello")
    assert made == AESCCM(KEY).encrypt(IV[:12], b"hello", extra)


def test_ccm_holds_to_the_promised_length(program: Program) -> None:
    session = program.open(user=CKU.USER)
    key = secret(program, session, KEY, CKK.AES)
    for data in (b"four", b"sixsix"):
        program.C_EncryptInit(session, ccm(5, IV[:12], b"", 16), key)
        assert program.rv("C_Encrypt", session, data, ROOM) == CKR.DATA_LEN_RANGE
    sealed = AESCCM(KEY).encrypt(IV[:12], b"hello", None)
    program.C_DecryptInit(session, ccm(4, IV[:12], b"", 16), key)
    code = program.rv("C_Decrypt", session, sealed, ROOM)
    assert code == CKR.ENCRYPTED_DATA_LEN_RANGE
    spoilt = sealed[:-1] + bytes([sealed[-1] ^ 1])
    program.C_DecryptInit(session, ccm(5, IV[:12], b"", 16), key)
    assert program.rv("C_Decrypt", session, spoilt, ROOM) == CKR.AEAD_DECRYPT_FAILED
    for nonce, tag in ((bytes(6), 16), (bytes(14), 16), (bytes(12), 5)):
        code = program.rv("C_EncryptInit", session, ccm(5, nonce, b"", tag), key)
        assert code == CKR.MECHANISM_PARAM_INVALID


def number(value: int) -> bytes:
    return struct.pack("<Q", value)


def cmac(algorithm: algorithms.AES | TripleDES, data: bytes) -> bytes:
    code = CMAC(algorithm)
    code.update(data)
    return code.finalize()


def chain(algorithm: algorithms.AES | TripleDES, size: int, data: bytes) -> bytes:
    data += bytes(-len(data) % size)
    return library(Cipher(algorithm, modes.CBC(bytes(size))), data)[-size:]


CODES = {
    CKM.AES_CMAC: (CKK.AES, KEY, None, cmac(AES, TEXT[:50])),
    CKM.AES_CMAC_GENERAL: (CKK.AES, KEY, number(5), cmac(AES, TEXT[:50])[:5]),
    CKM.AES_MAC: (CKK.AES, KEY, None, chain(AES, 16, TEXT[:50])[:8]),
    CKM.AES_MAC_GENERAL: (CKK.AES, KEY, number(16), chain(AES, 16, TEXT[:50])),
    CKM.DES3_CMAC: (CKK.DES3, DES3_KEY, None, cmac(DES, TEXT[:50])),
    CKM.DES3_CMAC_GENERAL: (CKK.DES3, DES3_KEY, number(4), cmac(DES, TEXT[:50])[:4]),
    CKM.DES3_MAC: (CKK.DES3, DES3_KEY, None, chain(DES, 8, TEXT[:50])[:4]),
    CKM.DES3_MAC_GENERAL: (CKK.DES3, DES3_KEY, number(1), chain(DES, 8, TEXT[:50])[:1]),
    CKM.AES_GMAC: (
        CKK.AES,
        KEY,
        Parameter("GCM", (IV[:12], 96, None, 96)),
        AESGCM(KEY).encrypt(IV[:12], b"", TEXT[:50])[:12],
    ),
}
for _name in ("SHA_1", "SHA224", "SHA256", "SHA384", "SHA512", "SHA512_224", "SHA512_256"):
    _hash = {"SHA_1": "sha1"}.get(_name, _name.lower())
    CODES[CKM[_name + "_HMAC"]] = (
        CKK[_name + "_HMAC"],
        KEY,
        None,
        hmac.digest(KEY, TEXT[:50], _hash),
    )
for _name in ("SHA3_224", "SHA3_256", "SHA3_384", "SHA3_512"):
    CODES[CKM[_name + "_HMAC_GENERAL"]] = (
        CKK.GENERIC_SECRET,
        KEY,
        number(20),
        hmac.digest(KEY, TEXT[:50], _name.lower())[:20],
    )


@pytest.mark.parametrize("kind", CODES)
@pytest.mark.parametrize("step", [0, 9])
def test_codes(program: Program, kind: CKM, step: int) -> None:
    key_type, value, parameter, expected = CODES[kind]
    session = program.open(user=CKU.USER)
    key = secret(program, session, value, key_type)
    mechanism = Mechanism(kind, parameter)
    assert sign(program, session, mechanism, key, TEXT[:50], step) == expected
    assert verify(program, session, mechanism, key, TEXT[:50], expected) == CKR.OK
    assert verify(program, session, mechanism, key, TEXT, expected) == CKR.SIGNATURE_INVALID
    longer = expected + b"\0"
    code = verify(program, session, mechanism, key, TEXT[:50], longer)
    assert code == CKR.SIGNATURE_LEN_RANGE


@pytest.mark.parametrize(
    ("kind", "parameter"),
    [
        (CKM.AES_CMAC, number(4)),
        (CKM.AES_CMAC_GENERAL, None),
        (CKM.AES_CMAC_GENERAL, number(17)),
        (CKM.AES_CMAC_GENERAL, number(0)),
        (CKM.AES_GMAC, None),
    ],
)
def test_codes_with_wrong_parameters(program: Program, kind: CKM, parameter: object) -> None:
    session = program.open(user=CKU.USER)
    key = secret(program, session, KEY, CKK.AES)
    code = program.rv("C_SignInit", session, Mechanism(kind, parameter), key)
    assert code == CKR.MECHANISM_PARAM_INVALID


@pytest.mark.parametrize("name", ["sha512_224", "sha512_256"])
def test_truncated_sha_512(program: Program, name: str) -> None:
    session = program.open()
    program.C_DigestInit(session, Mechanism(CKM[name.upper()], None))
    assert program.C_Digest(session, TEXT, ROOM) == hashlib.new(name, TEXT).digest()


@pytest.mark.parametrize(
    ("kind", "parameter", "mode"),
    [
        (CKM.AES_ECB_ENCRYPT_DATA, Parameter("STRING", (TEXT[:32],)), modes.ECB()),  # noqa: S305
        (CKM.AES_CBC_ENCRYPT_DATA, Parameter("CBC_DATA_16", (IV, TEXT[:32])), modes.CBC(IV)),
    ],
)
def test_keys_derived_by_encryption(
    program: Program, kind: CKM, parameter: Parameter, mode: modes.Mode
) -> None:
    session = program.open(user=CKU.USER)
    base = secret(program, session, KEY, CKK.AES, DERIVE=True)
    whole = library(Cipher(AES, mode), TEXT[:32])
    mechanism = Mechanism(kind, parameter)
    made = derive(program, session, mechanism, base)
    assert program.read(session, made, CKA.VALUE) == whole
    made = derive(program, session, mechanism, base, KEY_TYPE=int(CKK.AES), VALUE_LEN=24)
    assert program.read(session, made, CKA.VALUE) == whole[:24]
    made = derive(program, session, mechanism, base, KEY_TYPE=int(CKK.DES3), VALUE_LEN=24)
    value = program.read(session, made, CKA.VALUE)
    assert [byte & 0xFE for byte in value] == [byte & 0xFE for byte in whole[:24]]
    assert all(byte.bit_count() % 2 for byte in value)
    for template, code in (
        (attributes(VALUE_LEN=33), CKR.DATA_LEN_RANGE),
        (attributes(KEY_TYPE=int(CKK.DES3), VALUE_LEN=16), CKR.TEMPLATE_INCONSISTENT),
        (attributes(CLASS=int(CKO.DATA)), CKR.TEMPLATE_INCONSISTENT),
    ):
        assert program.rv("C_DeriveKey", session, mechanism, base, template, True) == code
    broken = Mechanism(kind, Parameter("STRING", (TEXT[:31],)))
    code = program.rv("C_DeriveKey", session, broken, base, [], True)
    assert code == CKR.MECHANISM_PARAM_INVALID


WRAPPINGS = {
    "KW": (Mechanism(CKM.AES_KEY_WRAP, None), lambda data: keywrap.aes_key_wrap(KEY, data)),
    "KWP": (
        Mechanism(CKM.AES_KEY_WRAP_KWP, None),
        lambda data: keywrap.aes_key_wrap_with_padding(KEY, data),
    ),
    "PAD": (
        Mechanism(CKM.AES_KEY_WRAP_PAD, None),
        lambda data: keywrap.aes_key_wrap_with_padding(KEY, data),
    ),
    "PKCS7": (
        Mechanism(CKM.AES_KEY_WRAP_PKCS7, None),
        lambda data: keywrap.aes_key_wrap(
            KEY, data + bytes([8 - len(data) % 8]) * (8 - len(data) % 8)
        ),
    ),
}


@pytest.mark.parametrize("name", WRAPPINGS)
@pytest.mark.parametrize("length", [16, 24, 40])
def test_wrappings_encrypt_data_too(program: Program, name: str, length: int) -> None:
    mechanism, expected = WRAPPINGS[name]
    session = program.open(user=CKU.USER)
    key = secret(program, session, KEY, CKK.AES)
    sealed = encrypt(program, session, mechanism, key, TEXT[:length], 5)
    assert sealed == expected(TEXT[:length])
    assert decrypt(program, session, mechanism, key, sealed) == TEXT[:length]
    program.C_DecryptInit(session, mechanism, key)
    spoilt = bytes([sealed[0] ^ 1]) + sealed[1:]
    assert program.rv("C_Decrypt", session, spoilt, ROOM) == CKR.ENCRYPTED_DATA_INVALID
    program.C_DecryptInit(session, mechanism, key)
    assert program.rv("C_Decrypt", session, sealed[:-1], ROOM) == CKR.ENCRYPTED_DATA_LEN_RANGE


@pytest.mark.parametrize("length", [1, 7, 8, 9, 31])
def test_padded_wrapping_of_any_length(program: Program, length: int) -> None:
    session = program.open(user=CKU.USER)
    key = secret(program, session, KEY, CKK.AES)
    for kind, initial in ((CKM.AES_KEY_WRAP_KWP, None), (CKM.AES_KEY_WRAP_KWP, b"abcd")):
        mechanism = Mechanism(kind, initial)
        sealed = encrypt(program, session, mechanism, key, TEXT[:length])
        assert decrypt(program, session, mechanism, key, sealed) == TEXT[:length]
        if initial is None:
            assert sealed == keywrap.aes_key_wrap_with_padding(KEY, TEXT[:length])
        else:
            program.C_DecryptInit(session, Mechanism(kind, None), key)
            code = program.rv("C_Decrypt", session, sealed, ROOM)
            assert code == CKR.ENCRYPTED_DATA_INVALID


FILLING = {
    "ECB": Mechanism(CKM.AES_ECB, None),
    "CBC": Mechanism(CKM.AES_CBC, IV),
    "KW": Mechanism(CKM.AES_KEY_WRAP, None),
    "KW with an IV": Mechanism(CKM.AES_KEY_WRAP, b"12345678"),
}


@pytest.mark.parametrize("name", FILLING)
@pytest.mark.parametrize("length", [17, 21, 24])
def test_keys_are_filled_up_and_cut_again(program: Program, name: str, length: int) -> None:
    mechanism = FILLING[name]
    session = program.open(user=CKU.USER)
    wrapping = secret(program, session, KEY, CKK.AES)
    key = secret(program, session, TEXT[:length], **LOOSE)
    wrapped = program.C_WrapKey(session, mechanism, wrapping, key, ROOM)
    template = {"CLASS": int(CKO.SECRET_KEY), "KEY_TYPE": int(CKK.GENERIC_SECRET), **LOOSE}
    cut = attributes(**template, VALUE_LEN=length)
    back = program.C_UnwrapKey(session, mechanism, wrapping, wrapped, cut, True)
    assert program.read(session, back, CKA.VALUE) == TEXT[:length]
    whole = program.C_UnwrapKey(session, mechanism, wrapping, wrapped, attributes(**template), True)
    assert program.read(session, whole, CKA.VALUE).rstrip(b"\0") == TEXT[:length]
    for wrong in (8, 64):
        arguments = (session, mechanism, wrapping, wrapped)
        code = program.rv("C_UnwrapKey", *arguments, attributes(**template, VALUE_LEN=wrong), True)
        assert code == CKR.WRAPPED_KEY_LEN_RANGE


@pytest.mark.parametrize(("kind", "length"), [(CKK.AES, 17), (CKK.DES3, 16), (CKK.DES2, 24)])
def test_a_length_that_the_type_does_not_have_is_told_at_unwrapping(
    program: Program, kind: CKK, length: int
) -> None:
    """Any conflict of lengths has this one code (PKCS#11 3.2 §5.18.4)."""
    session = program.open(user=CKU.USER)
    wrapping = secret(program, session, KEY, CKK.AES)
    mechanism = Mechanism(CKM.AES_KEY_WRAP, None)
    key = secret(program, session, TEXT[:24], **LOOSE)
    wrapped = program.C_WrapKey(session, mechanism, wrapping, key, ROOM)
    template = attributes(CLASS=int(CKO.SECRET_KEY), KEY_TYPE=int(kind), VALUE_LEN=length)
    code = program.rv("C_UnwrapKey", session, mechanism, wrapping, wrapped, template, True)
    assert code == CKR.WRAPPED_KEY_LEN_RANGE


@pytest.mark.parametrize("name", FILLING)
def test_private_keys_are_filled_up_too(program: Program, name: str) -> None:
    mechanism = FILLING[name]
    session = program.open(user=CKU.USER)
    wrapping = secret(program, session, KEY, CKK.AES)
    public, private = program.ec_pair(session, EXTRACTABLE=True)
    wrapped = program.C_WrapKey(session, mechanism, wrapping, private, ROOM)
    template = attributes(CLASS=int(CKO.PRIVATE_KEY), KEY_TYPE=int(CKK.EC))
    back = program.C_UnwrapKey(session, mechanism, wrapping, wrapped, template, True)
    signature = sign(program, session, Mechanism(CKM.ECDSA, None), back, bytes(32))
    ecdsa = Mechanism(CKM.ECDSA, None)
    assert verify(program, session, ecdsa, public, bytes(32), signature) == CKR.OK
