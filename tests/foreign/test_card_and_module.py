"""One key through both faces, foreign programs on both sides.

Here is pkcs11-tool on our PKCS#11 module; there are yubico-piv-tool, OpenSC's programs and ykman on
the card.
"""

import re
import sys
from pathlib import Path

import pytest
from card_under_test import CardUnderTest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from little_authority import PEM, LittleAuthority

PUK = "12345678"
DIGEST = bytes(range(32))
SECURITY, PRINTED = ("2.16.840.1.101.3.7.2.144.0", "0x5fc106"), ("2.16.840.1.101.3.7.2.48.1", "")
KINDS = ("privkey", "pubkey", "cert")
YKMAN = (Path(sys.executable).with_name("ykman"), "--reader", "ukeylab", "piv")


def here(card: CardUnderTest, *words: str | Path, expect: int = 0) -> str:
    """Run pkcs11-tool on our module, logged in as nobody."""
    tool = ("pkcs11-tool", "--module", card.token.module, "--slot", str(card.token.slot))
    return card.run(*tool, *words, expect=expect)


def pin_here(card: CardUnderTest, pin: str, *, right: bool = True) -> str:
    return here(card, "--login", "--pin", pin, "--list-objects", expect=0 if right else 1)


def pin_there(card: CardUnderTest, pin: str, *, right: bool = True) -> str:
    verify = ("pkcs15-tool", "--verify-pin", "--auth-id", "01", "--pin", pin)
    return card.run(*verify, expect=0 if right else 255)


def tries_there(card: CardUnderTest) -> int:
    return int(card.yubico("-a", "status").split("PIN tries left:")[1])


def listed(card: CardUnderTest) -> dict[str, str]:
    """Give what our module lists, by class, for who is logged in."""
    return {kind: card.ours("--list-objects", "--type", kind) for kind in KINDS}


@pytest.mark.parametrize(
    ("slot", "ident"), [("9a", "01"), ("9c", "02"), ("9e", "04"), ("95", "18")]
)
def test_a_key_made_there_signs_here_under_its_certificate(
    card: CardUnderTest, slot: str, ident: str
) -> None:
    card.yubico("-a", "generate", "-s", slot, "-A", "ECCP256", "-o", "public.pem")
    authority = LittleAuthority()
    public = load_pem_public_key((card.folder / "public.pem").read_bytes())
    certificate = authority.issue(public, "holder")  # type: ignore[arg-type]
    card.write("leaf.pem", certificate.public_bytes(PEM))
    card.yubico("-a", "import-certificate", "-s", slot, "-i", "leaf.pem")

    card.ours("--read-object", "--type", "cert", "--id", ident, "-o", "leaf.der")
    read = x509.load_der_x509_certificate((card.folder / "leaf.der").read_bytes())
    read.verify_directly_issued_by(authority.issuing)
    key = read.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    digest = card.write("digest", DIGEST)
    sign = ("--sign", "-m", "ECDSA", "--id", ident, "-i", digest, "-o", "signature")
    card.ours(*sign, "--signature-format", "openssl")
    signature = (card.folder / "signature").read_bytes()
    key.verify(signature, DIGEST, ec.ECDSA(Prehashed(hashes.SHA256())))
    with pytest.raises(InvalidSignature):
        key.verify(signature, DIGEST[::-1], ec.ECDSA(Prehashed(hashes.SHA256())))


def test_a_pair_and_certificate_stored_here_sign_there(card: CardUnderTest) -> None:
    make = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-keyout", "key.pem")
    card.openssl("req", "-x509", *make, "-subj", "/CN=brought", "-out", "own.pem")
    card.openssl("x509", "-in", "own.pem", "-outform", "DER", "-out", "own.der")
    for kind, name in (("privkey", "key.pem"), ("cert", "own.der")):
        usage = ("--usage-sign",) if kind == "privkey" else ()
        card.ours("--write-object", name, "--type", kind, "--id", "5a5a", *usage)
    digest = card.write("digest", DIGEST)
    sign = ("--sign", "--raw", "--signature-format", "openssl", "-i", digest, "-o", "signature")
    card.run("pkcs15-crypt", "--key", "01", "--pin", card.token.pin, *sign)
    card.openssl("x509", "-in", "own.pem", "-noout", "-pubkey", "-out", "public.pem")
    card.verify(card.folder / "public.pem", "signature")
    card.run("pkcs15-tool", "--read-certificate", "01", "-o", "read.pem")
    assert (card.folder / "read.pem").read_bytes() == (card.folder / "own.pem").read_bytes()


def test_data_stored_here_are_read_there_and_back(card: CardUnderTest) -> None:
    identifier, tag = SECURITY
    card.write("content", DIGEST * 20)
    data = ("--type", "data", "--label", "Security Object", "--application-id", identifier)
    card.ours("--write-object", "content", *data)
    read = ("pkcs15-tool", "--raw", "--output", "read", "--read-data-object")
    card.run(*read, identifier)
    assert (card.folder / "read").read_bytes()[-len(DIGEST * 20) :] == DIGEST * 20

    card.write("another", DIGEST)
    card.yubico("-a", "write-object", "--id", tag, "-f", "binary", "-i", "another")
    here(card, "--read-object", "--type", "data", "--label", "Security Object", "-o", "back")
    assert (card.folder / "back").read_bytes() == DIGEST

    identifier, _ = PRINTED
    private = ("--type", "data", "--private", "--label", "note", "--application-id", identifier)
    card.ours("--write-object", "content", *private)
    assert "note" not in here(card, "--list-objects", "--type", "data")
    card.run(*read, identifier, expect=1)
    card.run(*read, identifier, "--verify-pin", "--auth-id", "01", "--pin", card.token.pin)
    assert (card.folder / "read").read_bytes()[-len(DIGEST * 20) :] == DIGEST * 20


def test_a_pin_blocked_there_is_blocked_here_and_either_unblocks_it(card: CardUnderTest) -> None:
    for _ in range(10):
        pin_there(card, "999999", right=False)
    assert "CKR_PIN_LOCKED" in pin_here(card, card.token.pin, right=False)
    init = ("--login", "--login-type", "so", "--so-pin", card.token.so_pin, "--init-pin")
    here(card, *init, "--new-pin", "111111")
    pin_there(card, "111111")

    for _ in range(10):
        pin_here(card, "999999", right=False)
    assert "blocked" in pin_there(card, "111111", right=False)
    unblock = ("pkcs15-tool", "--unblock-pin", "--auth-id", "01", "--puk", card.token.so_pin)
    card.run(*unblock, "--new-pin", "222222")
    pin_here(card, "222222")
    pin_here(card, "111111", right=False)


def test_both_faces_spend_the_same_tries_and_change_the_same_pins(card: CardUnderTest) -> None:
    pin_here(card, "999999", right=False)
    assert tries_there(card) == 9
    pin_there(card, "999999", right=False)
    pin_here(card, card.token.pin)
    assert tries_there(card) == 10

    here(card, "--login", "--pin", card.token.pin, "--change-pin", "--new-pin", "654321")
    pin_there(card, card.token.pin, right=False)
    card.run(*YKMAN, "access", "change-pin", "-P", "654321", "-n", "765432")
    pin_here(card, "765432")

    so = ("--login", "--login-type", "so", "--so-pin")
    here(card, *so, PUK, "--change-pin", "--new-pin", "87654321")
    change = (*YKMAN, "access", "change-puk", "-n", "11223344", "-p")
    assert "9 tries left" in card.run(*change, PUK, expect=1)
    card.run(*change, "87654321")
    here(card, *so, "87654321", "--init-pin", "--new-pin", "111111", expect=1)
    here(card, *so, "11223344", "--init-pin", "--new-pin", "111111")
    pin_there(card, "111111")


def test_what_is_destroyed_there_is_gone_here(card: CardUnderTest) -> None:
    card.certified("9a", "ECCP256")
    card.certified("9c", "ECCP256")
    assert all(
        f"ID:         {ident}" in told for told in listed(card).values() for ident in ("01", "02")
    )
    card.run(*YKMAN, "keys", "delete", "-m", "0102030405060708" * 3, "9a")
    told = listed(card)
    assert "ID:         01" not in told["privkey"] + told["pubkey"]
    assert "ID:         01" in told["cert"]  # which was not asked for
    card.yubico("-a", "delete-certificate", "-s", "9a")
    assert "ID:         01" not in "".join(listed(card).values())
    assert all("ID:         02" in told for told in listed(card).values())


def test_what_is_destroyed_here_is_gone_there(card: CardUnderTest) -> None:
    card.enrolled("77", "EC:prime256v1")
    assert "Slot 9a" in card.yubico("-a", "status")
    assert re.search(r"Ref:0x9A", card.run("pkcs15-tool", "--list-keys", "--short"))
    for kind in KINDS:
        card.ours("--delete-object", "--type", kind, "--id", "77")
    assert "Slot" not in card.yubico("-a", "status")
    assert "Ref:0x9A" not in card.run("pkcs15-tool", "--list-keys", "--short")
    card.yubico("-a", "attest", "-s", "9a", expect=1)


def test_a_token_initialised_here_is_an_empty_card_there(card: CardUnderTest) -> None:
    card.certified("9a", "ECCP256")
    card.yubico("-a", "write-object", "--id", "0x5fff20", "-f", "binary", "-i", "9a.pem")
    init = ("--init-token", "--label", "again", "--so-pin")
    here(card, *init, "99999999", expect=1)
    card.yubico("-a", "attest", "-s", "9a")
    here(card, *init, card.token.so_pin)
    card.yubico("-a", "attest", "-s", "9a", expect=1)
    card.yubico("-a", "read-object", "--id", "0x5fff20", "-f", "binary", expect=1)
    assert "Slot" not in card.yubico("-a", "status")
    # And there, as here, the user has no PIN until the SO gives one.
    card.yubico("-a", "verify-pin", "-P", card.token.pin, expect=1)
    card.yubico("-a", "unblock-pin", "-P", card.token.so_pin, "-N", "111111")
    pin_there(card, "111111")
    by_label = ("pkcs11-tool", "--module", card.token.module, "--token-label", "again")
    card.run(*by_label, "--login", "--pin", "111111", "--list-objects")
