"""NSS as judge: modutil, certutil, cmsutil and pk12util with a database that has our module."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from little_authority import PEM, LittleAuthority
from token_under_test import TokenUnderTest

MESSAGE = "what was shown is what was signed\n"
KEYS = {
    "rsa": ("-k", "rsa", "-g", "2048"),
    "ec": ("-k", "ec", "-q", "nistp256"),
    "dsa": ("-k", "dsa", "-g", "1024"),
}


@dataclass(frozen=True)
class Database:
    """NSS's folder of certificates, with the token's module added."""

    token: TokenUnderTest
    folder: Path

    @property
    def pin(self) -> Path:
        return self.folder / "pin"

    def run(self, program: str, *words: str | Path, expect: int = 0, stdin: str = "") -> str:
        home = {"HOME": str(self.folder)}
        place = ("-dbdir" if program == "modutil" else "-d", f"sql:{self.folder}")
        return self.token.run(program, *place, *words, expect=expect, stdin=stdin, extra=home)

    def certutil(self, *words: str | Path, expect: int = 0, stdin: str = "") -> str:
        on_token = ("-h", self.token.label, "-f", self.pin)
        return self.run("certutil", *words, *on_token, expect=expect, stdin=stdin)

    def generate(self, *words: str | Path, kind: str, stdin: str = "") -> str:
        noise = self.folder / "noise"
        noise.write_bytes(os.urandom(64))
        return self.certutil(*words, *KEYS[kind], "-z", noise, stdin=stdin)

    def self_signed(self, name: str, kind: str = "rsa") -> None:
        """Make an authority; the answers are: it is one, no limit of its path, not critical."""
        subject = ("-S", "-x", "-2", "-m", "1", "-n", name, "-s", f"CN={name}", "-t", "C,C,C")
        self.generate(*subject, kind=kind, stdin="y\n\nn\n")

    def exported(self, name: str) -> Path:
        path = self.folder / f"{name}.pem"
        told = self.certutil("-L", "-n", f"{self.token.label}:{name}", "-a")
        path.write_text(told, encoding="utf-8")
        return path


@pytest.fixture
def database(token: TokenUnderTest, tmp_path: Path) -> Database:
    database = Database(token, tmp_path)
    database.pin.write_text(token.pin + "\n")
    database.run("certutil", "-N", "--empty-password")
    database.run("modutil", "-add", "under test", "-libfile", token.module, "-force")
    return database


def test_the_module_is_added_listed_and_deleted(database: Database) -> None:
    listed = database.run("modutil", "-list")
    assert "2. under test" in listed
    assert f"token: {database.token.label}" in listed
    assert "status: loaded" in listed
    assert "Name: " in (told := database.run("modutil", "-list", "under test"))
    assert database.token.label in told
    database.run("modutil", "-delete", "under test", "-force")
    assert database.token.label not in database.run("modutil", "-list")


@pytest.mark.parametrize("kind", KEYS)
def test_an_authority_on_the_token_certifies_a_signer(
    database: Database, kind: str, tmp_path: Path
) -> None:
    label = database.token.label
    database.self_signed("root", kind)
    issued = ("-S", "-c", f"{label}:root", "-m", "2", "-n", "signer", "-s", "CN=signer")
    database.generate(*issued, "-t", ",,", kind=kind)
    root, signer = database.exported("root"), database.exported("signer")
    assert ": OK" in database.token.run("openssl", "verify", "-CAfile", root, signer)

    keys = database.certutil("-K")
    assert f"{label}:root" in keys
    assert f"{label}:signer" in keys

    message, signed = tmp_path / "message", tmp_path / "signed"
    message.write_text(MESSAGE)
    sign = ("-S", "-N", f"{label}:signer", "-f", database.pin, "-G", "-i", message, "-o", signed)
    database.run("cmsutil", *sign)
    verify = ("openssl", "cms", "-verify", "-inform", "DER", "-purpose", "any", "-CAfile", root)
    assert MESSAGE in database.token.run(*verify, "-in", signed)


def test_a_message_is_decrypted(database: Database, tmp_path: Path) -> None:
    database.self_signed("reader")
    message, closed = tmp_path / "message", tmp_path / "closed"
    message.write_text(MESSAGE)
    seal = ("openssl", "cms", "-encrypt", "-aes256", "-in", message, "-outform", "DER")
    database.token.run(*seal, "-out", closed, database.exported("reader"))
    assert MESSAGE in database.run("cmsutil", "-D", "-f", database.pin, "-i", closed)


def test_a_request_is_certified_and_the_certificate_imported(
    database: Database, authority: LittleAuthority, tmp_path: Path
) -> None:
    request, leaf = tmp_path / "request.pem", tmp_path / "leaf.pem"
    database.generate("-R", "-s", "CN=asked,C=CN", "-a", "-o", request, kind="ec")
    assert "(orphan)" in database.certutil("-K")
    asked = x509.load_pem_x509_csr(request.read_bytes())
    assert asked.is_signature_valid
    certificate = authority.issue(asked.public_key(), "asked")  # type: ignore[arg-type]
    leaf.write_bytes(certificate.public_bytes(PEM))

    database.certutil("-A", "-n", "asked", "-t", ",,", "-a", "-i", leaf)
    assert "(orphan)" not in (keys := database.certutil("-K"))
    assert f"{database.token.label}:asked" in keys
    assert f"{database.token.label}:asked" in database.certutil("-L")
    assert x509.load_pem_x509_certificate(database.exported("asked").read_bytes()) == certificate
    database.certutil("-D", "-n", f"{database.token.label}:asked")
    assert "asked" not in database.certutil("-L")


def test_a_key_and_its_certificate_come_out_of_a_pkcs12_file(
    database: Database, tmp_path: Path
) -> None:
    token, key, leaf, bag = database.token, *(tmp_path / n for n in ("key", "leaf", "bag.p12"))
    made = ("-newkey", "rsa:2048", "-nodes", "-keyout", key, "-subj", "/CN=brought")
    token.run("openssl", "req", "-x509", *made, "-out", leaf)
    export = ("-export", "-inkey", key, "-in", leaf, "-name", "brought", "-out", bag)
    token.run("openssl", "pkcs12", *export, "-passout", "pass:secret")
    told = database.run(
        "pk12util", "-i", bag, "-W", "secret", "-h", token.label, "-k", database.pin
    )
    assert "PKCS12 IMPORT SUCCESSFUL" in told
    assert "brought" in database.certutil("-K")
    assert f"{token.label}:brought" in database.certutil("-L")

    database.certutil("-M", "-n", f"{token.label}:brought", "-t", "C,C,C")

    message, signed = tmp_path / "message", tmp_path / "signed"
    message.write_text(MESSAGE)
    sign = ("-S", "-N", f"{token.label}:brought", "-f", database.pin, "-G", "-i", message)
    database.run("cmsutil", *sign, "-o", signed)
    verify = ("openssl", "cms", "-verify", "-inform", "DER", "-purpose", "any", "-CAfile", leaf)
    assert MESSAGE in token.run(*verify, "-in", signed)


def test_the_pin_is_changed(database: Database, tmp_path: Path) -> None:
    fresh = tmp_path / "fresh"
    fresh.write_text("4711007\n")
    database.certutil("-W", "-@", fresh)
    assert "incorrect" in database.certutil("-K", expect=255)
    database.pin.write_text("4711007\n")
    assert "no keys found" in database.certutil("-K", expect=255)
    database.self_signed("after")
    assert "after" in database.certutil("-K")
