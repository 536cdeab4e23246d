"""p11-kit as judge: our module registered beside another, and lent to other programs."""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from holder import make_pair, tool
from token_under_test import TokenUnderTest, softhsm_token

PROXY = "p11-kit-proxy.so"
CLIENT = "pkcs11/p11-kit-client.so"
NOBODY = "#include <unistd.h>\nuid_t getuid(void) { return 65534; }\n"


def library(name: str) -> str:
    """Find a library of the system by what its path ends with."""
    found = (*Path("/usr/lib").glob(f"*-linux-*/{name}"), *Path("/usr/lib").glob(name))
    return str(found[0])


@pytest.fixture
def other(tmp_path: Path) -> Iterator[TokenUnderTest]:
    folder = tmp_path / "other"
    folder.mkdir()
    with softhsm_token(library("softhsm/libsofthsm2.so"), folder, initialized=True) as other:
        yield other


@pytest.fixture
def both(token: TokenUnderTest, other: TokenUnderTest, tmp_path: Path) -> TokenUnderTest:
    """Register both modules; give the token as it is seen through p11-kit."""
    settings = tmp_path / ".config" / "pkcs11"
    (settings / "modules").mkdir(parents=True)
    (settings / "pkcs11.conf").write_text("user-config: only\n")
    for name, each in (("first", token), ("second", other)):
        (settings / "modules" / f"{name}.module").write_text(f"module: {each.module}\n")
    environment = {**token.environment, **other.environment, "HOME": str(tmp_path)}
    if os.getuid() == 0:  # p11-kit does not read what a user has registered when root runs it
        source, shim = tmp_path / "nobody.c", tmp_path / "nobody.so"
        source.write_text(NOBODY)
        token.run("cc", "-shared", "-fPIC", "-o", shim, source)
        environment["LD_PRELOAD"] = str(shim)
    return replace(token, module=library(PROXY), environment=environment)


def through(token: TokenUnderTest, label: str, pin: str, *words: str | Path) -> str:
    login = ("--token-label", label, "--login", "--pin", pin)
    return token.run("pkcs11-tool", "--module", token.module, *login, *words)


def test_both_modules_are_listed(both: TokenUnderTest, other: TokenUnderTest) -> None:
    listed = both.run("p11-kit", "list-modules")
    for label in (both.label, other.label):
        assert f"token: {label}" in listed
    tokens = both.run("p11tool", "--list-tokens")
    assert f"Label: {both.label}" in tokens
    assert f"Label: {other.label}" in tokens


def test_the_proxy_tells_the_two_tokens_apart(
    both: TokenUnderTest, other: TokenUnderTest, tmp_path: Path
) -> None:
    """SoftHSM2 cannot be both of them."""
    message, signature, public = (tmp_path / name for name in ("message", "signature", "public"))
    message.write_text("what was shown is what was signed\n")
    pair = ("--keypairgen", "--key-type", "rsa:2048", "--id", "01", "--usage-sign")
    through(both, both.label, both.pin, *pair, "--label", "ours")
    through(both, other.label, other.pin, *pair, "--label", "theirs")
    assert "theirs" not in through(both, both.label, both.pin, "--list-objects")
    assert "ours" not in through(both, other.label, other.pin, "--list-objects")

    for token in (both, other):
        sign = ("--sign", "--mechanism", "SHA256-RSA-PKCS")
        files = ("--input-file", message, "--output-file", signature)
        through(both, token.label, token.pin, *sign, "--id", "01", *files)
        read = ("--read-object", "--type", "pubkey", "--id", "01", "--output-file", public)
        through(both, token.label, token.pin, *read)
        verify = ("openssl", "dgst", "-sha256", "-verify", public, "-signature", signature, message)
        assert "Verified OK" in both.run(*verify)


@pytest.fixture
def lent(token: TokenUnderTest, tmp_path: Path) -> Iterator[TokenUnderTest]:
    """Lend the token through p11-kit's server; give it as a client sees it, who has no rack."""
    socket = tmp_path / "socket"
    lend = ("p11-kit", "server", "--foreground", "--provider", token.module, "--name", str(socket))
    with subprocess.Popen(
        [*lend, f"pkcs11:token={token.label}"],
        env={**os.environ, **token.environment, "HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout
        try:
            server.stdout.readline()  # the address is told once it is listening
            address = {"P11_KIT_SERVER_ADDRESS": f"unix:path={socket}", "UKEY_HOME": "/nowhere"}
            yield replace(token, module=library(CLIENT), environment=address)
        finally:
            server.kill()


def test_a_lent_token_passes_the_test_of_pkcs11_tool(
    token: TokenUnderTest, lent: TokenUnderTest
) -> None:
    """SoftHSM2 has no OAEP with the hash that is asked for, and stops there."""
    make_pair(token, "rsa:2048", "01", "signer")
    listed = lent.run("pkcs11-tool", "--module", lent.module, "--list-slots")
    assert f"token label        : {token.label}" in listed
    test = ("pkcs11-tool", "--module", lent.module, "--login", "--pin", lent.pin, "--test")
    told = lent.run(*test)
    # p11-kit 0.24 takes an answer of no bytes for one that did not fit.
    errors = re.findall(r"ERR: (.*) failed", told)
    assert set(errors) <= {"C_GenerateRandom(buf1,0)"}, told
    for part in ("all 4 digest functions", "all 4 signature functions"):
        assert part in told
    for mechanism in ("SHA256-RSA-PKCS: OK", "RSA-X-509: OK"):
        assert mechanism in told


def test_what_was_made_over_the_loan_stays_on_the_token(
    token: TokenUnderTest, lent: TokenUnderTest
) -> None:
    login = ("--login", "--pin", lent.pin)
    pair = ("--keypairgen", "--key-type", "EC:secp384r1", "--id", "0c", "--label", "made far away")
    lent.run("pkcs11-tool", "--module", lent.module, *login, *pair)
    assert "made far away" in tool(token, "--list-objects", "--type", "privkey")
