"""OpenSSH and OpenSSL as judges of the card: both reach it through OpenSC's PKCS#11 module."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from card_under_test import CardUnderTest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from token_under_test import ENGINE_SETTINGS

(OPENSC,) = Path("/usr/lib").glob("*/opensc-pkcs11.so")
MESSAGE = "what was shown is what was signed\n"


def of_ssh(public: Path) -> str:
    key = load_pem_public_key(public.read_bytes())
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def askpass(card: CardUnderTest, pin: str) -> dict[str, str]:
    """Give what lets OpenSSH's programs ask for the PIN where there is no terminal."""
    path = card.folder / card.write("askpass", f"#!/bin/sh\necho {pin}\n".encode())
    path.chmod(0o700)
    return {"SSH_ASKPASS": str(path), "SSH_ASKPASS_REQUIRE": "force"}


@pytest.fixture
def agent(card: CardUnderTest) -> Iterator[dict[str, str]]:
    """Run an ssh-agent beside the card; give what its clients need."""
    told = card.run("ssh-agent", "-s", "-P", OPENSC)
    words = dict(part.split("=", 1) for part in told.replace("\n", "").split(";") if "=" in part)
    yield {"SSH_AUTH_SOCK": words["SSH_AUTH_SOCK"], **askpass(card, card.token.pin)}
    os.kill(int(words["SSH_AGENT_PID"]), signal.SIGTERM)


def test_ssh_keygen_lists_the_keys_of_the_card(card: CardUnderTest) -> None:
    publics = [card.certified("9a", "RSA2048"), card.certified("9c", "ECCP256")]
    told = card.run("ssh-keygen", "-D", OPENSC)
    for public in publics:
        assert of_ssh(public) in told
    assert "PIV AUTH" in told


@pytest.mark.parametrize("algorithm", ["RSA2048", "ECCP256"])
def test_the_agent_signs_with_the_card(
    card: CardUnderTest, agent: dict[str, str], algorithm: str
) -> None:
    line = of_ssh(card.certified("9a", algorithm))
    card.write("id.pub", line.encode())
    card.write("message", MESSAGE.encode())
    card.write("signers", f"holder@example.org {line}\n".encode())
    card.run("ssh-add", "-s", OPENSC, extra={**agent, **askpass(card, "999999")}, expect=1)
    assert "no identities" in card.run("ssh-add", "-L", extra=agent, expect=1)
    card.run("ssh-add", "-s", OPENSC, extra={**agent, **askpass(card, card.token.pin)})
    assert line in card.run("ssh-add", "-L", extra=agent)
    card.run("ssh-keygen", "-Y", "sign", "-n", "file", "-f", "id.pub", "message", extra=agent)
    verify = ("ssh-keygen", "-Y", "verify", "-n", "file", "-f", "signers", "-s", "message.sig")
    verify = (*verify, "-I", "holder@example.org")
    assert "Good" in card.run(*verify, stdin=MESSAGE)
    card.run(*verify, stdin="another message\n", expect=255)


def test_ssh_keygen_certifies_with_the_card(card: CardUnderTest) -> None:
    card.write("authority.pub", of_ssh(card.certified("9a", "ECCP384")).encode())
    card.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "user")
    certify = ("ssh-keygen", "-s", "authority.pub", "-D", OPENSC, "-I", "holder", "-n", "holder")
    card.run(*certify, "user.pub", extra=askpass(card, card.token.pin))
    told = card.run("ssh-keygen", "-L", "-f", "user-cert.pub")
    assert "ECDSA" in told
    assert 'Key ID: "holder"' in told


@pytest.mark.parametrize("algorithm", ["RSA2048", "ECCP384"])
def test_openssl_asks_for_certificates_and_signs_cms(card: CardUnderTest, algorithm: str) -> None:
    public = card.certified("9a", algorithm)
    settings = ENGINE_SETTINGS.format(module=OPENSC, pin=card.token.pin)
    extra = {"OPENSSL_CONF": card.write("openssl.cnf", settings.encode())}
    engine = ("-engine", "pkcs11", "-keyform", "engine")
    key = "pkcs11:id=%01;type=private"
    subject = ("-new", "-subj", "/CN=holder", "-sha256", "-key", key)
    card.run("openssl", "req", *engine, *subject, "-out", "request.pem", extra=extra)
    request = x509.load_pem_x509_csr((card.folder / "request.pem").read_bytes())
    assert request.is_signature_valid
    assert request.public_key() == load_pem_public_key(public.read_bytes())

    card.write("message", MESSAGE.encode())
    own = ("-x509", "-out", "own.pem", *subject)
    card.run("openssl", "req", *engine, *own, extra=extra)
    sign = ("-sign", "-in", "message", "-signer", "own.pem", "-inkey", key, "-binary")
    form = ("-nodetach", "-outform", "DER", "-out", "signed")
    card.run("openssl", "cms", *sign, *engine, *form, extra=extra)
    verify = ("cms", "-verify", "-inform", "DER", "-in", "signed", "-CAfile", "own.pem")
    told = card.openssl(*verify, "-purpose", "any", "-binary")
    assert MESSAGE in told
    signed = bytearray((card.folder / "signed").read_bytes())
    signed[-1] ^= 1
    card.write("signed", bytes(signed))
    card.openssl(*verify, "-purpose", "any", "-binary", expect=4)
