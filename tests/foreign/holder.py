"""A key pair on a token and its certificate, made with pkcs11-tool for the programs under test."""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_public_key
from little_authority import DER, LittleAuthority
from token_under_test import TokenUnderTest


def tool(token: TokenUnderTest, *words: str | Path) -> str:
    """Run pkcs11-tool, logged in."""
    login = ("--slot", str(token.slot), "--login", "--pin", token.pin)
    return token.run("pkcs11-tool", "--module", token.module, *login, *words)


def make_pair(token: TokenUnderTest, kind: str, key_id: str, label: str) -> None:
    """Make a pair for signatures and decryption: kind is as pkcs11-tool has it ("rsa:2048")."""
    pair = ("--keypairgen", "--key-type", kind, "--id", key_id, "--label", label)
    tool(token, *pair, "--usage-sign", *(("--usage-decrypt",) if kind.startswith("rsa") else ()))


def certify(
    token: TokenUnderTest, authority: LittleAuthority, key_id: str, label: str, folder: Path
) -> x509.Certificate:
    """Have the authority certify the pair; write the certificate to the token too."""
    public, leaf = folder / f"{label}.pub", folder / f"{label}.der"
    tool(token, "--read-object", "--type", "pubkey", "--id", key_id, "--output-file", public)
    key = load_der_public_key(public.read_bytes())
    certificate = authority.issue(key, label)  # type: ignore[arg-type]
    leaf.write_bytes(certificate.public_bytes(DER))
    tool(token, "--write-object", leaf, "--type", "cert", "--id", key_id, "--label", label)
    return certificate
