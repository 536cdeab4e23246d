"""OpenSC's programs for cards as judges: opensc-tool, pkcs15-tool, pkcs15-crypt, piv-tool.

How its PKCS#11 module changes the PIN is here too; how it signs, deciphers and derives is in
test_piv_programs.py.
"""

import re
from pathlib import Path

from card_under_test import CardUnderTest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

PUK = "12345678"
DEFAULT_KEY = "0102030405060708" * 3
DIGEST = bytes(range(32))
# OpenSC gives a new PIN by the PUK, through PKCS#11, only if it is told to.
UNBLOCKING = (
    "app opensc-pkcs11 { pkcs11 { user_pin_unblock_style = set_pin_in_unlogged_session; } }"
)


def pin_is(card: CardUnderTest, pin: str, *, right: bool = True) -> str:
    verify = ("--verify-pin", "--auth-id", "01", "--pin", pin)
    return card.run("pkcs15-tool", *verify, expect=0 if right else 255)


def same_key(card: CardUnderTest, path: Path) -> str:
    """Give a public key as SSH has it, by which keys are compared."""
    key = load_pem_public_key((card.folder / path).read_bytes())
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def managing(card: CardUnderTest, *words: str | Path, key: str = DEFAULT_KEY) -> str:
    """Run piv-tool with the management key in the form that it reads.

    What it exits with says nothing: after a certificate that is the certificate's length.
    """
    card.write("key", ":".join(re.findall("..", key)).encode())
    manager = ("sh", "-c", '"$@" || true', "sh", "piv-tool", "--admin", "M:9B:03")
    return card.run(*manager, *words, extra={"PIV_EXT_AUTH_KEY": "key"})


def test_opensc_tool_knows_reader_card_and_serial_number(card: CardUnderTest) -> None:
    assert re.search(r"^0 +Yes +ukeylab .+ 00 00$", card.run("opensc-tool", "-l"), re.MULTILINE)
    (line,) = card.run("opensc-tool", "--atr").splitlines()[1:]
    atr = bytes.fromhex(line.replace(":", ""))
    historical = atr[-1 - (atr[1] & 0x0F) : -1]
    assert historical == bytes.fromhex("80F9A00000030800001000")
    check = 0
    for byte in atr[1:]:
        check ^= byte
    assert check == 0
    assert "Personal Identity Verification Card" in card.run("opensc-tool", "--name")

    shown = re.search(r"^((?:[0-9A-F]{2} )+)", card.run("opensc-tool", "--serial"), re.MULTILINE)
    listed = re.search(r"serial num +: (\w+)", card.ours("--list-slots"))
    assert shown
    assert listed
    assert bytes.fromhex(shown[1])[-8:] == bytes.fromhex(listed[1])

    select = ("opensc-tool", "-s", "00:A4:04:00:05:A0:00:00:03:08", "-s", "00:A4:04:00:02:12:34")
    assert re.findall(r"SW1=0x(..), SW2=0x(..)", card.run(*select)) == [("90", "00"), ("6A", "82")]


def test_pkcs15_tool_lists_and_reads_and_pkcs15_crypt_signs(card: CardUnderTest) -> None:
    for slot in ("9a", "9c", "9d", "9e"):
        card.certified(slot, "ECCP256")
    card.certified("82", "ECCP384")
    told = card.run("pkcs15-tool", "--list-keys", "--list-certificates", "--list-pins", "--short")
    keys = re.findall(r"EC \[(\d+)\] +ID:(\w+) +Ref:0x(\w+)", told)
    assert keys == [
        *(("256", f"0{number}", ref) for number, ref in enumerate(("9A", "9C", "9D", "9E"), 1)),
        ("384", "05", "82"),
    ]
    assert "Card has 5 Certificate(s)" in told
    assert "Card has 2 Authentication object(s)" in told

    for ident, slot in (("01", "9a"), ("05", "82")):
        card.run("pkcs15-tool", "--read-certificate", ident, "-o", "read.pem")
        read, put = (
            x509.load_pem_x509_certificate((card.folder / name).read_bytes())
            for name in ("read.pem", f"{slot}.pem")
        )
        assert read == put
        card.run("pkcs15-tool", "--read-public-key", ident, "-o", "read.pub")
        assert same_key(card, Path("read.pub")) == same_key(card, Path(f"{slot}.pub"))
        assert same_key(card, Path(f"{slot}.pub")) in card.run("pkcs15-tool", "--read-ssh", ident)

    digest = card.write("digest", DIGEST)
    sign = ("--sign", "--raw", "--signature-format", "openssl", "-i", digest, "-o", "signature")
    for ident, slot in (("01", "9a"), ("02", "9c"), ("04", "9e")):
        card.run("pkcs15-crypt", "--key", ident, "--pin", card.token.pin, *sign)
        card.verify(card.folder / f"{slot}.pub", "signature")


def test_pkcs15_tool_changes_blocks_and_unblocks_the_pin(card: CardUnderTest) -> None:
    change = ("pkcs15-tool", "--change-pin", "--auth-id", "01", "--pin", card.token.pin)
    card.run(*change, "--new-pin", "654321")
    assert "PIN code or key incorrect" in pin_is(card, card.token.pin, right=False)
    assert "PIN tries left:\t9" in card.yubico("-a", "status")
    pin_is(card, "654321")

    for _ in range(10):
        pin_is(card, "999999", right=False)
    assert "Authentication method blocked" in pin_is(card, "654321", right=False)
    unblock = ("pkcs15-tool", "--unblock-pin", "--auth-id", "01", "--new-pin", "111111", "--puk")
    assert "PUK code incorrect; tries left: 9" in card.run(*unblock, "99999999", expect=3)
    assert "blocked" in pin_is(card, "654321", right=False)
    card.run(*unblock, PUK)
    pin_is(card, "111111")


def test_pkcs11_tool_changes_and_unblocks_the_pin_of_openscs_module(card: CardUnderTest) -> None:
    card.certified("9a", "ECCP256")
    keys = ("--list-objects", "--type", "privkey", "--login", "--pin")
    card.opensc("--login", "--pin", card.token.pin, "--change-pin", "--new-pin", "654321")
    assert "CKR_PIN_INCORRECT" in card.opensc(*keys, card.token.pin, expect=1)
    assert "Private Key Object; EC" in card.opensc(*keys, "654321")
    for _ in range(10):
        card.opensc(*keys, "999999", expect=1)
    assert "CKR_PIN_LOCKED" in card.opensc(*keys, "654321", expect=1)
    assert "user PIN locked" in card.opensc("--list-slots")

    card.write("opensc.conf", UNBLOCKING.encode())
    tool = ("pkcs11-tool", "--module", "opensc-pkcs11.so", "--unlock-pin")
    unlock = (*tool, "--new-pin", "111111", "--puk")
    told = {"OPENSC_CONF": "opensc.conf"}
    card.run(*unlock, "99999999", extra=told, expect=1)
    assert "CKR_PIN_LOCKED" in card.opensc(*keys, "654321", expect=1)
    card.run(*unlock, PUK, extra=told)
    assert "Private Key Object; EC" in card.opensc(*keys, "111111")


def test_piv_tool_manages_the_card(card: CardUnderTest) -> None:
    card.certified("9a", "ECCP256")
    card.yubico("-a", "delete-certificate", "-s", "9a")
    load = ("--cert", "9A", "--in", "9a.pem")
    wrong = "1122334455667788" * 3
    assert "admin_mode failed" in managing(card, *load, key=wrong)
    card.yubico("-a", "read-certificate", "-s", "9a", expect=1)
    managing(card, *load)
    card.run("pkcs15-tool", "--read-certificate", "01", "-o", "read.pem")
    assert (card.folder / "read.pem").read_bytes() == (card.folder / "9a.pem").read_bytes()

    card.write("object", b"\x53\x82\x01\x00" + bytes(range(256)))
    managing(card, "--object", "9000", "--in", "object")
    card.yubico("-a", "read-object", "--id", "0x5fc106", "-f", "binary", "-o", "read")
    assert (card.folder / "read").read_bytes() == bytes(range(256))

    # The card makes the key; version 0.23 with OpenSSL 3 cannot write down what it is told of it.
    card.yubico("-a", "attest", "-s", "9c", expect=1)
    managing(card, "--genkey", "9C:14", "--out", "new.pub")
    card.yubico("-a", "attest", "-s", "9c", "-o", "made.pem")
    made = x509.load_pem_x509_certificate((card.folder / "made.pem").read_bytes()).public_key()
    assert getattr(made, "key_size", 0) == 384
