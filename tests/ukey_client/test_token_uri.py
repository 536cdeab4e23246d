"""RFC 7512 URIs: what they say, and what is wrong with them."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from softhsm_key import Key

from ukey_client.errors import TokenUriInvalid
from ukey_client.token import HeldCertificate
from ukey_client.token.uri import TokenUri

FACTS = {"token": "My token; 50%", "serial": "0011", "model": "M", "slot-id": "3"}


@pytest.mark.parametrize(
    ("uri", "fits"),
    [
        ("pkcs11:", True),
        ("PKCS11:serial=0011", True),
        ("pkcs11:token=My%20token%3B%2050%25", True),
        ("pkcs11:token=My%20token%3b%2050%25;serial=0011;model=M;slot-id=3", True),
        ("pkcs11:token=My%20token", False),
        ("pkcs11:serial=0011;model=N", False),
        ("pkcs11:manufacturer=nobody", False),
        ("pkcs11:library-version=2.6", False),
        ("pkcs11:object=anything;type=cert;serial=0011", True),
        ("pkcs11:serial=0011?x-vendor=ignored&pin-source=/pin", True),
    ],
)
def test_matching_a_token(uri: str, *, fits: bool) -> None:
    assert TokenUri.parse(uri).matches(FACTS) is fits


def test_chinese_may_be_encoded_or_not() -> None:
    for uri in ("pkcs11:token=测试介质", "pkcs11:token=%E6%B5%8B%E8%AF%95%E4%BB%8B%E8%B4%A8"):
        assert TokenUri.parse(uri).matches({"token": "测试介质"})


def test_the_uri_of_a_token_names_it() -> None:
    label, serial = "Ünit; 100%?&=名", "s/1"
    parsed = TokenUri.parse(TokenUri.of_token(label, serial))
    assert parsed.wanted == {"token": label, "serial": serial}


@pytest.mark.parametrize(
    ("uri", "fits"),
    [
        ("pkcs11:id=%00%ff%41", True),
        ("pkcs11:id=%00%FFA", True),
        ("pkcs11:id=%00", False),
        ("pkcs11:object=label", True),
        ("pkcs11:object=other", False),
        ("pkcs11:object=label;id=%00%ff%41", True),
    ],
)
def test_matching_a_certificate(key: Key, uri: str, *, fits: bool) -> None:
    parsed = TokenUri.parse(uri)
    assert parsed.names_object
    held = HeldCertificate(b"\x00\xffA", "label", key.certificate.public_bytes(Encoding.DER))
    assert parsed.matches_certificate(held) is fits


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("pkcs11:?pin-source=file:/run/pin", "/run/pin"),
        ("pkcs11:?pin-source=file:///run/my%2520pin", "/run/my pin"),
        ("pkcs11:?pin-source=/run/pin", "/run/pin"),
    ],
)
def test_pin_source(uri: str, path: str) -> None:
    assert TokenUri.parse(uri).pin_source == Path(path)


def test_module_path() -> None:
    assert TokenUri.parse("pkcs11:?module-path=/lib/x.so").module_path == "/lib/x.so"


@pytest.mark.parametrize(
    ("uri", "fault"),
    [
        ("serial=1", "pkcs11: 开头"),
        ("", "pkcs11: 开头"),
        ("pkcs11:serial", "名称=值"),
        ("pkcs11:=1", "名称=值"),
        ("pkcs11:token=a;;serial=1", "空的属性"),
        ("pkcs11:token=a;token=b", "重复"),
        ("pkcs11:id=%01;id=%02", "重复"),
        ("pkcs11:colour=red", "不认识的属性 colour"),
        ("pkcs11:token=%4", "百分号"),
        ("pkcs11:token=%zz", "百分号"),
        ("pkcs11:token=%ff", "UTF-8"),
        ("pkcs11:type=car", "type"),
        ("pkcs11:slot-id=one", "slot-id"),
        ("pkcs11:?pin-value=123456", "口令"),
        ("pkcs11:?pin-source=%7Ccat%20/pin", "程序"),
        ("pkcs11:?pin-source=https://example.org/pin", "file:"),
        ("pkcs11:?pin-source=", "file:"),
    ],
)
def test_faults_are_named(uri: str, fault: str) -> None:
    with pytest.raises(TokenUriInvalid, match=fault) as caught:
        TokenUri.parse(uri)
    assert caught.value.exit_code == 2


def test_a_pin_in_the_uri_is_not_repeated() -> None:
    with pytest.raises(TokenUriInvalid) as caught:
        TokenUri.parse("pkcs11:?pin-value=24681357")
    assert "24681357" not in caught.value.message
