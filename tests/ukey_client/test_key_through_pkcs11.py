"""A key through PKCS#11: finding it, its certificates, its PIN, signing."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pkcs11
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.hashes import SHA256
from softhsm_key import LABEL, MODULE, PIN, UNIT, Key, Library, configure, init_token

from ukey_client.errors import (
    CertificateAbsent,
    HolderError,
    KeyAbsent,
    ModuleUnusable,
    PinIncorrect,
    PinUnacceptable,
    TokenAbsent,
    TokenAmbiguous,
    TokenFailed,
    TokenNotInitialised,
    TokenRemoved,
)
from ukey_client.pin import change_pin
from ukey_client.token import HeldCertificate, open_token, open_tokens
from ukey_client.token.cryptoki.faults import translated
from ukey_client.token.cryptoki.token import CryptokiToken


def test_the_holders_certificate_is_listed_without_pin(token: CryptokiToken, key: Key) -> None:
    (held,) = token.certificates()
    assert held.owner == UNIT
    assert held.issuer == "测试签发机构"
    assert held.id == key.id
    assert int(held.serial, 16) == key.certificate.serial_number
    assert len(held.serial) % 2 == 0
    assert held.unit_identifier == "91130100MA0TESTXX1"
    assert held.not_after == key.certificate.not_valid_after_utc


def test_authorities_are_told_apart(token: CryptokiToken) -> None:
    names = {one.subject.rfc4514_string() for one in token.authorities()}
    assert len(names) == 2
    assert all("测试" in name for name in names)


def test_after_login_only_certificates_with_a_key_are_listed(
    token: CryptokiToken, key: Key
) -> None:
    token.login(key.pin)
    (held,) = token.certificates()
    stray = token.install_certificate(held.der, b"no key has this id", "stray")
    assert [one.id for one in token.certificates()] == [key.id]
    token.logout()
    assert stray.id in [one.id for one in token.certificates()]


def test_rsa_signature_verifies(token: CryptokiToken, key: Key) -> None:
    (held,) = token.certificates()
    token.login(key.pin)
    signature = token.sign(held, b"text")
    public = key.certificate.public_key()
    public.verify(signature, b"text", padding.PKCS1v15(), SHA256())  # type: ignore[union-attr,call-arg,arg-type]


def test_rsa_without_hashed_mechanisms(make_key: Callable[..., Key], tmp_path: Path) -> None:
    key = make_key()
    configure(tmp_path / "softhsm", mechanisms="CKM_RSA_PKCS,CKM_RSA_PKCS_KEY_PAIR_GEN")
    with open_token(MODULE) as token:
        (held,) = token.certificates()
        token.login(key.pin)
        signature = token.sign(held, b"text")
    public = key.certificate.public_key()
    public.verify(signature, b"text", padding.PKCS1v15(), SHA256())  # type: ignore[union-attr,call-arg,arg-type]


@pytest.mark.parametrize("kind", ["p256", "p384"])
def test_ecdsa_signature_verifies(make_key: Callable[..., Key], kind: str) -> None:
    key = make_key(kind)
    with open_token(MODULE) as token:
        (held,) = token.certificates()
        token.login(key.pin)
        signature = token.sign(held, b"text")
    public = key.certificate.public_key()
    public.verify(signature, b"text", ec.ECDSA(SHA256()))  # type: ignore[union-attr,call-arg,arg-type]


def test_signing_needs_a_login(token: CryptokiToken) -> None:
    (held,) = token.certificates()
    with pytest.raises(TokenFailed, match="尚未输入证书口令"):
        token.sign(held, b"text")


def test_signing_needs_the_private_key(token: CryptokiToken, key: Key) -> None:
    (held,) = token.certificates()
    token.login(key.pin)
    for id_ in (b"other", b""):
        with pytest.raises(KeyAbsent, match=UNIT):
            token.sign(HeldCertificate(id_, held.label, held.der), b"text")


def test_wrong_pin_then_right_pin(token: CryptokiToken, key: Key) -> None:
    with pytest.raises(PinIncorrect) as caught:
        token.login("654321")
    # SoftHSM tells by a flag that tries are spent, and does not tell how many are left.
    assert caught.value.tries_left is None
    assert caught.value.low
    assert "证书口令错误" in caught.value.message
    assert not token.logged_in
    token.login(key.pin)
    assert token.logged_in
    assert not token.pin_state().low


@pytest.mark.parametrize("pin", ["", "1", "9" * 300, "口令" * 40])
def test_pins_that_no_key_takes_are_wrong_pins(token: CryptokiToken, pin: str) -> None:
    with pytest.raises(PinIncorrect):
        token.login(pin)


def test_a_second_login_is_checked_as_well(token: CryptokiToken, key: Key) -> None:
    token.login(key.pin)
    with pytest.raises(PinIncorrect):
        token.login("000000")
    assert not token.logged_in


def test_changed_pin_replaces_the_old_one(token: CryptokiToken, key: Key) -> None:
    change_pin(token, key.pin, "24681357")
    with pytest.raises(PinIncorrect):
        token.login(key.pin)
    token.login("24681357")


@pytest.mark.parametrize(
    ("new", "fault"),
    [
        (PIN, "不能与原口令相同"),
        ("12", "太短，至少 4 位"),
        ("9" * 256, "太长"),
        ("12\n456", "控制字符"),
    ],
)
def test_new_pins_that_are_refused(token: CryptokiToken, key: Key, new: str, fault: str) -> None:
    with pytest.raises(PinUnacceptable, match=fault):
        change_pin(token, key.pin, new)
    assert not token.pin_state().low  # no try was spent
    token.login(key.pin)


def test_wrong_old_pin_is_refused(token: CryptokiToken, key: Key) -> None:
    with pytest.raises(PinIncorrect):
        change_pin(token, "000000", "24681357")
    token.login(key.pin)


def test_limits_of_the_pin(token: CryptokiToken) -> None:
    limits = token.pin_limits()
    assert (limits.shortest, limits.longest) == (4, 255)


def test_seal_picture(token: CryptokiToken) -> None:
    picture = token.seal_picture()
    assert picture is not None
    assert picture.startswith(b"\x89PNG")


def test_no_seal_picture(make_key: Callable[..., Key]) -> None:
    make_key("p256", with_seal=False)
    with open_token(MODULE) as token:
        assert token.seal_picture() is None


@pytest.mark.parametrize("kind", ["rsa2048", "p256"])
def test_a_new_pair_for_renewal(make_key: Callable[..., Key], kind: str) -> None:
    key = make_key(kind)
    with open_token(MODULE) as token:
        token.login(key.pin)
        (held,) = token.certificates()
        pair = token.generate_pair(held)
        assert type(pair.public_key) is type(key.certificate.public_key())
        signature = token.sign_with(pair.id, b"proof")
        if isinstance(pair.public_key, ec.EllipticCurvePublicKey):
            pair.public_key.verify(signature, b"proof", ec.ECDSA(SHA256()))
        else:
            pair.public_key.verify(signature, b"proof", padding.PKCS1v15(), SHA256())  # type: ignore[union-attr,call-arg,arg-type]
        fresh = token.install_certificate(held.der, pair.id, "新证书")
        assert token.certificate_by_id(pair.id) == fresh
        token.remove(held.id)
        assert token.certificate_by_id(held.id) is None
        assert [one.id for one in token.certificates()] == [pair.id]
        with pytest.raises(KeyAbsent):
            token.sign_with(held.id, b"proof")


def test_the_state_survives_the_process(key: Key) -> None:
    with open_token(key.module) as token:
        token.login(key.pin)
        (held,) = token.certificates()
        pair = token.generate_pair(held)
    listed = subprocess.run(
        ["pkcs11-tool", "--module", MODULE, "--login", "--pin", PIN, "-O", "--id", pair.id.hex()],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "Private Key Object" in listed.stdout
    assert "Public Key Object" in listed.stdout


# --- which key --------------------------------------------------------------------------------


def test_several_keys_must_be_told_apart(key: Key) -> None:
    init_token("第二把")
    with pytest.raises(TokenAmbiguous, match="第二把") as caught:
        open_token(key.module)
    assert len(caught.value.uris) == 2
    labels = set()
    for uri in caught.value.uris:
        with open_token(key.module, uri) as token:
            labels.add(token.label)
    assert labels == {LABEL, "第二把"}
    tokens = open_tokens(key.module)
    assert {token.label for token in tokens} == labels
    for token in tokens:
        token.close()


def test_a_key_that_is_not_there(key: Key) -> None:
    with pytest.raises(TokenAbsent, match=LABEL) as caught:
        open_token(key.module, "pkcs11:token=other")
    assert caught.value.wanted == "pkcs11:token=other"


def test_no_key_is_initialised(tmp_path: Path) -> None:
    configure(tmp_path / "empty")
    with pytest.raises(TokenNotInitialised, match="尚未初始化"):
        open_token(MODULE)


def test_a_key_without_certificate(tmp_path: Path) -> None:
    configure(tmp_path / "bare")
    init_token()
    with open_token(MODULE) as token:
        assert token.certificates() == []


# --- modules ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "fault"),
    [
        ("/nowhere/libnothing.so", "文件不存在"),
        ("libnothing-of-this-name.so", "文件不存在"),
        ("/etc/passwd", "不是程序库"),
        ("/usr", "不是程序库"),
        ("/usr/lib/x86_64-linux-gnu/libz.so.1", "不是 PKCS#11 模块"),
        ("", "没有给出路径"),
    ],
)
def test_modules_that_do_not_load(module: str, fault: str) -> None:
    if module.startswith("/usr/lib") and not Path(module).exists():
        module = str(next(Path("/usr/lib").glob("*/libz.so.1")))
    with pytest.raises(ModuleUnusable, match=fault) as caught:
        open_token(module)
    assert caught.value.exit_code == 3


def test_the_module_under_another_name(key: Key, tmp_path: Path) -> None:
    other = tmp_path / "vendor.so"
    other.symlink_to(MODULE)
    with open_token(key.module) as first, open_token(str(other)) as second:
        assert first.serial == second.serial


def test_two_users_of_one_module(key: Key) -> None:
    first, second = open_token(key.module), open_token(key.module)
    first.close()
    assert second.certificates()
    second.close()
    assert not pkcs11._loaded[MODULE].initialized


def test_a_module_that_others_use_stays_initialised(key: Key) -> None:
    with Library() as library:
        with open_token(key.module) as token:
            token.certificates()
        assert library.initialized
        assert library.get_token(token_label=LABEL)


def test_closing_twice_is_harmless(key: Key) -> None:
    token = open_token(key.module)
    token.close()
    token.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_module_that_is_finalised_underneath(key: Key) -> None:
    with open_token(key.module) as token:
        pkcs11.lib(MODULE).finalize()
        with pytest.raises(HolderError):
            token.certificates()


# --- faults -----------------------------------------------------------------------------------


def _faults() -> list[type[pkcs11.PKCS11Error]]:
    return sorted(pkcs11.PKCS11Error.__subclasses__(), key=lambda one: one.__name__)


@pytest.mark.parametrize("fault", _faults(), ids=lambda one: one.__name__)
def test_no_fault_of_a_module_gets_through(fault: type[pkcs11.PKCS11Error]) -> None:
    with pytest.raises(HolderError) as caught, translated("签名"):
        raise fault
    assert caught.value.message
    if fault in {pkcs11.DeviceRemoved, pkcs11.TokenNotPresent, pkcs11.SessionHandleInvalid}:
        assert isinstance(caught.value, TokenRemoved)


def test_certificate_absent_names_the_command() -> None:
    assert "ukey certs" in CertificateAbsent("pkcs11:id=%01").message
