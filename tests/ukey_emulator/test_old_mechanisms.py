"""Single DES and MD5, which old programs and test suites still start with."""

import hashlib
import hmac
import subprocess
from pathlib import Path

import pytest
from brought import LOOSE, decrypt, derive, encrypt, secret, sign, verify
from program import ROOM, Program, attributes

from ukey_emulator.cryptoki.wire import Mechanism, Parameter
from ukey_emulator.terms import CKA, CKK, CKM, CKO, CKR, CKU

# FIPS 81, tables B1 and C1, and its MAC of appendix F: the first 4 of the last 8 bytes.
KEY = bytes.fromhex("0123456789abcdef")
IV = bytes.fromhex("1234567890abcdef")
TEXT = b"Now is the time for all "
ECB = bytes.fromhex("3fa40e8a984d48156a271787ab8883f9893d51ec4b563b53")
CBC = bytes.fromhex("e5c7cdde872bf27c43e934008c389c0f683788499a7c05f6")
# RFC 1321 §A.5 and RFC 2202 §2.
DIGESTS = {
    b"": "d41d8cd98f00b204e9800998ecf8427e",
    b"abc": "900150983cd24fb0d6963f7d28e17f72",
    b"message digest": "f96b697d7cb7938d525a2f31aaf161d0",
}
CODES = {
    (b"\x0b" * 16, b"Hi There"): "9294727a3638bb1c13f48ef8158bfc9d",
    (b"Jefe", b"what do ya want for nothing?"): "750c783e6ab0b503eaa86e310a5db738",
}


@pytest.mark.parametrize(
    ("kind", "parameter", "sealed"),
    [(CKM.DES_ECB, None, ECB), (CKM.DES_CBC, IV, CBC), (CKM.DES_CBC_PAD, IV, CBC)],
)
def test_des(program: Program, kind: CKM, parameter: bytes | None, sealed: bytes) -> None:
    session = program.open(user=CKU.USER)
    key = secret(program, session, KEY, CKK.DES)
    mechanism = Mechanism(kind, parameter)
    made = encrypt(program, session, mechanism, key, TEXT, step=5)
    assert made[: len(sealed)] == sealed
    assert len(made) == len(sealed) + (8 if kind is CKM.DES_CBC_PAD else 0)
    assert decrypt(program, session, mechanism, key, made, step=7) == TEXT
    other = program.C_GenerateKey(session, Mechanism(CKM.DES_KEY_GEN, None), attributes(), True)
    assert (
        decrypt(
            program, session, mechanism, other, encrypt(program, session, mechanism, other, TEXT)
        )
        == TEXT
    )


def test_keys_of_des(program: Program) -> None:
    session = program.open(user=CKU.USER)
    key = program.C_GenerateKey(
        session, Mechanism(CKM.DES_KEY_GEN, None), attributes(VALUE_LEN=8, **LOOSE), True
    )
    value = program.read(session, key, CKA.VALUE)
    assert len(value) == 8
    assert all(byte.bit_count() % 2 for byte in value)
    for wrong in (bytes(8), KEY + KEY):
        template = attributes(CLASS=int(CKO.SECRET_KEY), KEY_TYPE=int(CKK.DES), VALUE=wrong)
        code = program.rv("C_CreateObject", session, template, True)
        assert code == CKR.ATTRIBUTE_VALUE_INVALID
    base = secret(program, session, KEY, CKK.DES, DERIVE=True)
    for kind, parameter, whole in (
        (CKM.DES_ECB_ENCRYPT_DATA, Parameter("STRING", (TEXT,)), ECB),
        (CKM.DES_CBC_ENCRYPT_DATA, Parameter("CBC_DATA_8", (IV, TEXT)), CBC),
    ):
        made = derive(program, session, Mechanism(kind, parameter), base)
        assert program.read(session, made, CKA.VALUE) == whole


@pytest.mark.parametrize("length", [None, 8])
def test_codes_of_des(program: Program, length: int | None) -> None:
    session = program.open(user=CKU.USER)
    key = secret(program, session, KEY, CKK.DES)
    zero = Mechanism(CKM.DES_CBC, bytes(8))
    last = encrypt(program, session, zero, key, TEXT)[-8:]
    mechanism = Mechanism(CKM.DES_MAC, None)
    if length is not None:
        mechanism = Mechanism(CKM.DES_MAC_GENERAL, length.to_bytes(8, "little"))
    code = sign(program, session, mechanism, key, TEXT)
    assert code == last[: length or 4]
    assert verify(program, session, mechanism, key, TEXT, code) == CKR.OK


def test_md5(program: Program) -> None:
    session = program.open(user=CKU.USER)
    for message, digest in DIGESTS.items():
        program.C_DigestInit(session, Mechanism(CKM.MD5, None))
        assert program.C_Digest(session, message, ROOM).hex() == digest
    for (value, message), code in CODES.items():
        for kind in (CKK.MD5_HMAC, CKK.GENERIC_SECRET):
            key = secret(program, session, value, kind)
            whole = Mechanism(CKM.MD5_HMAC, None)
            assert sign(program, session, whole, key, message).hex() == code
            some = Mechanism(CKM.MD5_HMAC_GENERAL, (10).to_bytes(8, "little"))
            assert sign(program, session, some, key, message).hex() == code[:20]
    assert hmac.new(b"Jefe", b"what do ya want for nothing?", "md5").hexdigest() in CODES.values()
    base = secret(program, session, KEY, DERIVE=True)
    made = derive(program, session, Mechanism(CKM.MD5_KEY_DERIVATION, None), base)
    assert program.read(session, made, CKA.VALUE) == hashlib.md5(KEY).digest()  # noqa: S324


def test_signatures_with_md5(program: Program, tmp_path: Path) -> None:
    session = program.open(user=CKU.USER)
    public, private = program.rsa_pair(session)
    mechanism = Mechanism(CKM.MD5_RSA_PKCS, None)
    signature = sign(program, session, mechanism, private, b"message", step=3)
    assert verify(program, session, mechanism, public, b"message", signature) == CKR.OK
    for name, content in (
        ("key", program.read(session, public, CKA.PUBLIC_KEY_INFO)),
        ("signature", signature),
        ("message", b"message"),
    ):
        (tmp_path / name).write_bytes(content)
    command = "openssl dgst -md5 -verify key -keyform DER -signature signature message"
    subprocess.run(command.split(), cwd=tmp_path, check=True, timeout=60)
