"""yubico-piv-tool as judge: PINs, tries, objects, certificates, what it brings, and the reset.

What it makes keys for is in test_piv_programs.py. Its own certificate requests fail in Debian 12
before a command is sent (version 2.2 with OpenSSL 3), so ykman and OpenSSL ask for those.
"""

import gzip

import pytest
from card_under_test import CardUnderTest
from cryptography import x509
from little_authority import DER

PUK = "12345678"
SECURITY, PRINTED, OWN = "0x5fc106", "0x5fc109", "0x5fff20"


def verified(pin: str = "123456") -> tuple[str, ...]:
    return ("-a", "verify-pin", "-P", pin)


def tries(card: CardUnderTest) -> int:
    return int(card.yubico("-a", "status").split("PIN tries left:")[1])


def test_pin_and_puk_are_changed(card: CardUnderTest) -> None:
    card.yubico("-a", "change-pin", "-P", "123456", "-N", "654321")
    assert "9 tries left" in card.yubico(*verified(), expect=1)
    assert tries(card) == 9
    card.yubico(*verified("654321"))
    assert tries(card) == 10

    change = ("-a", "change-puk", "-N", "puk=8765", "-P")
    card.yubico(*change, PUK)
    assert "now 9 tries left" in card.yubico(*change, PUK, expect=1)
    card.yubico("-a", "unblock-pin", "-P", "puk=8765", "-N", "111111")
    card.yubico(*verified("654321"), expect=1)
    card.yubico(*verified("111111"))


def test_one_pin_is_one_signature_of_9c(card: CardUnderTest) -> None:
    signing = ("-a", "test-signature")
    for slot, code in (("9a", 0), ("9c", 1)):
        card.certified(slot, "ECCP256")
        with_certificate = ("-s", slot, "-i", f"{slot}.pem")
        told = card.yubico(*verified(), *signing, *signing, *with_certificate, expect=code)
        assert told.count("Successful ECDSA verification") == 2 - code
        twice = (*verified(), *signing, "-a", "verify-pin", *signing)
        told = card.yubico(*twice, *with_certificate)
        assert told.count("Successful ECDSA verification") == 2
        assert "Failed signing" in card.yubico(*signing, *with_certificate, expect=1)


def test_as_many_tries_as_it_set_until_only_a_reset_is_left(card: CardUnderTest) -> None:
    card.yubico("-a", "change-pin", "-P", "123456", "-N", "654321")
    card.yubico("-a", "generate", "-s", "9a", "-A", "ECCP256", "-o", "9a.pub")
    card.yubico("-a", "write-object", "--id", OWN, "-f", "binary", "-i", "9a.pub")
    retries = ("-a", "pin-retries", "--pin-retries", "2", "--puk-retries", "3")
    card.yubico(*retries, expect=1)  # nobody has given the PIN
    card.yubico(*verified("654321"), *retries)
    assert tries(card) == 2
    card.yubico(*verified())  # both are the defaults now

    assert "1 tries left" in card.yubico(*verified("999999"), expect=1)
    for pin in ("999999", "123456"):
        assert "Pin code blocked" in card.yubico(*verified(pin), expect=1)
    assert tries(card) == 0
    assert "Reset failed" in card.yubico("-a", "reset", expect=1)  # the PUK is not blocked
    unblock = ("-a", "unblock-pin", "-N", "123456", "-P")
    for left in (2, 1, 0):
        assert f"now {left} tries left" in card.yubico(*unblock, "99999999", expect=1)
    assert "blocked" in card.yubico(*unblock, PUK, expect=1)
    card.yubico("-a", "attest", "-s", "9a")  # so long all is there

    card.yubico("-a", "reset")
    card.yubico("-a", "attest", "-s", "9a", expect=1)
    card.yubico("-a", "read-object", "--id", OWN, expect=1)
    assert tries(card) == 10
    card.yubico(*verified())
    card.yubico(*unblock, PUK)


def test_objects_are_written_read_and_private_ones_only_with_the_pin(card: CardUnderTest) -> None:
    content = bytes(range(256)) * 9  # chained on its way in, and in pieces on its way out
    card.write("content", content)
    for name in (SECURITY, OWN, PRINTED):
        card.yubico("-a", "write-object", "--id", name, "-i", "content", "-f", "binary")
    read = ("-a", "read-object", "-f", "binary", "-o", "back", "--id")
    for name in (SECURITY, OWN):
        card.yubico(*read, name)
        assert (card.folder / "back").read_bytes() == content
    assert "Failed" in card.yubico(*read, PRINTED, expect=1)
    assert (card.folder / "back").read_bytes() == b""
    card.yubico(*verified(), *read, PRINTED)
    assert (card.folder / "back").read_bytes() == content

    wrong = "--key=112233445566778811223344556677881122334455667700"
    card.yubico(wrong, "-a", "write-object", "--id", OWN, "-i", "content", expect=1)
    before = card.yubico("-a", "status")
    card.yubico("-a", "set-chuid", "-a", "set-ccc")
    after = card.yubico("-a", "status")
    for name in ("CHUID:", "CCC:"):
        was, now = ({x for x in told.splitlines() if name in x} for told in (before, after))
        assert len(was | now) == 2
    assert "No data" not in after


def test_certificates_come_packed_and_plain_and_go(card: CardUnderTest) -> None:
    card.certified("9a", "ECCP384")
    certificate = x509.load_pem_x509_certificate((card.folder / "9a.pem").read_bytes())
    value = certificate.public_bytes(DER)
    card.write("packed", gzip.compress(value))
    for put, unpack in (("9a.pem", bytes), ("packed", gzip.decompress)):
        kind = ("-K", "PEM" if put == "9a.pem" else "GZIP")
        card.yubico("-a", "import-certificate", "-s", "9a", *kind, "-i", put)
        card.yubico("-a", "read-certificate", "-s", "9a", "-K", "DER", "-o", "back")
        assert unpack((card.folder / "back").read_bytes()) == value  # it unpacks nothing itself
        card.run("pkcs15-tool", "--read-certificate", "01", "-o", "opensc.pem")
        told = x509.load_pem_x509_certificate((card.folder / "opensc.pem").read_bytes())
        assert told == certificate
        card.ours("--read-object", "--type", "cert", "--id", "01", "-o", "theirs")
        assert (card.folder / "theirs").read_bytes() == value
        card.yubico("-a", "delete-certificate", "-s", "9a")
        card.yubico("-a", "read-certificate", "-s", "9a", expect=1)
        card.ours("--read-object", "--type", "cert", "--id", "01", expect=1)
    assert "Slot" not in card.yubico("-a", "status")
    card.yubico("-a", "attest", "-s", "9a")  # the key stays


@pytest.mark.parametrize(("curve", "slot"), [("prime256v1", "9e"), ("secp384r1", "95")])
def test_a_pair_of_a_pkcs_12_file(card: CardUnderTest, curve: str, slot: str) -> None:
    card.openssl("ecparam", "-name", curve, "-genkey", "-noout", "-out", "key.pem")
    card.openssl("req", "-x509", "-key", "key.pem", "-subj", "/CN=brought", "-out", "brought.pem")
    pack = ("-inkey", "key.pem", "-in", "brought.pem", "-out", "pair", "-passout", "pass:x")
    card.openssl("pkcs12", "-export", *pack)
    pair = ("-s", slot, "-K", "PKCS12", "-p", "x", "-i", "pair", "--pin-policy=never")
    card.yubico("-a", "import-key", "-a", "import-certificate", *pair)
    brought = ("-s", slot, "-i", "brought.pem")  # and the PIN is never given
    assert "Successful ECDSA" in card.yubico("-a", "test-signature", *brought)
    assert "Successfully performed ECDH" in card.yubico("-a", "test-decipher", *brought)
    other = ("-name", curve, "-genkey", "-noout", "-out", "other.pem")
    card.openssl("ecparam", *other)
    card.openssl("req", "-x509", "-key", "other.pem", "-subj", "/CN=other", "-out", "other.crt")
    told = card.yubico("-a", "test-signature", "-s", slot, "-i", "other.crt", expect=1)
    assert "Failed ECDSA verification" in told
