"""The less usual mechanisms, through pkcs11-tool and python-pkcs11; judged by other libraries."""

import hmac
import re
from collections.abc import Iterator
from pathlib import Path

import pkcs11
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ed448, ed25519, mldsa, mlkem
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.cmac import CMAC
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
from pkcs11.util.dsa import encode_dsa_signature
from pkcs11.util.ec import encode_named_curve_parameters
from token_under_test import TokenUnderTest

MESSAGE = b"what was shown is what was signed\n"
LOOSE = {Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True}


def tool(token: TokenUnderTest, *words: str | Path, expect: int = 0) -> str:
    login = ("--login", "--pin", token.pin)
    slot = ("--slot", str(token.slot))
    return token.run("pkcs11-tool", "--module", token.module, *slot, *login, *words, expect=expect)


@pytest.fixture
def session(library: pkcs11.lib, token: TokenUnderTest) -> Iterator[pkcs11.Session]:
    slot_token = library.get_token(token_label=token.label)
    with slot_token.open(rw=True, user_pin=token.pin) as session:
        yield session


def test_pkcs11_tool_signs_with_an_edwards_key(token: TokenUnderTest, tmp_path: Path) -> None:
    message, signature = tmp_path / "message", tmp_path / "signature"
    message.write_bytes(MESSAGE)
    told = tool(token, "--keypairgen", "--key-type", "EC:edwards25519", "--id", "01")
    found = re.search(r"EC_POINT: +(\w{64})\s", told)
    assert found, told
    files = ("--input-file", message, "--output-file", signature)
    tool(token, "--sign", "--mechanism", "EDDSA", "--id", "01", *files)
    key = ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(found[1]))
    key.verify(signature.read_bytes(), MESSAGE)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("EC:curve25519", "EC_MONTGOMERY"),
        ("EC:secp224r1", "EC_POINT 224 bits"),
        ("EC:secp256k1", "EC_POINT 256 bits"),
        ("EC:brainpoolP384r1", "EC_POINT 384 bits"),
    ],
)
def test_pkcs11_tool_makes_pairs(token: TokenUnderTest, kind: str, told: str) -> None:
    assert told in tool(token, "--keypairgen", "--key-type", kind, "--id", "02")


def test_pkcs11_tool_makes_old_keys(token: TokenUnderTest) -> None:
    assert "des3" in tool(token, "--keygen", "--key-type", "DES3:24", "--id", "03").lower()


@pytest.mark.parametrize(
    ("mechanism", "digest"),
    [
        (Mechanism.DSA_SHA1, hashes.SHA1()),  # noqa: S303 - the usual one of old programs
        (Mechanism.DSA_SHA256, hashes.SHA256()),
    ],
)
def test_python_pkcs11_signs_with_dsa(
    session: pkcs11.Session, mechanism: Mechanism, digest: hashes.HashAlgorithm
) -> None:
    parameters = session.generate_domain_parameters(KeyType.DSA, 1024)
    public, private = parameters.generate_keypair()
    signature = encode_dsa_signature(private.sign(MESSAGE, mechanism=mechanism))
    p, q, g = (
        int.from_bytes(parameters[part], "big")
        for part in (Attribute.PRIME, Attribute.SUBPRIME, Attribute.BASE)
    )
    y = int.from_bytes(public[Attribute.VALUE], "big")
    numbers = dsa.DSAPublicNumbers(y, dsa.DSAParameterNumbers(p, q, g))
    numbers.public_key().verify(signature, MESSAGE, digest)


def test_python_pkcs11_makes_codes(session: pkcs11.Session) -> None:
    value = bytes(range(32))
    template = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.VALUE: value}
    key = session.create_object({**template, Attribute.KEY_TYPE: KeyType.AES})
    code = CMAC(algorithms.AES(value))
    code.update(MESSAGE)
    assert key.sign(MESSAGE, mechanism=Mechanism.AES_CMAC) == code.finalize()
    key = session.create_object({**template, Attribute.KEY_TYPE: KeyType.GENERIC_SECRET})
    made = key.sign(MESSAGE, mechanism=Mechanism.SHA3_256_HMAC)
    assert made == hmac.digest(value, MESSAGE, "sha3_256")
    assert key.verify(MESSAGE, made, mechanism=Mechanism.SHA3_256_HMAC)


def test_python_pkcs11_wraps_with_padding(session: pkcs11.Session) -> None:
    wrapping = session.generate_key(KeyType.AES, 256)
    key = session.generate_key(KeyType.AES, 128, template=LOOSE)
    for mechanism in (Mechanism.AES_KEY_WRAP_KWP, Mechanism.AES_KEY_WRAP):
        wrapped = wrapping.wrap_key(key, mechanism=mechanism)
        template = {**LOOSE, Attribute.VALUE_LEN: 16}
        back = wrapping.unwrap_key(
            ObjectClass.SECRET_KEY, KeyType.AES, wrapped, mechanism=mechanism, template=template
        )
        assert back[Attribute.VALUE] == key[Attribute.VALUE]


@pytest.mark.parametrize("chosen", [1, 2, 3])
def test_python_pkcs11_signs_with_ml_dsa(session: pkcs11.Session, chosen: int) -> None:
    template = {Attribute.PARAMETER_SET: chosen}
    public, private = session.generate_keypair(KeyType.ML_DSA, public_template=template)
    signature = private.sign(MESSAGE)
    kinds = (mldsa.MLDSA44PublicKey, mldsa.MLDSA65PublicKey, mldsa.MLDSA87PublicKey)
    key = kinds[chosen - 1].from_public_bytes(public[Attribute.VALUE])
    key.verify(signature, MESSAGE)
    assert public.verify(MESSAGE, signature)
    assert not public.verify(b"another", signature)


@pytest.mark.parametrize("chosen", [1, 2, 3])
def test_python_pkcs11_encapsulates(session: pkcs11.Session, chosen: int) -> None:
    template = {Attribute.PARAMETER_SET: chosen}
    public, private = session.generate_keypair(KeyType.ML_KEM, public_template=template)
    ciphertext, one = public.encapsulate_key(KeyType.AES, 256, template=LOOSE)
    other = private.decapsulate_key(ciphertext, KeyType.AES, 256, template=LOOSE)
    assert one[Attribute.VALUE] == other[Attribute.VALUE]
    if chosen == 2:
        key = mlkem.MLKEM768PublicKey.from_public_bytes(public[Attribute.VALUE])
        assert key.public_bytes_raw() == public[Attribute.VALUE]


@pytest.mark.parametrize("name", ["1.3.101.112", "1.3.101.113"])
def test_python_pkcs11_signs_with_edwards_keys(session: pkcs11.Session, name: str) -> None:
    parameters = {Attribute.EC_PARAMS: encode_named_curve_parameters(name)}
    domain = session.create_domain_parameters(KeyType.EC_EDWARDS, parameters, local=True)
    public, private = domain.generate_keypair()
    signature = private.sign(MESSAGE, mechanism=Mechanism.EDDSA)
    kind = ed25519.Ed25519PublicKey if name.endswith("112") else ed448.Ed448PublicKey
    kind.from_public_bytes(public[Attribute.EC_POINT]).verify(signature, MESSAGE)
    assert public.verify(MESSAGE, signature, mechanism=Mechanism.EDDSA)
