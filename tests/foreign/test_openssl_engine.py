"""OpenSSL as judge, through libp11's engine: requests, signatures, CMS and TLS with keys on it."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from holder import make_pair
from tls_server import demanding, soft_identity, tls_server
from token_under_test import ENGINE_SETTINGS, TokenUnderTest

MESSAGE = "what was shown is what was signed\n"
KINDS = {"rsa": "rsa:2048", "ec": "EC:prime256v1"}


@dataclass(frozen=True)
class Holder:
    """A token with a pair of each kind, and a self-signed certificate for each."""

    token: TokenUnderTest
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        settings = {"OPENSSL_CONF": str(self.folder / "openssl.cnf"), "HOME": str(self.folder)}
        return {**self.token.environment, **settings}

    def uri(self, kind: str) -> str:
        return f"pkcs11:token={self.token.label};object={kind};type=private"

    def openssl(self, *words: str | Path, stdin: str = "") -> str:
        return self.token.run("openssl", *words, stdin=stdin, extra=self.environment)

    def with_key(self, verb: str, option: str, kind: str, *words: str | Path) -> str:
        engine = ("-engine", "pkcs11", "-keyform", "engine")
        return self.openssl(verb, *engine, option, self.uri(kind), *words)

    def certificate(self, kind: str) -> Path:
        return self.folder / f"{kind}.pem"

    def public(self, kind: str) -> Path:
        path = self.folder / f"{kind}.pub"
        self.openssl("x509", "-in", self.certificate(kind), "-noout", "-pubkey", "-out", path)
        return path

    def written(self, name: str = "message") -> Path:
        path = self.folder / name
        path.write_text(MESSAGE)
        return path


@pytest.fixture
def holder(token: TokenUnderTest, tmp_path: Path) -> Holder:
    holder = Holder(token, tmp_path)
    settings = ENGINE_SETTINGS.format(module=token.module, pin=token.pin)
    (tmp_path / "openssl.cnf").write_text(settings)
    for number, (kind, asked) in enumerate(KINDS.items(), start=1):
        make_pair(token, asked, f"0{number}", kind)
        made = ("-x509", "-subj", f"/CN={kind}", "-out", holder.certificate(kind))
        holder.with_key("req", "-key", kind, "-new", *made)
    return holder


@pytest.mark.parametrize("kind", KINDS)
def test_requests_and_signatures(holder: Holder, kind: str) -> None:
    request, signature = holder.folder / "request", holder.folder / "signature"
    holder.with_key("req", "-key", kind, "-new", "-subj", "/CN=asked", "-out", request)
    assert "verify OK" in holder.openssl("req", "-in", request, "-noout", "-verify")
    certificate = holder.certificate(kind)
    assert ": OK" in holder.openssl("verify", "-CAfile", certificate, certificate)

    message, public = holder.written(), holder.public(kind)
    for hashed in ("-sha256", "-sha384", "-sha512"):
        holder.with_key("dgst", "-sign", kind, hashed, "-out", signature, message)
        verify = ("dgst", hashed, "-verify", public, "-signature", signature)
        assert "Verified OK" in holder.openssl(*verify, message)


def test_pss(holder: Holder) -> None:
    message, signature = holder.written(), holder.folder / "signature"
    padding = ("-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:-1")
    holder.with_key("dgst", "-sign", "rsa", *padding, "-out", signature, message)
    verify = ("dgst", *padding, "-verify", holder.public("rsa"), "-signature", signature)
    assert "Verified OK" in holder.openssl(*verify, message)


@pytest.mark.parametrize("padding", ["pkcs1", "oaep"])
def test_a_secret_is_decrypted(holder: Holder, padding: str) -> None:
    message, closed, opened = holder.written(), holder.folder / "closed", holder.folder / "opened"
    option = ("-pkeyopt", f"rsa_padding_mode:{padding}")
    encrypt = ("pkeyutl", "-encrypt", "-pubin", "-inkey", holder.public("rsa"), *option)
    holder.openssl(*encrypt, "-in", message, "-out", closed)
    holder.with_key("pkeyutl", "-inkey", "rsa", "-decrypt", *option, "-in", closed, "-out", opened)
    assert opened.read_text() == MESSAGE


@pytest.mark.parametrize("kind", KINDS)
def test_a_signed_message(holder: Holder, kind: str) -> None:
    message, signed, certificate = holder.written(), holder.folder / "cms", holder.certificate(kind)
    sign = ("-sign", "-signer", certificate, "-in", message, "-nodetach", "-outform", "DER")
    holder.with_key("cms", "-inkey", kind, *sign, "-out", signed)
    verify = ("cms", "-verify", "-inform", "DER", "-CAfile", certificate, "-purpose", "any")
    assert MESSAGE.strip() in holder.openssl(*verify, "-in", signed)


def test_an_enveloped_message(holder: Holder) -> None:
    message, closed, certificate = (
        holder.written(),
        holder.folder / "cms",
        holder.certificate("rsa"),
    )
    encrypt = ("cms", "-encrypt", "-in", message, "-outform", "DER", "-out", closed, certificate)
    holder.openssl(*encrypt)
    opened = holder.with_key(
        "cms", "-inkey", "rsa", "-decrypt", "-recip", certificate, "-inform", "DER", "-in", closed
    )
    assert MESSAGE.strip() in opened


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_tls_with_both_keys_on_the_token(holder: Holder, version: str) -> None:
    engine = ("-engine", "pkcs11", "-keyform", "engine")
    server, client = holder.certificate("ec"), holder.certificate("rsa")
    serve = (*engine, "-key", holder.uri("ec"), "-cert", server, *demanding(client))
    with tls_server(*serve, environment=holder.environment) as port:
        connect = ("s_client", "-connect", f"127.0.0.1:{port}", version, *engine)
        identity = ("-key", holder.uri("rsa"), "-cert", client, "-CAfile", server)
        told = holder.openssl(
            *connect, *identity, "-verify_return_error", stdin="GET / HTTP/1.0\r\n\r\n"
        )
    assert "Verification: OK" in told


def test_curl_shows_a_certificate_of_the_token(holder: Holder) -> None:
    key, server = soft_identity(holder.token, holder.folder)
    client = holder.certificate("rsa")
    serve = ("-key", key, "-cert", server, *demanding(client))
    with tls_server(*serve, environment={}) as port:
        place = ("--resolve", f"localhost:{port}:127.0.0.1", f"https://localhost:{port}/")
        ask = ("curl", "--silent", "--show-error", "--max-time", "30", "--cacert", server, *place)
        identity = ("--engine", "pkcs11", "--key-type", "ENG", "--key", holder.uri("rsa"))
        told = holder.token.run(*ask, *identity, "--cert", client, extra=holder.environment)
        assert client.read_text().strip() in told
        refused = holder.token.run(*ask, "--tls-max", "1.2", expect=35, extra=holder.environment)
        assert "alert" in refused
