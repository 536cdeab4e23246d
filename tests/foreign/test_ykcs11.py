"""Yubico's PKCS#11 module as judge of the card; it takes readers whose name begins with Yubico's.

Its SO PIN is the management key, of which version 2.2 (Debian 12) knows only triple DES; so keys of
the profile yubikey are none for it.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from card_under_test import CardUnderTest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from token_under_test import emulated_token

from ukey_emulator.remote import RackProcess

YKCS11 = "libykcs11.so"
MESSAGE = b"what was shown is what was signed\n"
PROFILE = """
name = "found by ykcs11"
[reader]
name = "Yubico's or ukeylab's"
"""
MANAGEMENT_KEY = "0102030405060708" * 3


@pytest.fixture
def yubikey(rack: RackProcess, tmp_path: Path) -> Iterator[CardUnderTest]:
    """Give the card of a fresh key, in a reader that the module takes."""
    profile = tmp_path / "profile.toml"
    profile.write_text(PROFILE)
    with emulated_token(rack, initialized=True, profile=profile) as token:
        yield CardUnderTest(token, rack.readers_socket, tmp_path)


def tool(card: CardUnderTest, *words: str | Path, expect: int = 0) -> str:
    return card.run("pkcs11-tool", "--module", YKCS11, *words, expect=expect)


def managing(
    card: CardUnderTest, *words: str | Path, key: str = MANAGEMENT_KEY, expect: int = 0
) -> str:
    so = ("--session-rw", "--login", "--login-type", "so", "--so-pin", key)
    return tool(card, *so, *words, expect=expect)


def generate(card: CardUnderTest, ident: str, kind: str) -> Path:
    """Have a pair generated; give its public key, as the module's own certificate has it."""
    managing(card, "--keypairgen", "--key-type", kind, "--id", ident)
    tool(card, "--read-object", "--type", "cert", "--id", ident, "-o", f"{ident}.crt")
    told = card.openssl("x509", "-inform", "DER", "-in", f"{ident}.crt", "-noout", "-pubkey")
    card.write(f"{ident}.pub", told.encode())
    return card.folder / f"{ident}.pub"


def test_it_generates_with_the_management_key_alone(yubikey: CardUnderTest) -> None:
    pair = ("--keypairgen", "--key-type", "EC:prime256v1", "--id", "01")
    assert "CKR_PIN_INCORRECT" in managing(yubikey, *pair, key="ab" * 24, expect=1)
    tool(yubikey, "--login", "--pin", "123456", *pair, expect=1)
    assert "Key pair generated" in managing(yubikey, *pair)
    listed = tool(yubikey, "--list-objects")
    assert "YubiKey PIV Slot 9a" in listed  # it has put a certificate beside the key
    yubikey.yubico("-a", "attest", "-s", "9a", "-o", "attested.pem")
    attested = x509.load_pem_x509_certificate((yubikey.folder / "attested.pem").read_bytes())
    tool(yubikey, "--read-object", "--type", "pubkey", "--id", "01", "-o", "01.pub")
    key = load_der_public_key((yubikey.folder / "01.pub").read_bytes())
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert attested.public_key() == key

    theirs = tool(yubikey, "--list-slots")
    serial = yubikey.yubico("-a", "status").split("Serial Number:")[1].split()[0]
    assert f"serial num         : {serial}" in theirs


@pytest.mark.parametrize(("ident", "curve"), [("01", "prime256v1"), ("02", "secp384r1")])
def test_its_signatures_verify_here_and_there(
    yubikey: CardUnderTest, ident: str, curve: str
) -> None:
    public = generate(yubikey, ident, f"EC:{curve}")
    message = yubikey.write("message", MESSAGE)
    to = ("-i", message, "-o", "signature", "--signature-format", "openssl")
    sign = ("--sign", "-m", "ECDSA-SHA256", "--id", ident, *to)
    verify = ("dgst", "-sha256", "-verify", public, "-signature", "signature")
    for program in (tool, CardUnderTest.ours):  # the same key through both modules
        login = ("--login", "--pin", "123456") if program is tool else ()
        program(yubikey, *login, *sign)
        assert "Verified OK" in yubikey.openssl(*verify, message)
        yubikey.write("other", b"another message\n")
        yubikey.openssl(*verify, "other", expect=1)
    tool(yubikey, *sign, expect=1)  # nobody has given the PIN


def test_rsa_deciphers_and_its_own_test_finds_no_fault(yubikey: CardUnderTest) -> None:
    public = generate(yubikey, "03", "rsa:2048")
    yubikey.write("clear", MESSAGE)
    encrypt = ("-encrypt", "-pubin", "-inkey", public, "-in", "clear")
    login = ("--login", "--pin", "123456")
    yubikey.openssl("pkeyutl", *encrypt, "-out", "sealed")
    tool(yubikey, *login, "--decrypt", "-m", "RSA-PKCS", "--id", "03", "-i", "sealed", "-o", "back")
    assert (yubikey.folder / "back").read_bytes() == MESSAGE
    told = tool(yubikey, *login, "--test")
    assert "No errors" in told
    assert "RSA-PKCS-OAEP" in told


def test_it_changes_and_unblocks_the_pin(yubikey: CardUnderTest) -> None:
    keys = ("--list-objects", "--login", "--pin")
    tool(yubikey, "--login", "--pin", "123456", "--change-pin", "--new-pin", "654321")
    assert "CKR_PIN_INCORRECT" in tool(yubikey, *keys, "123456", expect=1)
    tool(yubikey, *keys, "654321")
    for _ in range(10):
        tool(yubikey, *keys, "999999", expect=1)
    assert "CKR_PIN_LOCKED" in tool(yubikey, *keys, "654321", expect=1)
    yubikey.yubico("-a", "unblock-pin", "-P", "12345678", "-N", "123456")
    tool(yubikey, *keys, "123456")


def test_what_it_writes_and_deletes(yubikey: CardUnderTest) -> None:
    make = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-keyout", "key.pem")
    yubikey.openssl("req", "-x509", *make, "-subj", "/CN=brought", "-outform", "DER", "-out", "crt")
    value = (yubikey.folder / "crt").read_bytes()
    certificate = ("--type", "cert", "--id", "04")
    managing(yubikey, "--write-object", "crt", *certificate)
    yubikey.run("pkcs15-tool", "--read-certificate", "04", "-o", "opensc.pem")
    read = x509.load_pem_x509_certificate((yubikey.folder / "opensc.pem").read_bytes())
    assert read == x509.load_der_x509_certificate(value)
    managing(yubikey, "--delete-object", *certificate)
    yubikey.yubico("-a", "read-certificate", "-s", "9e", expect=1)
