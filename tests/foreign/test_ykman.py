"""ykman (yubikey-manager) as judge of the card; certificates and keys are checked by cryptography.

It finds the reader by a part of its name; how it finds a key that looks like a YubiKey is in
test_yubikey_profile.py.
"""

import json
import sys
from pathlib import Path

import pytest
from card_under_test import CardUnderTest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)
from cryptography.x509.extensions import UnrecognizedExtension

LINES = Path(__file__).with_name("ykman_lines.py")
TRIPLE_DES = "0102030405060708" * 3
MANAGING = ("-m", TRIPLE_DES)
PIN = ("-P", "123456")
FIRMWARE, SERIAL, POLICY = (
    x509.ObjectIdentifier(f"1.3.6.1.4.1.41482.3.{number}") for number in (3, 7, 8)
)


class Ykman:
    """Runs lines of ykman commands for PIV on one card."""

    def __init__(self, card: CardUnderTest) -> None:
        self.card = card

    def answers(self, *commands: tuple[str, ...]) -> list[tuple[int, str]]:
        """Run commands, one after the other; give exit code and output of each."""
        lines = [json.dumps(["--reader", "ukeylab", "piv", *command]) for command in commands]
        told = self.card.run(sys.executable, LINES, stdin="\n".join(lines))
        done = [json.loads(line) for line in told.splitlines()]
        assert len(done) == len(commands), told
        return [(code, text) for code, text in done]

    def run(self, *commands: tuple[str, ...]) -> list[str]:
        """Run commands that all succeed; give what each printed."""
        done = self.answers(*commands)
        for command, (code, text) in zip(commands, done, strict=True):
            assert code == 0, (command, text)
        return [text for _, text in done]

    def refused(self, *commands: tuple[str, ...]) -> list[str]:
        """Run commands that all fail, none by an error of ykman's own; give what each printed."""
        done = self.answers(*commands)
        for command, (code, text) in zip(commands, done, strict=True):
            assert code == 1, (command, text)
            assert "unexpected error" not in text, (command, text)
        return [text for _, text in done]

    def read(self, name: str) -> bytes:
        return (self.card.folder / name).read_bytes()


@pytest.fixture
def ykman(card: CardUnderTest) -> Ykman:
    return Ykman(card)


def test_a_key_is_generated_certified_attested_moved_and_deleted(ykman: Ykman) -> None:
    holder = ("-s", "CN=holder,O=lab", "9a", "9a.pub")
    told = ykman.run(
        ("keys", "generate", *MANAGING, "-a", "ECCP256", "--pin-policy", "ONCE", "9a", "9a.pub"),
        ("keys", "export", "9a", "exported.pub"),
        ("certificates", "request", *PIN, *holder, "request.pem"),
        ("certificates", "generate", *PIN, *MANAGING, *holder),
        ("certificates", "export", "9a", "self.pem"),
        ("keys", "attest", "9a", "attested.pem"),
        ("certificates", "export", "f9", "issuer.pem"),
        ("keys", "info", "9a"),
        ("info",),
    )
    public = load_pem_public_key(ykman.read("9a.pub"))
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert ykman.read("exported.pub") == ykman.read("9a.pub")
    request = x509.load_pem_x509_csr(ykman.read("request.pem"))
    assert request.is_signature_valid
    assert request.public_key() == public
    own = x509.load_pem_x509_certificate(ykman.read("self.pem"))
    own.verify_directly_issued_by(own)
    assert own.public_key() == public
    attested = x509.load_pem_x509_certificate(ykman.read("attested.pem"))
    attested.verify_directly_issued_by(x509.load_pem_x509_certificate(ykman.read("issuer.pem")))
    assert attested.public_key() == public
    extensions = {each.oid: each.value for each in attested.extensions}
    assert extensions[FIRMWARE] == UnrecognizedExtension(FIRMWARE, b"\5\7\4")
    assert extensions[POLICY] == UnrecognizedExtension(POLICY, b"\2\1")  # PIN once, touch never
    serial = int(ykman.card.yubico("-a", "status").split("Serial Number:")[1].split()[0])
    assert isinstance(number := extensions[SERIAL], UnrecognizedExtension)
    assert int.from_bytes(number.value[2:]) == serial
    assert "GENERATED" in told[-2]
    assert "CN=holder" in told[-1]

    moved = ("keys", "move", *MANAGING, "9a", "83")
    _, info, *_ = ykman.run(moved, ("keys", "info", "83"), ("certificates", "export", "83", "-"))
    assert "83 (RETIRED2)" in info
    (missing, _) = ykman.refused(("keys", "info", "9a"), ("keys", "attest", "9a", "-"))
    assert "No key stored in slot 9A" in missing
    ykman.run(("keys", "attest", "83", "again.pem"), ("keys", "delete", *MANAGING, "83"))
    again = x509.load_pem_x509_certificate(ykman.read("again.pem"))
    assert again.public_key() == public
    (missing,) = ykman.refused(("keys", "info", "83"))
    assert "No key stored in slot 83" in missing


def test_keys_and_certificates_are_imported_and_have_to_belong_together(ykman: Ykman) -> None:
    card = ykman.card
    private = {
        "9c": ed25519.Ed25519PrivateKey.generate(),
        "9d": x25519.X25519PrivateKey.generate(),
        "9e": ec.generate_private_key(ec.SECP384R1()),
    }
    for slot, key in private.items():
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        card.write(f"{slot}.key", pem)
    for slot in ("9c", "9e"):
        make = ("-key", f"{slot}.key", "-subj", f"/CN={slot}", "-out", f"{slot}.pem")
        card.openssl("req", "-x509", *make)
    ykman.run(
        ("keys", "import", *MANAGING, "9c", "9c.key"),
        ("keys", "import", *MANAGING, "--pin-policy", "NEVER", "9d", "9d.key"),
        ("keys", "import", *MANAGING, "--pin-policy", "NEVER", "9e", "9e.key"),
        *(("keys", "export", slot, f"{slot}.pub") for slot in private),
        ("certificates", "import", *MANAGING, *PIN, "--verify", "9e", "9e.pem"),
        ("certificates", "export", "9e", "back.pem"),
    )
    for slot, key in private.items():
        here = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        assert ykman.read(f"{slot}.pub") == here
    assert ykman.read("back.pem") == ykman.read("9e.pem")
    refused = ykman.refused(
        ("certificates", "import", *MANAGING, *PIN, "--verify", "9e", "9c.pem"),
        ("certificates", "import", *MANAGING, *PIN, "--verify", "9c", "9e.pem"),
        ("keys", "attest", "9e", "-"),
    )
    for told in refused[:2]:
        assert "does not match the private key" in told
    # It may sign only after the PIN each time; what it signs is asked for with the PIN.
    asked = ("certificates", "request", *PIN, "-s", "CN=signer", "9c", "9c.pub", "request.pem")
    ykman.run(asked, ("certificates", "delete", *MANAGING, "9e"))
    request = x509.load_pem_x509_csr(ykman.read("request.pem"))
    assert request.is_signature_valid
    assert request.public_key() == private["9c"].public_key()
    ykman.refused(("certificates", "export", "9e", "-"))


def test_pins_and_management_key_are_changed(ykman: Ykman) -> None:
    aes = "00112233445566778899aabbccddeeff" * 2
    change = ("access", "change-management-key")
    generate = ("keys", "generate", "-a", "X25519", "9d", "-")
    told = ykman.run(
        ("access", "change-pin", *PIN, "-n", "654321"),
        ("access", "change-puk", "-p", "12345678", "-n", "87654321"),
        (*change, *MANAGING, "-a", "AES256", "-n", aes),
        ("info",),
        (*generate, "-m", aes),
    )
    assert "Management key algorithm: AES256" in told[3]
    assert "default" not in told[3]
    wrong = ykman.refused(
        ("access", "change-pin", *PIN, "-n", "111111"),
        ("access", "change-puk", "-p", "12345678", "-n", "11111111"),
        ("access", "unblock-pin", "-p", "12345678", "-n", "111111"),
        (*generate, *MANAGING),
        (*generate, "-m", "ff" * 32),
    )
    assert "9 tries left" in wrong[0]
    assert "8 tries left" in wrong[2]
    told = ykman.run(
        ("access", "unblock-pin", "-p", "87654321", "-n", "222222"),
        (*change, "-m", aes, "-a", "AES192", "--generate", "--protect", "-P", "222222"),
        ("info",),
        (*generate, "-P", "222222"),  # the management key is in an object that the PIN opens
        ("access", "set-retries", "-f", "-P", "222222", "4", "5"),
        ("info",),
    )
    assert "Management key is stored on the YubiKey, protected by PIN" in told[2]
    assert "PIN tries remaining:      4/4" in told[5]
    assert "PUK tries remaining:      5/5" in told[5]
    assert "Using default PIN" in told[5]
    assert "Using default PUK" in told[5]


def test_objects_come_and_go_and_a_reset_takes_all(ykman: Ykman) -> None:
    content = bytes(range(256)) * 4
    ykman.card.write("content", content)
    told = ykman.run(
        ("objects", "import", *MANAGING, "0x5f0010", "content"),
        ("objects", "export", "0x5f0010", "back"),
        ("info",),
        ("objects", "generate", *MANAGING, "CHUID"),
        ("info",),
        ("keys", "generate", *MANAGING, "-a", "ECCP384", "9a", "9a.pub"),
        ("access", "change-management-key", *MANAGING, "-a", "AES128", "-n", "ab" * 16),
        ("reset", "-f"),
        ("info",),
        ("keys", "generate", *MANAGING, "-a", "ECCP256", "9c", "9c.pub"),
    )
    assert ykman.read("back") == content
    holders = [line for each in told for line in each.splitlines() if line.startswith("CHUID:")]
    assert len(holders) == 3
    assert holders[0] == holders[2] != holders[1]
    assert "Reset complete" in told[7]
    for default in ("PIN!", "PUK!", "Management key!"):
        assert f"WARNING: Using default {default}" in told[8]
    missing = ykman.refused(("objects", "export", "0x5f0010", "-"), ("keys", "info", "9a"))
    assert "No data found" in missing[0]
    assert "No key stored" in missing[1]
