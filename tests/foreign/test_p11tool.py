"""GnuTLS's p11tool and certtool as judges: they find everything by PKCS#11 URI (RFC 7512)."""

import re
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from little_authority import PEM, LittleAuthority
from token_under_test import TokenUnderTest


def tool(token: TokenUnderTest, *words: str | Path, expect: int = 0, **pins: str) -> str:
    given = {"GNUTLS_PIN": token.pin, "GNUTLS_SO_PIN": token.so_pin, **pins}
    provider = f"--provider={token.module}"
    return token.run("p11tool", provider, "--batch", *words, expect=expect, extra=given)


def uri(token: TokenUnderTest, rest: str = "") -> str:
    return f"pkcs11:token={quote(token.label)}{rest}"


def generate(token: TokenUnderTest, kind: str, size: str, label: str = "signer") -> None:
    words = (f"--generate-privkey={kind}", size, f"--label={label}", "--id=0a0b0c", uri(token))
    tool(token, "--login", *words)


def login(token: TokenUnderTest, **pins: str) -> None:
    data = ("--write", "--secret-key=00112233445566778899aabbccddeeff", "--label=proof")
    tool(token, "--login", *data, uri(token), **pins)


def refused_login(token: TokenUnderTest, **pins: str) -> None:
    told = tool(token, "--login", "--list-all", uri(token), expect=1, **pins)
    assert "PIN" in told, told


def test_lists_token_and_mechanisms(token: TokenUnderTest) -> None:
    told = tool(token, "--list-tokens")
    assert f"Label: {token.label}" in told
    assert f"token={token.label}" in told
    assert f"token={token.label}" in tool(token, "--list-token-urls")
    mechanisms = tool(token, "--list-mechanisms", uri(token))
    for mechanism in ("CKM_RSA_PKCS", "CKM_SHA256_RSA_PKCS_PSS", "CKM_ECDSA", "CKM_AES_GCM"):
        assert re.search(rf"{mechanism}\b", mechanisms), mechanism


@pytest.mark.parametrize(
    ("kind", "size", "shown"),
    [
        ("rsa", "--bits=2048", "RSA-2048"),
        ("dsa", "--bits=2048", "DSA-2048"),
        ("ecdsa", "--curve=secp256r1", "EC/ECDSA-SECP256R1"),
        ("ecdsa", "--curve=secp384r1", "EC/ECDSA-SECP384R1"),
    ],
)
def test_generated_pair_signs(token: TokenUnderTest, kind: str, size: str, shown: str) -> None:
    generate(token, kind, size)
    listed = tool(token, "--login", "--list-all", uri(token))
    assert "Type: Private key" in listed
    assert f"Type: Public key ({shown})" in listed
    assert "ID: 0a:0b:0c" in listed
    told = tool(token, "--login", "--test-sign", uri(token, ";object=signer;type=private"))
    assert "Signing using" in told
    assert told.count("... ok") == 3, told  # signed, and verified with both halves of the pair


def test_signs_with_pss(token: TokenUnderTest) -> None:
    generate(token, "rsa", "--bits=2048")
    key = uri(token, ";object=signer;type=private")
    told = tool(token, "--login", "--test-sign", "--sign-params=RSA-PSS", "--hash=SHA256", key)
    assert "RSA-PSS" in told
    assert told.count("... ok") == 3, told


def test_private_keys_are_hidden_before_login(token: TokenUnderTest) -> None:
    generate(token, "rsa", "--bits=2048")
    assert "Type: Private key" not in tool(token, "--list-all", uri(token))
    assert "Type: Private key" in tool(token, "--login", "--list-privkeys", uri(token))


def test_certificates_are_written_exported_and_deleted(
    token: TokenUnderTest, authority: LittleAuthority, tmp_path: Path
) -> None:
    generate(token, "rsa", "--bits=2048")
    exported = tool(token, "--login", "--export-pubkey", uri(token, ";object=signer;type=private"))
    public_key = serialization.load_pem_public_key(exported[exported.index("-----") :].encode())
    leaf = authority.issue(public_key, "某某公司")
    chain = {"signer": leaf, "issuing": authority.issuing, "root": authority.root}
    for label, certificate in chain.items():
        path = tmp_path / f"{label}.pem"
        path.write_bytes(certificate.public_bytes(PEM))
        words = ["--login", "--write", f"--load-certificate={path}", f"--label={label}"]
        if label == "signer":
            words.append("--id=0a0b0c")
        tool(token, *words, uri(token))

    assert "Type: X.509 Certificate" in tool(token, "--list-certs", "--login", uri(token))
    assert tool(token, "--list-all-certs", uri(token)).count("Type: X.509 Certificate") == 3
    for label, certificate in chain.items():
        told = tool(token, "--export", uri(token, f";object={label};type=cert"))
        assert x509.load_pem_x509_certificate(told[told.index("-----") :].encode()) == certificate

    tool(token, "--login", "--delete", uri(token, ";object=root;type=cert"))
    assert "Label: root" not in tool(token, "--list-all-certs", uri(token))


def test_certtool_makes_a_request_with_the_key(token: TokenUnderTest, tmp_path: Path) -> None:
    generate(token, "ecdsa", "--curve=secp256r1")
    template, request = tmp_path / "template", tmp_path / "request.pem"
    template.write_text('organization = "某某公司"\ncn = "某某公司"\n')
    token.run(
        "certtool",
        f"--provider={token.module}",
        "--generate-request",
        f"--load-privkey={uri(token, ';object=signer;type=private')}",
        f"--load-pubkey={uri(token, ';object=signer;type=public')}",
        f"--template={template}",
        f"--outfile={request}",
        extra={"GNUTLS_PIN": token.pin},
    )
    assert "self-signature verify OK" in token.run(
        "openssl", "req", "-in", request, "-noout", "-verify"
    ).replace("Certificate request ", "")


def test_imports_a_key_and_data_survive_the_process(token: TokenUnderTest, tmp_path: Path) -> None:
    private = tmp_path / "private.pem"
    token.run("openssl", "genpkey", "-algorithm", "RSA", "-out", private, "-quiet")
    words = ("--write", f"--load-privkey={private}", "--label=imported", "--id=77")
    tool(token, "--login", *words, uri(token))
    told = tool(token, "--login", "--info", uri(token, ";object=imported;type=private"))
    assert "Label: imported" in told
    assert "CKA_SENSITIVE" in told


def test_a_blank_token_is_initialised(blank_token: TokenUnderTest) -> None:
    slot = f"pkcs11:slot-id={blank_token.slot}"
    tool(blank_token, "--initialize", "--label=fresh", "--set-so-pin=87654321", slot)
    fresh = blank_token.named("fresh")
    so_pin = {"GNUTLS_SO_PIN": "87654321"}
    tool(fresh, "--initialize-pin", "--set-pin=4711", uri(fresh), **so_pin)
    login(fresh, GNUTLS_PIN="4711")
    refused_login(fresh, GNUTLS_PIN="1174")


def test_the_so_resets_the_pin(token: TokenUnderTest) -> None:
    tool(token, "--initialize-pin", "--set-pin=998877", uri(token))
    refused_login(token)
    login(token, GNUTLS_PIN="998877")


def test_gives_random_bytes(token: TokenUnderTest, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for path in (first, second):
        tool(token, "--generate-random=48", f"--outfile={path}", uri(token))
        assert len(path.read_bytes()) == 48
    assert first.read_bytes() != second.read_bytes()
