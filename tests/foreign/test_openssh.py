"""OpenSSH as judge: keys listed from the module, signatures through ssh-agent, certified keys."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from token_under_test import TokenUnderTest

KINDS = {"rsa:2048": "ssh-rsa", "EC:prime256v1": "ecdsa-sha2-nistp256"}


def generate(token: TokenUnderTest, kind: str, key_id: str = "01") -> None:
    pair = ("--keypairgen", "--key-type", kind, "--id", key_id, "--label", "ssh", "--usage-sign")
    tool = ("pkcs11-tool", "--module", token.module, "--slot", str(token.slot))
    token.run(*tool, "--login", "--pin", token.pin, *pair)


def listed(token: TokenUnderTest) -> list[str]:
    told = token.run("ssh-keygen", "-D", token.module)
    return [line for line in told.splitlines() if line.startswith(("ssh-", "ecdsa-"))]


@pytest.fixture
def agent(token: TokenUnderTest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Run an ssh-agent that may load our module; give what its clients need."""
    askpass = tmp_path / "askpass"
    askpass.write_text(f"#!/bin/sh\necho {token.pin}\n")
    askpass.chmod(0o700)
    told = token.run("ssh-agent", "-s", "-P", f"{token.module},{os.path.realpath(token.module)}")
    words = dict(part.split("=", 1) for part in told.replace("\n", "").split(";") if "=" in part)
    yield {
        "SSH_AUTH_SOCK": words["SSH_AUTH_SOCK"],
        "SSH_ASKPASS": str(askpass),
        "SSH_ASKPASS_REQUIRE": "force",
    }
    os.kill(int(words["SSH_AGENT_PID"]), signal.SIGTERM)


def test_public_keys_are_listed(token: TokenUnderTest) -> None:
    for number, kind in enumerate(KINDS, start=1):
        generate(token, kind, f"0{number}")
    assert {line.split()[0] for line in listed(token)} == set(KINDS.values())


@pytest.mark.parametrize("kind", KINDS)
def test_the_agent_signs_and_ssh_keygen_verifies(
    token: TokenUnderTest, agent: dict[str, str], kind: str, tmp_path: Path
) -> None:
    generate(token, kind)
    (line,) = listed(token)
    public, message, signers = (tmp_path / n for n in ("id.pub", "message", "signers"))
    public.write_text(line + "\n")
    message.write_text("what was shown is what was signed\n")
    signers.write_text(f"holder@example.org {line}\n")

    token.run("ssh-add", "-s", token.module, extra=agent)
    assert line.split()[1] in token.run("ssh-add", "-L", extra=agent)
    token.run("ssh-keygen", "-Y", "sign", "-n", "file", "-f", public, message, extra=agent)
    verify = ("ssh-keygen", "-Y", "verify", "-n", "file", "-f", signers, "-I", "holder@example.org")
    verify = (*verify, "-s", message.with_suffix(".sig"))
    assert "Good" in token.run(*verify, stdin=message.read_text())
    assert "Could not verify" in token.run(*verify, stdin="another message\n", expect=255)

    token.run("ssh-add", "-e", token.module, extra=agent)
    token.run("ssh-add", "-L", extra=agent, expect=1)


def test_a_wrong_pin_adds_no_key(token: TokenUnderTest, agent: dict[str, str]) -> None:
    generate(token, "rsa:2048")
    Path(agent["SSH_ASKPASS"]).write_text("#!/bin/sh\necho 999999\n")
    token.run("ssh-add", "-s", token.module, extra=agent, expect=1)
    assert "no identities" in token.run("ssh-add", "-L", extra=agent, expect=1)


def test_an_authority_on_the_token_certifies_keys(token: TokenUnderTest, tmp_path: Path) -> None:
    generate(token, "EC:prime256v1")
    authority, user, askpass = tmp_path / "authority.pub", tmp_path / "user", tmp_path / "askpass"
    authority.write_text(listed(token)[0] + "\n")
    askpass.write_text(f"#!/bin/sh\necho {token.pin}\n")
    askpass.chmod(0o700)
    token.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", user)
    certify = ("ssh-keygen", "-s", authority, "-D", token.module, "-I", "holder", "-n", "holder")
    asking = {"SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force"}
    token.run(*certify, user.with_suffix(".pub"), extra=asking)
    told = token.run("ssh-keygen", "-L", "-f", tmp_path / "user-cert.pub")
    assert 'Key ID: "holder"' in told
    assert "ECDSA" in told
