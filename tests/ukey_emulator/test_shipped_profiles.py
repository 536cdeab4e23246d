"""The profiles that come with the emulator, each as a program sees a key of it."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from program import PIN, Program, attributes

from ukey_emulator.cli.profile import profile as profile_commands
from ukey_emulator.cryptoki.wire import Mechanism, Out, Query
from ukey_emulator.profiles import DEFAULT, Profile
from ukey_emulator.profiles.profile import shipped
from ukey_emulator.rack.home import RackError
from ukey_emulator.rack.keyring import Keyring
from ukey_emulator.terms import CKA, CKF, CKM, CKO, CKR, CKU

Plug = Callable[[str], int]
COUNT = Out(asked=True, capacity=None)
LARGE = Out(asked=True, capacity=1 << 17)


@pytest.fixture
def plug(keyring: Keyring, program: Program) -> Plug:
    def made(profile: str) -> int:
        slot = keyring.new(profile=profile).slot
        program.C_GetSlotList(True, COUNT)
        return slot

    return made


def flags(program: Program, slot: int) -> int:
    return int(struct.unpack_from("<Q", program.C_GetTokenInfo(slot, True), 96)[0])


def certificates(program: Program, session: int) -> dict[bytes, x509.Certificate]:
    found = program.find(session, CLASS=int(CKO.CERTIFICATE))
    return {
        program.read(session, each, CKA.ID): x509.load_der_x509_certificate(
            program.read(session, each, CKA.VALUE)
        )
        for each in found
    }


@pytest.mark.parametrize("name", shipped())
def test_each_says_what_it_is_and_gives_a_key_that_works(
    program: Program, plug: Plug, name: str
) -> None:
    assert Profile.load(name).name == name
    assert Profile.load(name).about
    slot = plug(name)
    session = program.open(slot, writable=name != "write-protected")
    if not flags(program, slot) & CKF.PROTECTED_AUTHENTICATION_PATH:
        program.C_Login(session, CKU.USER, PIN)
    program.C_DigestInit(session, Mechanism(CKM.SHA256, None))


def test_the_key_of_the_guide(keyring: Keyring, program: Program, plug: Plug) -> None:
    slot = plug("hebca-rsa")
    session = program.open(slot, user=CKU.USER)
    found = certificates(program, session)
    assert found.keys() == {b"\x01", b"\x02"}
    factory = keyring._folder.with_name("factories")
    authority = x509.load_pem_x509_certificate(next(factory.glob("*.pem")).read_bytes())
    assert "for tests only" in authority.subject.rfc4514_string()
    uses = {}
    for ident, certificate in found.items():
        certificate.verify_directly_issued_by(authority)
        assert "O=青禾测试机械制造有限公司" in certificate.subject.rfc4514_string()
        uses[ident] = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert uses[b"\x01"].digital_signature
    assert not uses[b"\x01"].key_encipherment
    assert uses[b"\x02"].key_encipherment
    assert not uses[b"\x02"].digital_signature

    (signer,) = program.find(session, CLASS=int(CKO.PRIVATE_KEY), ID=b"\x01")
    program.C_SignInit(session, Mechanism(CKM.SHA256_RSA_PKCS, None), signer)
    signature = program.C_Sign(session, b"text", LARGE)
    public = found[b"\x01"].public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    public.verify(signature, b"text", padding.PKCS1v15(), SHA256())

    (decipherer,) = program.find(session, CLASS=int(CKO.PRIVATE_KEY), ID=b"\x02")
    public = found[b"\x02"].public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    program.C_DecryptInit(session, Mechanism(CKM.RSA_PKCS, None), decipherer)
    secret = public.encrypt(b"secret", padding.PKCS1v15())
    assert program.C_Decrypt(session, secret, LARGE) == b"secret"
    mechanism = Mechanism(CKM.SHA256_RSA_PKCS, None)
    not_permitted = CKR.KEY_FUNCTION_NOT_PERMITTED
    assert program.rv("C_SignInit", session, mechanism, decipherer) == not_permitted

    (seal,) = program.find(session, CLASS=int(CKO.DATA), LABEL="电子印章")
    queries = [Query(CKA.VALUE, 1 << 17, None)]
    assert program.C_GetAttributeValue(session, seal, queries)[0][1].startswith(b"\x89PNG")


def test_the_factory_builds_once_and_each_key_is_itself(
    keyring: Keyring, program: Program, plug: Plug
) -> None:
    slots = [plug("hebca-rsa"), plug("hebca-rsa")]
    infos = [key for key in keyring.list() if key.slot in slots]
    assert len({key.serial for key in infos}) == 2
    assert all(key.label == f"HEBCA-{key.serial}" for key in infos)
    first, second = (certificates(program, program.open(slot)) for slot in slots)
    assert first == second
    folder = keyring._folder.with_name("factories")
    (image,) = folder.glob("*.ukey")
    # Another rack over the same folder builds it no more.
    made = image.stat().st_mtime_ns
    keyring.close()
    again = Keyring(keyring._folder, keyring._slots)
    again.new(profile="hebca-rsa")
    again.close()
    assert image.stat().st_mtime_ns == made


def test_a_reset_brings_back_what_the_factory_put_there(
    keyring: Keyring, program: Program, plug: Plug
) -> None:
    slot = plug("hebca-rsa")
    (info,) = [key for key in keyring.list() if key.slot == slot]
    session = program.open(slot, user=CKU.USER)
    for each in program.find(session):
        program.C_DestroyObject(session, each)
    program.C_SetPIN(session, PIN, b"654321")
    keyring.reset(info.name)
    assert [key for key in keyring.list() if key.slot == slot] == [info]
    session = program.open(slot, user=CKU.USER)
    assert len(program.find(session)) == 7


def test_a_blank_one_holds_nothing(keyring: Keyring) -> None:
    assert keyring.new(profile="hebca-rsa", initialized=False).label == ""


def test_the_tiny_one_is_soon_full(program: Program, plug: Plug) -> None:
    slot = plug("tiny")
    session = program.open(slot)
    template = attributes(CLASS=int(CKO.DATA), TOKEN=True, VALUE=bytes(1000))
    codes = [program.rv("C_CreateObject", session, template, True) for _ in range(6)]
    assert codes[0] == CKR.OK
    assert codes[-1] == CKR.DEVICE_MEMORY
    opened = [program.rv("C_OpenSession", slot, 6, True) for _ in range(4)]
    assert opened[-1] == CKR.SESSION_COUNT


def test_the_guessed_one_is_locked_by_one_wrong_pin(program: Program, plug: Plug) -> None:
    slot = plug("final-try")
    assert flags(program, slot) & CKF.USER_PIN_FINAL_TRY
    session = program.open(slot)
    assert program.rv("C_Login", session, CKU.USER, b"000000") == CKR.PIN_INCORRECT
    assert program.rv("C_Login", session, CKU.USER, PIN) == CKR.PIN_LOCKED


def test_the_protected_one_signs_and_takes_nothing(program: Program, plug: Plug) -> None:
    slot = plug("write-protected")
    assert program.rv("C_OpenSession", slot, 6, True) == CKR.TOKEN_WRITE_PROTECTED
    session = program.open(slot, writable=False, user=CKU.USER)
    (signer,) = program.find(session, CLASS=int(CKO.PRIVATE_KEY))
    program.C_SignInit(session, Mechanism(CKM.ECDSA_SHA256, None), signer)
    assert len(program.C_Sign(session, b"text", LARGE)) == 64
    assert program.rv("C_DestroyObject", session, signer) == CKR.TOKEN_WRITE_PROTECTED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[certificate]]\nsubject = "nothing"', "cannot be made"),
        ('[[certificate]]\nlabel = "x"', "subject in .* is missing"),
        ('[[certificate]]\nsubject = "CN=a"\nkey = "RSA-7"', "RSA-2048, RSA-3072"),
        ('[[object]]\nCKA_LABEL = "x"', "CKA_CLASS in .* is missing"),
        ('[[object]]\nCKA_CLAS = "x"', "close to it are: CKA_CLASS"),
        ('[[object]]\nCKA_CLASS = "CKO_DATE"', "close to it are: CKO_DATA"),
        ('[[object]]\nCKA_CLASS = "CKO_DATA"\nCKA_VALUE = { file = "none" }', "No such file"),
        ('[[object]]\nCKA_CLASS = "CKO_DATA"\nCKA_VALUE = { hex = "0" }', "hexadecimal digits"),
        ('[[object]]\nCKA_CLASS = "CKO_DATA"\nCKA_VALUE = 1.5', "CKA_VALUE in .* is true, a"),
        ('[[object]]\nCKA_CLASS = "CKO_SECRET_KEY"', "cannot be made: .*TEMPLATE_INCOMPLETE"),
    ],
)
def test_what_a_profile_cannot_hold_is_refused(
    keyring: Keyring, tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "odd.toml"
    path.write_text(text)
    with pytest.raises(RackError, match=message):
        keyring.new(profile=str(path))
    assert [key.name for key in keyring.list()] == ["key"]


def test_the_default_adds_nothing_to_a_key(keyring: Keyring) -> None:
    assert Profile.load(DEFAULT).facts == b""
    assert not keyring._folder.with_name("factories").exists()


def test_the_commands_list_and_show_them() -> None:
    invoke = CliRunner().invoke
    told = invoke(profile_commands, ["list"]).output
    assert [line.split()[0] for line in told.splitlines()] == list(shipped())
    listed = json.loads(invoke(profile_commands, ["list", "--json"]).output)
    assert [each["name"] for each in listed] == list(shipped())
    text = invoke(profile_commands, ["show", "tiny"]).output
    assert text == shipped()["tiny"].read_text(encoding="utf-8")
    shown = json.loads(invoke(profile_commands, ["show", "tiny", "--json"]).output)
    assert shown["memory"] == {"public": 4096, "private": 4096}
    refused = invoke(profile_commands, ["show", "tinny"])
    assert refused.exit_code == 1
    assert "there is no profile 'tinny'; there are: default" in refused.output
