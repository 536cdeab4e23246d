"""Java's SunPKCS11 as judge: keytool, jarsigner, and a program that uses the provider itself."""

import zipfile
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from little_authority import PEM, LittleAuthority
from token_under_test import TokenUnderTest

PROGRAMS = Path(__file__).parent / "java"
PROGRAM = PROGRAMS / "UseToken.java"
# Two cores are shared by all tests: a short-lived Java gains nothing from its better compiler.
JAVA = {"JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto"}
SIGNERS = {
    "RSA": ("RSA", "-keysize", "2048"),
    "DSA": ("DSA", "-keysize", "2048"),  # SoftHSM2 2.6.1 says that 1024 bits are the most
    "EC": ("EC", "-groupname", "secp256r1"),
}


@pytest.fixture
def configuration(token: TokenUnderTest, tmp_path: Path) -> Path:
    path = tmp_path / "p11.cfg"
    path.write_text(f"name = UnderTest\nlibrary = {token.module}\nslotListIndex = 0\n")
    return path


def keystore(token: TokenUnderTest, configuration: Path) -> tuple[str, ...]:
    provider = (
        "-providerClass",
        "sun.security.pkcs11.SunPKCS11",
        "-providerArg",
        str(configuration),
    )
    return ("-keystore", "NONE", "-storetype", "PKCS11", "-storepass", token.pin, *provider)


def keytool(token: TokenUnderTest, configuration: Path, *words: str | Path, expect: int = 0) -> str:
    store = keystore(token, configuration)
    return token.run("keytool", *words, *store, expect=expect, extra=JAVA)


def generate(token: TokenUnderTest, configuration: Path, family: str) -> str:
    subject = ("-alias", "signer", "-dname", "CN=某某公司,C=CN")
    words = ("-genkeypair", *subject, "-keyalg", *SIGNERS[family])
    return keytool(token, configuration, *words)


@pytest.mark.parametrize("family", ["RSA", "EC", "DSA"])
def test_a_key_made_by_keytool_signs_a_jar(
    token: TokenUnderTest, configuration: Path, family: str, tmp_path: Path
) -> None:
    generate(token, configuration, family)
    listed = keytool(token, configuration, "-list", "-v")
    assert "Alias name: signer" in listed
    assert "Entry type: PrivateKeyEntry" in listed
    assert "Your keystore contains 1 entry" in listed

    jar = tmp_path / "program.jar"
    with zipfile.ZipFile(jar, "w") as archive:
        archive.writestr("hello.txt", "hello")
    store = keystore(token, configuration)
    assert "jar signed" in token.run("jarsigner", *store, jar, "signer", extra=JAVA)
    told = token.run("jarsigner", "-verify", "-verbose", "-certs", jar, extra=JAVA)
    assert "jar verified" in told
    assert "CN=某某公司" in told

    with zipfile.ZipFile(jar, "a") as archive:
        archive.writestr("added.txt", "not signed")
    told = token.run("jarsigner", "-verify", jar, extra=JAVA)
    assert "contains unsigned entries" in told


def test_a_request_is_certified_and_the_chain_imported(
    token: TokenUnderTest, configuration: Path, authority: LittleAuthority, tmp_path: Path
) -> None:
    generate(token, configuration, "EC")
    request, chain = tmp_path / "request.pem", tmp_path / "chain.pem"
    keytool(token, configuration, "-certreq", "-alias", "signer", "-file", request)
    asked = x509.load_pem_x509_csr(request.read_bytes())
    assert asked.is_signature_valid
    leaf = authority.issue(asked.public_key(), "某某公司")  # type: ignore[arg-type]
    certificates = (leaf, authority.issuing, authority.root)
    chain.write_bytes(b"".join(each.public_bytes(PEM) for each in certificates))

    told = keytool(
        token, configuration, "-importcert", "-noprompt", "-alias", "signer", "-file", chain
    )
    assert "installed in keystore" in told
    listed = keytool(token, configuration, "-list", "-v", "-alias", "signer")
    assert "Certificate chain length: 3" in listed
    assert "Issuer: CN=Test Root, C=CN" in listed


def test_a_wrong_pin_opens_nothing(token: TokenUnderTest, configuration: Path) -> None:
    words = ("keytool", "-list", *keystore(token, configuration))
    wrong = [word if word != token.pin else "999999" for word in words]
    told = token.run(*wrong, expect=1, extra=JAVA)
    assert "load failed" in told or "CKR_PIN_INCORRECT" in told


def test_entries_are_deleted(token: TokenUnderTest, configuration: Path) -> None:
    generate(token, configuration, "RSA")
    keytool(
        token, configuration, "-genseckey", "-alias", "vault", "-keyalg", "AES", "-keysize", "256"
    )
    assert "Your keystore contains 2 entries" in keytool(token, configuration, "-list")
    keytool(token, configuration, "-delete", "-alias", "vault")
    keytool(token, configuration, "-delete", "-alias", "signer")
    assert "Your keystore contains 0 entries" in keytool(token, configuration, "-list")


@pytest.mark.parametrize("family", ["RSA", "EC"])
def test_a_program_signs_digests_and_encrypts(
    token: TokenUnderTest, configuration: Path, family: str
) -> None:
    generate(token, configuration, family)
    told = token.run("java", PROGRAM, configuration, token.pin, "signer", extra=JAVA)
    assert "aliases [signer]" in told
    for what in ("SHA-512", "AES/CBC/PKCS5Padding", "AES/GCM/NoPadding"):
        assert f"ok {what}\n" in told
    assert "random " in told


def test_a_key_store_keeps_entries_of_every_kind(
    token: TokenUnderTest, configuration: Path, authority: LittleAuthority, tmp_path: Path
) -> None:
    pairs = {
        "one": rsa.generate_private_key(65537, 2048),
        "two": ec.generate_private_key(ec.SECP256R1()),
    }
    bags = []
    above = (authority.issuing, authority.root)
    for alias, pair in pairs.items():
        leaf = authority.issue(pair.public_key(), alias)
        sealed = BestAvailableEncryption(b"secret")
        bags.append(tmp_path / f"{alias}.p12")
        bag = serialize_key_and_certificates(alias.encode(), pair, leaf, above, sealed)
        bags[-1].write_bytes(bag)
    words = (configuration, token.pin, "00112233445566778899aabbccddeeff", "secret", *bags)
    program = PROGRAMS / "KeepEntries.java"
    token.run("java", program, "put", *words, extra=JAVA)
    listed = keytool(token, configuration, "-list", "-v")
    assert listed.count("Certificate chain length: 3") == 2
    assert listed.count("Entry type: SecretKeyEntry") == 1
    told = token.run("java", program, "use", *words, extra=JAVA)
    assert "ok one RSA\nok two EC\nok vault AES\nleft 0\n" in told


@pytest.mark.parametrize("family", ["RSA", "EC"])
def test_tls_with_both_keys_on_the_token(
    token: TokenUnderTest, configuration: Path, family: str
) -> None:
    generate(token, configuration, family)
    meet = ("java", PROGRAMS / "MeetOnLoopback.java", configuration, token.pin, "signer")
    told = token.run(*meet, extra=JAVA)
    for version in ("TLSv1.2", "TLSv1.3"):
        assert f"met {version} CN=某某公司,C=CN" in told
