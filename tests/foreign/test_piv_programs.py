"""yubico-piv-tool and OpenSC as judges of the card; what they make is checked by OpenSSL.

The card is the same key that the PKCS#11 module shows.
"""

import sys

import pytest
from card_under_test import CardUnderTest

MANAGEMENT_KEY = "112233445566778811223344556677881122334455667700"
DIGEST = bytes(range(32))


@pytest.mark.parametrize(
    ("slot", "algorithm"),
    [("9a", "RSA2048"), ("9c", "ECCP256"), ("9d", "ECCP384"), ("9e", "ECCP256"), ("95", "RSA2048")],
)
def test_yubicos_tool_makes_attests_and_uses_a_key(
    card: CardUnderTest, slot: str, algorithm: str
) -> None:
    card.certified(slot, algorithm)
    card.yubico("-a", "read-certificate", "-s", "f9", "-o", "f9.pem")
    chain = card.token.run("openssl", "verify", "-CAfile", "f9.pem", f"{slot}.pem", cwd=card.folder)
    assert chain == f"{slot}.pem: OK\n"
    certificate = ("-s", slot, "-i", f"{slot}.pem")
    pin = ("-a", "verify-pin", "-P", card.token.pin)
    assert "Successful" in card.yubico(*pin, "-a", "test-signature", *certificate)
    if slot != "9c":
        assert "Successfully performed" in card.yubico(*pin, "-a", "test-decipher", *certificate)
    assert f"Slot {slot}" in card.yubico("-a", "status")


def test_yubicos_tool_brings_a_key_and_the_card_does_not_attest_it(card: CardUnderTest) -> None:
    card.token.run("openssl", "genrsa", "-out", "key.pem", "2048", cwd=card.folder)
    card.yubico("-a", "import-key", "-s", "9a", "-i", "key.pem", "--pin-policy=once")
    card.yubico("-a", "attest", "-s", "9a", expect=1)
    make = ("openssl", "req", "-x509", "-key", "key.pem", "-subj", "/CN=brought", "-out", "c.pem")
    card.token.run(*make, cwd=card.folder)
    pin = ("-a", "verify-pin", "-P", card.token.pin)
    assert "Successful" in card.yubico(*pin, "-a", "test-signature", "-s", "9a", "-i", "c.pem")


def test_yubicos_tool_replaces_the_management_key(card: CardUnderTest) -> None:
    card.yubico("-a", "set-mgm-key", f"--new-key={MANAGEMENT_KEY}")
    generate = ("-a", "generate", "-s", "9a", "-A", "ECCP256", "-o", "public.pem")
    assert "Failed authentication" in card.yubico(*generate, expect=1)
    card.yubico(f"--key={MANAGEMENT_KEY}", *generate)


def test_opensc_signs_with_each_key(card: CardUnderTest) -> None:
    digest = card.write("digest", DIGEST)
    login = ("--login", "--pin", card.token.pin)
    rsa = card.certified("9a", "RSA2048")
    for mechanism, options in (
        ("RSA-PKCS", ()),
        ("RSA-PKCS-PSS", ("--hash-algorithm", "SHA256", "--mgf", "MGF1-SHA256")),
    ):
        to = ("-i", digest, "-o", "signature")
        card.opensc(*login, "--sign", "-m", mechanism, *options, "--id", "01", *to)
        padding = ("-pkeyopt", f"rsa_padding_mode:{'pss' if options else 'pkcs1'}")
        card.verify(rsa, "signature", *padding, *(("-pkeyopt", "digest:sha256") if options else ()))
    for ident, slot in (("02", "9c"), ("04", "9e")):
        curve = card.certified(slot, "ECCP256")
        to = ("-i", digest, "-o", "signature", "--signature-format", "openssl")
        card.opensc(*login, "--sign", "-m", "ECDSA", "--id", ident, *to)
        card.verify(curve, "signature")


def test_opensc_deciphers_and_agrees(card: CardUnderTest) -> None:
    card.write("secret", DIGEST)
    login = ("--login", "--pin", card.token.pin)
    public = card.certified("9d", "RSA2048")
    encrypt = ("-encrypt", "-pubin", "-inkey", public, "-in", "secret", "-out", "sealed")
    card.token.run("openssl", "pkeyutl", *encrypt, cwd=card.folder)
    card.opensc(*login, "--decrypt", "-m", "RSA-PKCS", "--id", "03", "-i", "sealed", "-o", "clear")
    assert (card.folder / "clear").read_bytes() == DIGEST
    public = card.certified("9d", "ECCP256")
    make = ("-name", "prime256v1", "-genkey", "-noout", "-out", "other.pem")
    card.token.run("openssl", "ecparam", *make, cwd=card.folder)
    point = ("-in", "other.pem", "-pubout", "-outform", "DER", "-out", "other.der")
    card.token.run("openssl", "pkey", *point, cwd=card.folder)
    derive = ("-m", "ECDH1-DERIVE", "--id", "03", "-i", "other.der", "-o", "shared")
    card.opensc(*login, "--derive", *derive)
    agree = ("-derive", "-inkey", "other.pem", "-peerkey", public, "-out", "expected")
    card.token.run("openssl", "pkeyutl", *agree, cwd=card.folder)
    shared, expected = ((card.folder / name).read_bytes() for name in ("shared", "expected"))
    assert shared == expected


def test_openscs_own_test_finds_no_fault(card: CardUnderTest) -> None:
    card.certified("9a", "RSA2048")
    told = card.opensc("--login", "--pin", card.token.pin, "--test")
    assert "No errors" in told
    assert "RSA-X-509: OK" in told


def test_one_key_has_two_faces(card: CardUnderTest) -> None:
    """What the card makes the module signs with, and both tell the same serial number."""
    digest = card.write("digest", DIGEST)
    public = card.certified("9a", "RSA2048")
    ours = ("pkcs11-tool", "--module", card.token.module, "--slot", str(card.token.slot))
    to = ("--id", "01", "-i", digest, "-o", "signature")
    card.run(*ours, "--login", "--pin", card.token.pin, "--sign", "-m", "RSA-PKCS", *to)
    card.verify(public, "signature")
    serials = [
        line.split(":")[1].strip().upper()
        for told in (card.opensc("--list-slots"), card.run(*ours, "--list-slots"))
        for line in told.splitlines()
        if "serial num" in line
    ]
    assert len(set(serials)) == 1
    assert set(serials[0]) != {"0"}


def test_what_pkcs11_programs_have_enrolled_opensc_signs_with(card: CardUnderTest) -> None:
    """Whatever its CKA_ID, it is in 9A and after that in 9C; renewed, it is in 9A again."""
    digest = card.write("digest", DIGEST)
    login = ("--login", "--pin", card.token.pin)
    rsa = card.enrolled("7701", "rsa:2048")
    to = ("-i", digest, "-o", "signature")
    card.opensc(*login, "--sign", "-m", "RSA-PKCS", "--id", "01", *to)
    card.verify(rsa, "signature", "-keyform", "DER")
    assert "Successful" in card.yubico(
        *("-a", "verify-pin", "-P", card.token.pin, "-a", "read-certificate", "-s", "9a"),
        *("-o", "9a.pem", "-a", "test-signature", "-i", "9a.pem"),
    )
    curve = card.enrolled("7702", "EC:prime256v1")
    to = (*to, "--signature-format", "openssl")
    for ident in ("02", "01"):
        card.opensc(*login, "--sign", "-m", "ECDSA", "--id", ident, *to)
        card.verify(curve, "signature", "-keyform", "DER")
        if ident == "02":
            for kind in ("privkey", "pubkey", "cert"):
                card.ours("--delete-object", "--type", kind, "--id", "7701")
            assert "ID:         02" not in card.opensc("--list-objects", "--type", "cert")


_KEEPS_ASKING = """
import subprocess, sys
import pkcs11
from pkcs11 import Attribute, ObjectClass

module, label, pin = sys.argv[1:]
token = pkcs11.lib(module).get_token(token_label=label)
with token.open(user_pin=pin, rw=True) as session:
    def private():
        wanted = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.ID: bytes([1])}
        return list(session.get_objects(wanted))
    (first,) = private()
    assert [first[Attribute.LABEL] for _ in range(3)] == ["PIV AUTH key"] * 3
    make = "-a generate -s 9a -A ECCP256 -o again.pub"
    subprocess.run(["yubico-piv-tool", "--reader=ukeylab", *make.split()], check=True)
    try:
        first[Attribute.LABEL]
    except pkcs11.exceptions.ObjectHandleInvalid:
        pass
    else:
        raise SystemExit("the key that was replaced still answers")
    (second,) = private()
    assert len(second.sign(bytes(32), mechanism=pkcs11.Mechanism.ECDSA)) == 64
    attest = ["yubico-piv-tool", "--reader=ukeylab", "-a", "attest", "-s", "9a"]
    assert subprocess.run(attest, check=False).returncode == 0
    second.destroy()
    assert subprocess.run(attest, check=False).returncode == 1
"""


def test_a_program_that_keeps_asking_hears_of_what_the_card_does(card: CardUnderTest) -> None:
    """The module keeps answers in memory; what the card changes ends them at once."""
    card.certified("9a", "RSA2048")
    token = card.token
    card.run(sys.executable, "-c", _KEEPS_ASKING, token.module, token.label, token.pin)
