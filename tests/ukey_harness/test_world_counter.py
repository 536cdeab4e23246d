"""The counter puts pair, certificates and seal on a key: on SoftHSM2 and on the emulated one."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pkcs11
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from pkcs11 import Attribute, Mechanism, ObjectClass

from ukey_client.token.cryptoki.module import Module
from ukey_emulator import module_path
from ukey_emulator.remote import RackProcess
from ukey_harness.world import Unit
from ukey_harness.world.ca import AuthorityError, CertificateAuthority
from ukey_harness.world.clock import Clock
from ukey_harness.world.counter import KEYS, Counter, CounterError
from ukey_harness.world.seal import SealError, draw_seal

SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"
UNIT = Unit.example(5)


@dataclass(frozen=True)
class Token:
    module: str
    label: str
    pin: str = "123456"


@pytest.fixture
def softhsm_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Token:
    (tmp_path / "tokens").mkdir()
    configuration = tmp_path / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {tmp_path / 'tokens'}\nlog.level = ERROR\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(configuration))
    subprocess.run(
        [
            *("softhsm2-util", "--init-token", "--free", "--label", "counter"),
            *("--pin", "123456", "--so-pin", "12345678"),
        ],
        check=True,
        capture_output=True,
        timeout=30,
    )
    return Token(SOFTHSM, "counter")


@pytest.fixture
def emulated_token(monkeypatch: pytest.MonkeyPatch) -> Iterator[Token]:
    with RackProcess.start() as rack, rack.remote() as remote:
        monkeypatch.setenv("UKEY_HOME", str(rack.home))
        yield Token(module_path(), remote.new_key(label="counter").label)


@pytest.fixture(params=["softhsm_token", "emulated_token"])
def token(request: pytest.FixtureRequest) -> Token:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Token)
    return found


@pytest.fixture
def ca(tmp_path: Path) -> Iterator[CertificateAuthority]:
    with CertificateAuthority.open(tmp_path / "ca", "http://127.0.0.1:9", Clock()) as authority:
        yield authority


@pytest.fixture
def counter(ca: CertificateAuthority) -> Counter:
    return Counter(ca)


def provision(counter: Counter, token: Token, **more: object) -> x509.Certificate:
    given = {"token_label": token.label, "pin": token.pin, "unit": UNIT} | more
    module = given.pop("module", token.module)
    return counter.provision(module, **given)  # type: ignore[arg-type]


@pytest.fixture
def session(token: Token) -> Iterator[pkcs11.Session]:
    """Look at the token with python-pkcs11 alone, logged in."""
    module = Module.acquire(token.module)
    slots = module.library.get_slots(token_present=True)
    found = next(s.get_token() for s in slots if s.get_token().label == token.label)
    with found.open(user_pin=token.pin) as session:
        yield session
    module.release()


def objects(session: pkcs11.Session, kind: ObjectClass) -> list[pkcs11.Object]:
    return list(session.get_objects({Attribute.CLASS: kind}))


def verify(public_key: object, signature: bytes, data: bytes) -> None:
    """Raise InvalidSignature unless the raw signature of the token is one of the data."""
    if isinstance(public_key, rsa.RSAPublicKey):
        public_key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
        return
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    half = len(signature) // 2
    r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    public_key.verify(encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize("key", ["rsa2048", "p256", "p384", "p521"])
def test_key_signs_and_holds_all_that_belongs_together(
    counter: Counter, ca: CertificateAuthority, token: Token, key: str, tmp_path: Path
) -> None:
    certificate = provision(counter, token, key=key, valid_days=77)
    look(certificate, ca, token)
    assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days == 77
    for name, found in (("unit", certificate), ("issuing", ca.issuing), ("root", ca.root)):
        (tmp_path / f"{name}.pem").write_bytes(found.public_bytes(Encoding.PEM))
    judged = subprocess.run(
        [
            *("openssl", "verify", "-x509_strict", "-CAfile", tmp_path / "root.pem"),
            *("-untrusted", tmp_path / "issuing.pem", tmp_path / "unit.pem"),
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert judged.stdout.strip().endswith("OK")


def look(certificate: x509.Certificate, ca: CertificateAuthority, token: Token) -> None:
    """Check what lies on the token, object by object."""
    module = Module.acquire(token.module)
    try:
        slots = module.library.get_slots(token_present=True)
        found = next(s.get_token() for s in slots if s.get_token().label == token.label)
        with found.open(user_pin=token.pin) as session:
            _look(certificate, ca, session)
        with found.open() as session:
            assert len(objects(session, ObjectClass.DATA)) == 1
            assert not objects(session, ObjectClass.PRIVATE_KEY)
    finally:
        module.release()


def _look(certificate: x509.Certificate, ca: CertificateAuthority, session: pkcs11.Session) -> None:
    expected_id = x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest
    (private,) = objects(session, ObjectClass.PRIVATE_KEY)
    (public,) = objects(session, ObjectClass.PUBLIC_KEY)
    for half in (private, public):
        assert half[Attribute.ID] == expected_id
        assert half[Attribute.LABEL] == UNIT.name
        assert half[Attribute.SUBJECT] == certificate.subject.public_bytes()
        assert half[Attribute.TOKEN]
    for guard, value in (
        (Attribute.SENSITIVE, True),
        (Attribute.EXTRACTABLE, False),
        (Attribute.NEVER_EXTRACTABLE, True),
        (Attribute.LOCAL, True),
        (Attribute.PRIVATE, True),
        (Attribute.SIGN, True),
        (Attribute.DECRYPT, False),
        (Attribute.UNWRAP, False),
    ):
        assert private[guard] is value, guard

    held = {c[Attribute.VALUE]: c for c in objects(session, ObjectClass.CERTIFICATE)}
    ders = [c.public_bytes(Encoding.DER) for c in (certificate, *ca.chain())]
    assert sorted(held) == sorted(ders)
    own = held[ders[0]]
    assert own[Attribute.ID] == expected_id
    assert own[Attribute.LABEL] == UNIT.name
    assert own[Attribute.SUBJECT] == certificate.subject.public_bytes()
    assert own[Attribute.ISSUER] == ca.issuing.subject.public_bytes()

    (seal,) = objects(session, ObjectClass.DATA)
    assert seal[Attribute.APPLICATION] == "ukeylab"
    assert seal[Attribute.LABEL] == "电子印章"
    assert seal[Attribute.PRIVATE] is False
    assert seal[Attribute.VALUE] == draw_seal(UNIT.name, UNIT.number)

    data = b"what is signed"
    if isinstance(certificate.public_key(), rsa.RSAPublicKey):
        signature = private.sign(data, mechanism=Mechanism.SHA256_RSA_PKCS)  # type: ignore[attr-defined]
    else:
        digest = hashes.Hash(hashes.SHA256())
        digest.update(data)
        signature = private.sign(digest.finalize(), mechanism=Mechanism.ECDSA)  # type: ignore[attr-defined]
    verify(certificate.public_key(), signature, data)


def test_second_visit_adds_a_certificate_and_renews_the_seal(
    counter: Counter, token: Token, ca: CertificateAuthority
) -> None:
    first = provision(counter, token, key="p256")
    other = Unit.example(6)
    second = provision(counter, token, key="p256", unit=other)
    assert first.public_key() != second.public_key()
    module = Module.acquire(token.module)
    try:
        slots = module.library.get_slots(token_present=True)
        found = next(s.get_token() for s in slots if s.get_token().label == token.label)
        with found.open(user_pin=token.pin) as session:
            assert len(objects(session, ObjectClass.PRIVATE_KEY)) == 2
            assert len(objects(session, ObjectClass.CERTIFICATE)) == 2 + len(ca.chain())
            (seal,) = objects(session, ObjectClass.DATA)
            assert seal[Attribute.VALUE] == draw_seal(other.name, other.number)
    finally:
        module.release()


def test_login_of_the_same_program_is_left_as_it_is(
    counter: Counter, token: Token, session: pkcs11.Session
) -> None:
    certificate = provision(counter, token, key="p256")
    expected_id = x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest
    # The session of the fixture is still open, and still logged in.
    (private,) = objects(session, ObjectClass.PRIVATE_KEY)
    assert private[Attribute.ID] == expected_id


def test_break_leaves_the_token_as_it_was(
    counter: Counter, token: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> x509.Certificate:
        raise AuthorityError("closed today")

    monkeypatch.setattr(CertificateAuthority, "issue_from_request", refuse)
    with pytest.raises(AuthorityError, match="closed today"):
        provision(counter, token, key="p256")
    assert_empty(token)


def test_certificate_that_reached_no_key_is_revoked(
    counter: Counter, token: Token, ca: CertificateAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise pkcs11.DeviceMemory

    monkeypatch.setattr("ukey_harness.world.counter._Desk.put_seal", fail)
    with pytest.raises(CounterError, match="token 'counter' answered CKR_DEVICE_MEMORY"):
        provision(counter, token, key="p256")
    assert_empty(token)
    (issued,) = ca.register.holders()
    assert ca.is_revoked(issued.serial)


def assert_empty(token: Token) -> None:
    module = Module.acquire(token.module)
    try:
        slots = module.library.get_slots(token_present=True)
        found = next(s.get_token() for s in slots if s.get_token().label == token.label)
        with found.open(user_pin=token.pin) as session:
            assert not list(session.get_objects({Attribute.TOKEN: True}))
    finally:
        module.release()


def test_wrong_pin_says_so_and_does_no_harm(counter: Counter, token: Token) -> None:
    with pytest.raises(CounterError, match="PIN given for the token 'counter' is wrong") as error:
        provision(counter, token, key="p256", pin="654321")
    assert "654321" not in str(error.value)
    assert provision(counter, token, key="p256")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"token_label": "another"}, "are labelled 'another', one is needed; there are: 'counter'"),
        ({"key": "rsa1024"}, "'rsa1024' is not a kind of key: rsa2048"),
        ({"module": "/nonexistent/module.so"}, "cannot be loaded as a PKCS#11 module"),
        ({"module": __file__}, "cannot be loaded as a PKCS#11 module"),
    ],
)
def test_what_cannot_be_is_named(
    counter: Counter, softhsm_token: Token, more: dict[str, object], words: str
) -> None:
    with pytest.raises(CounterError, match=words):
        provision(counter, softhsm_token, **more)


def test_name_that_fits_on_no_seal_is_refused_before_the_key_is_touched(
    counter: Counter, softhsm_token: Token, ca: CertificateAuthority
) -> None:
    with pytest.raises(SealError, match="too many"):
        provision(counter, softhsm_token, unit=Unit("长" * 60, UNIT.identifier, "1"))
    assert ca.register.holders() == []


def test_kinds_of_keys_are_those_of_the_contract() -> None:
    assert KEYS == ("rsa2048", "rsa3072", "rsa4096", "p256", "p384", "p521")
