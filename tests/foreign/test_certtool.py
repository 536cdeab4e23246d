"""GnuTLS as judge: certtool as an authority with its key on the token, gnutls-cli as TLS client."""

from pathlib import Path

import pytest
from holder import make_pair
from tls_server import demanding, soft_identity, tls_server
from token_under_test import TokenUnderTest

MESSAGE = "what was shown is what was signed\n"
AUTHORITY = "cn = Root\nca\ncert_signing_key\ncrl_signing_key\nexpiration_days = 9\n"
HOLDER = "cn = holder\nsigning_key\nencryption_key\ntls_www_client\nexpiration_days = 9\n"
KINDS = {"rsa": "rsa:2048", "ec": "EC:prime256v1"}


class Office:
    """An authority and a holder, both keys on the token, and their certificates."""

    def __init__(self, token: TokenUnderTest, folder: Path, kind: str) -> None:
        self.token, self.folder = token, folder
        self.root, self.leaf = folder / "root.pem", folder / "leaf.pem"
        make_pair(token, KINDS[kind], "01", "root")
        make_pair(token, KINDS[kind], "02", "holder")
        pair = ("--load-privkey", self.uri("root"), "--load-pubkey", self.uri("root", "public"))
        self.certtool("--generate-self-signed", AUTHORITY, *pair, "--outfile", self.root)
        public = ("--load-pubkey", self.uri("holder", "public"))
        self.certtool(
            "--generate-certificate", HOLDER, *public, *self.signer, "--outfile", self.leaf
        )

    def uri(self, label: str, kind: str = "private") -> str:
        return f"pkcs11:token={self.token.label};object={label};type={kind}"

    @property
    def signer(self) -> tuple[str | Path, ...]:
        return ("--load-ca-privkey", self.uri("root"), "--load-ca-certificate", self.root)

    def certtool(self, verb: str, template: str, *words: str | Path) -> str:
        path = self.folder / "template"
        path.write_text(template)
        return self.run("certtool", verb, "--template", path, *words)

    def run(self, program: str, *words: str | Path, stdin: str = "") -> str:
        pin = {"GNUTLS_PIN": self.token.pin, "HOME": str(self.folder)}
        provider = f"--provider={self.token.module}"
        return self.token.run(program, provider, *words, stdin=stdin, extra=pin)


@pytest.mark.parametrize("kind", KINDS)
def test_an_authority_on_the_token(token: TokenUnderTest, tmp_path: Path, kind: str) -> None:
    office = Office(token, tmp_path, kind)
    assert ": OK" in token.run("openssl", "verify", "-CAfile", office.root, office.leaf)
    revoked = tmp_path / "revoked.pem"
    words = ("--load-certificate", office.leaf, "--outfile", revoked)
    office.certtool("--generate-crl", "crl_next_update = 9\n", *office.signer, *words)
    verify = ("openssl", "verify", "-crl_check", "-CRLfile", revoked, "-CAfile", office.root)
    assert "certificate revoked" in token.run(*verify, office.leaf, expect=2)

    message, signed = tmp_path / "message", tmp_path / "signed"
    message.write_text(MESSAGE)
    key = ("--load-privkey", office.uri("holder"), "--load-certificate", office.leaf)
    office.run("certtool", "--p7-sign", *key, "--infile", message, "--outfile", signed)
    told = token.run(
        *("openssl", "smime", "-verify", "-inform", "PEM", "-purpose", "any"),
        *("-CAfile", office.root, "-in", signed),
    )
    assert MESSAGE in told


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_client_with_its_key_on_the_token(
    token: TokenUnderTest, tmp_path: Path, kind: str, version: str
) -> None:
    office = Office(token, tmp_path, kind)
    key, certificate = soft_identity(token, tmp_path)
    serve = ("-key", key, "-cert", certificate, *demanding(office.root))
    with tls_server(*serve, environment={}) as port:
        told = office.run(
            "gnutls-cli",
            *("--x509keyfile", office.uri("holder"), "--x509certfile", office.leaf),
            *("--x509cafile", certificate, "--port", port, "127.0.0.1"),
            *("--verify-hostname", "localhost"),  # whose address not every machine knows
            *("--priority", f"NORMAL:-VERS-ALL:+VERS-TLS{version}"),
            stdin="GET / HTTP/1.0\r\n\r\n",
        )
    assert f"(TLS{version}" in told
    assert office.leaf.read_text().split("-----")[2].strip() in told  # the server saw it
