"""RSA keys that programs bring along, and OAEP with any two hashes."""

import subprocess
from pathlib import Path

import pytest
from brought import LOOSE, decrypt, encrypt, private, public, sign, verify
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from program import ROOM, Program, attributes

from ukey_emulator.cryptoki.wire import Mechanism, Parameter
from ukey_emulator.terms import CKA, CKG, CKK, CKM, CKR, CKU

PKCS = Mechanism(CKM.RSA_PKCS, None)


def integer(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def made_by_openssl(folder: Path, bits: int) -> rsa.RSAPrivateKey:
    """Make a key of a size, or with an exponent, that the library makes none of."""
    where = folder / "key.pem"
    command = ["openssl", "genpkey", "-quiet", "-algorithm", "RSA", "-out", str(where)]
    subprocess.run([*command, "-pkeyopt", f"rsa_keygen_bits:{bits}"], check=True, timeout=60)
    key = load_pem_private_key(where.read_bytes(), None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def test_a_short_key_of_before_still_signs(program: Program, tmp_path: Path) -> None:
    key = made_by_openssl(tmp_path, 512)
    numbers = key.private_numbers()
    modulus = integer(numbers.public_numbers.n)
    session = program.open(user=CKU.USER)
    one = public(program, session, CKK.RSA, MODULUS=modulus, PUBLIC_EXPONENT=b"\1\0\1")
    other = private(
        program, session, CKK.RSA, MODULUS=modulus, PRIVATE_EXPONENT=integer(numbers.d), **LOOSE
    )
    assert program.read(session, other, CKA.PUBLIC_EXPONENT) == b"\1\0\1"
    assert {
        program.read(session, other, CKA.PRIME_1),
        program.read(session, other, CKA.PRIME_2),
    } == {
        integer(numbers.p),
        integer(numbers.q),
    }
    signature = sign(program, session, PKCS, other, b"message")
    assert verify(program, session, PKCS, one, b"message", signature) == CKR.OK
    assert verify(program, session, PKCS, one, b"another", signature) == CKR.SIGNATURE_INVALID


def test_a_private_exponent_alone_does_with_a_usual_public_one_only(program: Program) -> None:
    numbers = rsa.generate_private_key(65537, 2048).private_numbers()
    modulus = numbers.public_numbers.n
    unusual = pow((1 << 61) - 1, -1, (numbers.p - 1) * (numbers.q - 1))
    session = program.open(user=CKU.USER)
    template = attributes(
        CLASS=3, KEY_TYPE=int(CKK.RSA), MODULUS=integer(modulus), PRIVATE_EXPONENT=integer(unusual)
    )
    assert program.rv("C_CreateObject", session, template, True) == CKR.TEMPLATE_INCOMPLETE


@pytest.mark.parametrize(
    ("bits", "code"),
    [
        (504, CKR.ATTRIBUTE_VALUE_INVALID),
        (512, CKR.OK),
        (8192, CKR.OK),
        (16384, CKR.OK),
        (16392, CKR.ATTRIBUTE_VALUE_INVALID),
    ],
)
def test_sizes_of_public_keys(program: Program, bits: int, code: CKR) -> None:
    session = program.open(user=CKU.USER)
    template = attributes(
        CLASS=2, KEY_TYPE=int(CKK.RSA), MODULUS=b"\xff" * (bits // 8), PUBLIC_EXPONENT=b"\1\0\1"
    )
    assert program.rv("C_CreateObject", session, template, True) == code


# Both of SHA-1 or SHA-2, as the library has them; the others it has not.
OAEP = [
    (CKM.SHA256, CKG.MGF1_SHA1, "sha256", "sha1"),
    (CKM.SHA3_256, CKG.MGF1_SHA1, "sha3-256", "sha1"),
    (CKM.SHA_1, CKG.MGF1_SHA3_512, "sha1", "sha3-512"),
    (CKM.SHA512_224, CKG.MGF1_SHA224, "sha512-224", "sha224"),
]


@pytest.mark.parametrize(("hashed", "mask", "name", "mask_name"), OAEP)
@pytest.mark.parametrize("label", [b"", b"label"])
def test_oaep_with_any_two_hashes(
    program: Program,
    tmp_path: Path,
    hashed: CKM,
    mask: CKG,
    name: str,
    mask_name: str,
    label: bytes,
) -> None:
    key = rsa.generate_private_key(65537, 2048)
    numbers = key.private_numbers()
    modulus = integer(numbers.public_numbers.n)
    session = program.open(user=CKU.USER)
    one = public(
        program, session, CKK.RSA, MODULUS=modulus, PUBLIC_EXPONENT=b"\1\0\1", ENCRYPT=True
    )
    other = private(
        program,
        session,
        CKK.RSA,
        MODULUS=modulus,
        PUBLIC_EXPONENT=b"\1\0\1",
        PRIVATE_EXPONENT=integer(numbers.d),
        DECRYPT=True,
    )
    mechanism = Mechanism(CKM.RSA_PKCS_OAEP, Parameter("OAEP", (int(hashed), int(mask), 1, label)))
    options = [f"rsa_oaep_md:{name}", f"rsa_mgf1_md:{mask_name}", f"rsa_oaep_label:{label.hex()}"]

    def openssl(verb: str, data: bytes) -> bytes:
        where = tmp_path / "key.pem"
        pem = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        where.write_bytes(key.private_bytes(*pem))
        chosen = [f"-pkeyopt={option}" for option in ("rsa_padding_mode:oaep", *options)]
        command = ["openssl", "pkeyutl", verb, "-inkey", str(where)]
        for option in chosen if label else chosen[:-1]:
            command += option.split("=", 1)
        return subprocess.run(command, input=data, capture_output=True, check=True).stdout

    assert openssl("-decrypt", encrypt(program, session, mechanism, one, b"ours")) == b"ours"
    theirs = openssl("-encrypt", b"theirs")
    assert decrypt(program, session, mechanism, other, theirs) == b"theirs"
    wrong = Mechanism(CKM.RSA_PKCS_OAEP, Parameter("OAEP", (int(hashed), int(mask), 1, b"other")))
    for used, spoilt in ((wrong, theirs), (mechanism, bytes([theirs[0] ^ 1]) + theirs[1:])):
        program.C_DecryptInit(session, used, other)
        assert program.rv("C_Decrypt", session, spoilt, ROOM) == CKR.ENCRYPTED_DATA_INVALID


@pytest.mark.parametrize("message", [b"", b"digest", bytes(245)])
def test_a_block_that_the_program_padded_raised_is_its_signature(
    program: Program, message: bytes
) -> None:
    session = program.open(user=CKU.USER)
    one, other = program.rsa_pair(session)
    block = b"\0\1" + b"\xff" * (253 - len(message)) + b"\0" + message
    signature = sign(program, session, Mechanism(CKM.RSA_X_509, None), other, block)
    numbers = (program.read(session, one, kind) for kind in (CKA.PUBLIC_EXPONENT, CKA.MODULUS))
    key = rsa.RSAPublicNumbers(*map(int.from_bytes, numbers)).public_key()
    assert key.recover_data_from_signature(signature, PKCS1v15(), None) == message
