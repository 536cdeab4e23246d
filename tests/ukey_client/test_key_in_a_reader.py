"""The emulated key in a reader: what only PC/SC, OpenSC and a plug can show."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from small_ca import SmallCa
from small_portal import SmallPortal
from softhsm_key import PIN, UNIT, provision

from ukey_client import cli
from ukey_client.errors import (
    GenerationUnsupported,
    PinIncorrect,
    ReaderAbsent,
    TokenAmbiguous,
    TokenFailed,
    TokenRemoved,
)
from ukey_client.token import HeldCertificate, Token, Way
from ukey_client.token.piv import management, objects
from ukey_client.token.piv.card import PivCard
from ukey_client.token.piv.pcsc import Readers
from ukey_client.token.piv.slots import certificate_tag
from ukey_emulator import module_path
from ukey_emulator.remote import KeyInfo, RackProcess, Remote
from ukey_harness.device.ways import opensc_module

ALGORITHMS = {0x07: "rsa2048", 0x11: "p256", 0x14: "p384"}


@pytest.fixture(scope="module")
def process() -> Iterator[RackProcess]:
    with RackProcess.start() as process:
        yield process


@pytest.fixture
def rack(process: RackProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[Remote]:
    monkeypatch.setenv("UKEY_HOME", str(process.home))
    monkeypatch.setenv("PCSCLITE_CSOCK_NAME", str(process.home / "pcscd.comm"))
    with process.remote() as remote:
        yield remote
        for key in remote.keys():
            remote.remove(key.name)


@pytest.fixture
def info(rack: Remote) -> KeyInfo:
    return rack.new_key(tries=4)


@pytest.fixture
def opensc() -> str:
    found = opensc_module()
    if not found:
        pytest.skip("OpenSC's module is not installed")
    return found


def reader_of(info: KeyInfo) -> str:
    return f"ukeylab {info.name} 00 00"


def put_key(info: KeyInfo, ca: SmallCa, reference: int, algorithm: int = 0x11) -> None:
    """Generate a key on the card itself, and put a certificate for it beside it."""
    readers = Readers()
    line = readers.connect(reader_of(info))
    readers.close()
    card = PivCard(line)
    with card.transaction():
        card.settle()
        card.verify(PIN.encode())
        management.prove(card, PIN)
        certificate = ca.issue(card.generate(reference, algorithm), UNIT)
        der = certificate.public_bytes(Encoding.DER)
        card.put_data(certificate_tag(reference), objects.write_certificate(der))
        card.forget_pin()
    line.close()


def signs(token: Token, held: HeldCertificate, digest: str = "sha256") -> bool:
    data = b"text" * 50
    signature = token.sign(held, data, digest)
    public = held.certificate.public_key()
    hasher = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384()}[digest]
    try:
        if isinstance(public, rsa.RSAPublicKey):
            public.verify(signature, data, padding.PKCS1v15(), hasher)
        else:
            assert isinstance(public, ec.EllipticCurvePublicKey)
            public.verify(signature, data, ec.ECDSA(hasher))
    except InvalidSignature:
        return False
    return True


# --- one key, two faces -----------------------------------------------------------------------


def test_what_is_made_through_pkcs11_is_used_through_the_reader(
    rack: Remote, info: KeyInfo, ca: SmallCa, portal: SmallPortal
) -> None:
    assert rack
    key = provision(ca, label=info.label, module=module_path(), kind="p256")
    with Way(module_path()).open() as through_module, Way(reader="").open() as through_reader:
        (one,), (other,) = through_module.certificates(), through_reader.certificates()
        assert (one.id, one.der) == (other.id, other.der)
        assert key.id == other.id
        through_reader.login(PIN)
        assert signs(through_reader, other)
        assert not through_module.logged_in
    result = CliRunner(env={"UKEY_PIN": PIN}).invoke(
        cli.login, ["--reader", "", "--portal", portal.url]
    )
    assert result.exit_code == 0, result.output
    assert f"{UNIT}：证书有效" in result.output


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=ALGORITHMS.get)
@pytest.mark.parametrize("reference", [0x9A, 0x9C, 0x82], ids=lambda one: f"{one:X}")
def test_keys_of_every_place_sign(
    rack: Remote, info: KeyInfo, ca: SmallCa, reference: int, algorithm: int
) -> None:
    assert rack
    put_key(info, ca, reference, algorithm)
    with Way(reader=info.name).open() as token:
        (held,) = token.certificates()
        token.login(PIN)
        for digest in ("sha256", "sha384", "sha256"):
            assert signs(token, held, digest)


# --- OpenSC's module over the card ------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=ALGORITHMS.get)
@pytest.mark.parametrize("reference", [0x9A, 0x9C], ids=lambda one: f"{one:X}")
def test_opensc_signs_with_both_keys(
    rack: Remote, info: KeyInfo, ca: SmallCa, opensc: str, reference: int, algorithm: int
) -> None:
    assert rack
    put_key(info, ca, reference, algorithm)
    with Way(opensc).open() as token:
        (held,) = token.certificates()
        token.login(PIN)
        # For 9C the PIN goes with each signature (CKA_ALWAYS_AUTHENTICATE).
        assert all(signs(token, held) for _ in range(3))


def test_opensc_makes_no_keys_and_says_so(
    rack: Remote, info: KeyInfo, ca: SmallCa, opensc: str
) -> None:
    assert rack
    put_key(info, ca, 0x9A)
    with Way(opensc).open() as token:
        (held,) = token.certificates()
        token.login(PIN)
        with pytest.raises(GenerationUnsupported, match=r"CKM_EC_KEY_PAIR_GEN.*--reader"):
            token.generate_pair(held)


def test_opensc_tells_how_the_pin_stands(
    rack: Remote, info: KeyInfo, ca: SmallCa, opensc: str
) -> None:
    assert rack
    put_key(info, ca, 0x9A)
    with Way(opensc).open() as token:
        for _ in range(2):
            with pytest.raises(PinIncorrect):
                token.login("000000")
        with pytest.raises(PinIncorrect, match="仅剩最后一次"):
            token.login("000000")
        assert token.pin_state().final_try
        token.login(PIN)
        assert not token.pin_state().low


# --- readers ----------------------------------------------------------------------------------


def test_readers_are_named_by_a_part_of_their_name(rack: Remote) -> None:
    first, second = rack.new_key(), rack.new_key()
    with pytest.raises(TokenAmbiguous) as several:
        Way(reader="ukeylab").open()
    assert {reader_of(first), reader_of(second)} == {
        one.partition("（")[0] for one in several.value.present
    }
    for uri in several.value.uris:
        with Way(reader="", uri=uri).open() as token:
            assert token.label in uri.replace("%20", " ")
    with Way(reader=second.name.upper()).open() as token:
        assert token.label == reader_of(second)
    assert len(Way(reader="").open_all()) == 2
    with pytest.raises(ReaderAbsent, match=first.name):
        Way(reader="Omnikey").open()


def test_the_key_is_pulled_out(rack: Remote, info: KeyInfo, ca: SmallCa) -> None:
    put_key(info, ca, 0x9A)
    with Way(reader="").open() as token:
        (held,) = token.certificates()
        token.login(PIN)
        assert signs(token, held)
        rack.unplug(info.name)
        acts: list[Callable[[], object]] = [
            lambda: token.sign(held, b"text"),
            token.certificates,
            token.pin_state,
        ]
        for act in acts:
            with pytest.raises(TokenRemoved):
                act()
        rack.plug(info.name)
        with pytest.raises(TokenRemoved):  # what was open does not survive
            token.sign(held, b"text")
    with Way(reader="").open() as token:
        token.login(PIN)
        assert signs(token, held)


def test_another_program_resets_the_card(rack: Remote, info: KeyInfo, ca: SmallCa) -> None:
    assert rack
    put_key(info, ca, 0x9A)
    with Way(reader="").open() as token:
        (held,) = token.certificates()
        token.login(PIN)
        readers = Readers()
        other = readers.connect(reader_of(info))
        readers.close()
        other.reset()
        assert signs(token, held)
        with other.transaction():  # and selects another application
            other.transmit(bytes.fromhex("00A4040008A000000527471117"))
        assert signs(token, held)
        other.close()


def test_a_card_that_another_program_has_for_itself(rack: Remote, info: KeyInfo) -> None:
    assert rack
    readers = Readers()
    calls = readers._calls
    code, card, _ = calls.SCardConnect(
        readers._context,
        reader_of(info),
        calls.SCARD_SHARE_EXCLUSIVE,
        calls.SCARD_PROTOCOL_T0 | calls.SCARD_PROTOCOL_T1,
    )
    assert code == 0
    try:
        with pytest.raises(TokenFailed, match="独占"):
            Way(reader="").open()
    finally:
        calls.SCardDisconnect(card, calls.SCARD_LEAVE_CARD)
        readers.close()


# --- machines that lack something -------------------------------------------------------------


def certs(*arguments: str) -> Result:
    result = CliRunner().invoke(cli.certs, [*arguments])
    assert "Traceback" not in result.output
    return result


def test_module_and_reader_cannot_both_be_meant(
    rack: Remote, info: KeyInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rack
    both = certs("--module", module_path(), "--reader", "")
    assert (both.exit_code, "只能给出一个" in both.output) == (2, True)
    monkeypatch.setenv("PKCS11_MODULE", "/nowhere.so")
    assert certs("--reader", info.name).exit_code == 0
    monkeypatch.setenv("UKEY_READER", info.name)
    assert certs().exit_code == 0
    assert "/nowhere.so" in certs("--module", "/nowhere.so").output


def in_new_python(folder: Path, code: str) -> str:
    path = os.pathsep.join([str(folder), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(folder)!r})\n{code}"]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    ).stdout


TRY = """
from ukey_client.errors import ReadersUnusable
from ukey_client.token import Way
try:
    Way(reader='').open()
except ReadersUnusable as error:
    print(error)
"""


def test_no_resource_manager(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PCSCLITE_CSOCK_NAME", str(tmp_path / "nobody"))
    said = in_new_python(tmp_path, TRY)
    assert f"PCSCLITE_CSOCK_NAME 指向的 {tmp_path / 'nobody'} 无人应答" in said


def test_without_pyscard(tmp_path: Path) -> None:
    (tmp_path / "smartcard").mkdir()  # stands before the real one, and has no scard
    (tmp_path / "smartcard" / "__init__.py").touch()
    said = in_new_python(tmp_path, TRY)
    assert "pip install 'ukeylab[pcsc]'" in said


def test_without_libpcsclite(tmp_path: Path) -> None:
    hidden = (
        "import ctypes\nreal = ctypes.CDLL\n"
        "def load(name, *rest):\n"
        "    return real('libnowhere.so.1' if 'pcsclite' in str(name) else name, *rest)\n"
        "ctypes.CDLL = load\n"
    )
    said = in_new_python(tmp_path, hidden + TRY)
    assert "libpcsclite1" in said


def test_pcsc_is_not_loaded_without_need() -> None:
    code = "import sys, ukey_client.token, ukey_client.cli\nprint('smartcard' in sys.modules)"
    assert in_new_python(Path("/nowhere"), code).strip() == "False"
