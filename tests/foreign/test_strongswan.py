"""strongSwan's pki as judge: it finds a key by CKA_ID and asks for the PIN itself.

With SoftHSM2 2.6.1 it does not end well (SIGSEGV).
"""

from pathlib import Path

import pytest
from holder import make_pair, tool
from token_under_test import TokenUnderTest

SETTINGS = """
pki {{
  load = pkcs11 random nonce x509 pem pkcs1 pkcs8 pubkey sha1 sha2 openssl
  plugins {{
    pkcs11 {{
      modules {{
        tested {{
          path = {module}
        }}
      }}
    }}
  }}
}}
"""


@pytest.fixture
def settings(token: TokenUnderTest, tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "strongswan.conf"
    path.write_text(SETTINGS.format(module=token.module))
    return {"STRONGSWAN_CONF": str(path), "HOME": str(tmp_path)}


def pki(token: TokenUnderTest, settings: dict[str, str], *words: str) -> str:
    """Run pki, which takes the PIN from its input; give what it wrote in PEM."""
    told = token.run("pki", *words, stdin=f"{token.pin}\n", extra=settings)
    return told[told.index("-----BEGIN") :]


def test_a_certificate_and_a_request(
    token: TokenUnderTest, settings: dict[str, str], tmp_path: Path
) -> None:
    make_pair(token, "rsa:2048", "0a0b0c", "gateway")
    certificate, request = tmp_path / "certificate.pem", tmp_path / "request.pem"
    key = ("--keyid", "0a0b0c", "--dn", "CN=gateway", "--outform", "pem")
    certificate.write_text(pki(token, settings, "--self", *key))
    assert ": OK" in token.run("openssl", "verify", "-CAfile", certificate, certificate)
    request.write_text(pki(token, settings, "--req", *key))
    assert "verify OK" in token.run("openssl", "req", "-in", request, "-noout", "-verify")


def test_the_public_key(token: TokenUnderTest, settings: dict[str, str], tmp_path: Path) -> None:
    make_pair(token, "rsa:2048", "0d", "gateway")
    theirs, ours = tmp_path / "theirs.pem", tmp_path / "ours.der"
    theirs.write_text(pki(token, settings, "--pub", "--keyid", "0d", "--outform", "pem"))
    tool(token, "--read-object", "--type", "pubkey", "--id", "0d", "--output-file", ours)
    shown = ("openssl", "pkey", "-pubin", "-noout", "-text", "-in")
    assert token.run(*shown, theirs) == token.run(*shown, ours)
