"""The key as a PIV card, on a card made of software: plain, and with Yubico's commands."""

import zlib
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from renewal_parties import new_key
from small_ca import SmallCa
from software_card import PrivateKey, SoftwareCard

from ukey_client.errors import (
    KeyAbsent,
    KeyUnsuitable,
    ManagementKeyUnknown,
    PinIncorrect,
    PinLocked,
    PinUnacceptable,
    SealHidden,
    TokenFailed,
    TokenRemoved,
)
from ukey_client.pin import change_pin
from ukey_client.token.piv import objects, tlv
from ukey_client.token.piv.ciphers import AES_128, AES_192, AES_256, TRIPLE_DES
from ukey_client.token.piv.keys import identifier_of
from ukey_client.token.piv.slots import certificate_tag
from ukey_client.token.piv.token import PivToken

PIN = "123456"
PICTURE = b"\x89PNG a round red seal"
BOTH = pytest.mark.parametrize("plain", [True, False], ids=["plain", "yubico"])


@pytest.fixture
def issue(ca: SmallCa) -> Callable[[PrivateKey], x509.Certificate]:
    return lambda key: ca.issue(key.public_key(), "单位")


def put(card: SoftwareCard, reference: int, key: PrivateKey, certificate: x509.Certificate) -> None:
    card.keys[reference] = key
    der = certificate.public_bytes(Encoding.DER)
    card.objects[certificate_tag(reference)] = objects.write_certificate(der)


def verify(key: PrivateKey, signature: bytes, data: bytes, digest: str) -> None:
    hasher = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        public.verify(signature, data, padding.PKCS1v15(), hasher[digest])
    else:
        public.verify(signature, data, ec.ECDSA(hasher[digest]))


# --- certificates -----------------------------------------------------------------------------


@BOTH
def test_certificates_of_all_places_are_found(
    plain: bool, ca: SmallCa, issue: Callable[[PrivateKey], x509.Certificate]
) -> None:
    card = SoftwareCard(plain=plain)
    keys = {reference: new_key("p256") for reference in (0x9A, 0x9D, 0x83, 0x95)}
    for reference, key in keys.items():
        put(card, reference, key, issue(key))
    put(card, 0x82, new_key("p256"), ca.issuing)
    with PivToken(card) as token:
        held = token.certificates()
        assert {one.id for one in held} == {identifier_of(k.public_key()) for k in keys.values()}
        assert {one.label for one in held} == {"单位"}
        assert token.authorities() == [ca.issuing]
        again = token.certificate_by_id(held[0].id)
        assert again == held[0]
        assert token.certificate_by_id(b"nothing") is None


def test_retired_places_are_not_looked_at_where_the_history_is_empty(
    issue: Callable[[PrivateKey], x509.Certificate],
) -> None:
    card = SoftwareCard(objects={0x5FC10C: bytes.fromhex("C10100C20100FE00")})
    key = new_key("p256")
    put(card, 0x9A, key, issue(key))
    with PivToken(card) as token:
        assert len(token.certificates()) == 1
        asked = [one for one in card.commands if one[-4:-1] == bytes.fromhex("5FC10D")]
        assert not asked
        del card.objects[0x5FC10C]
        token.certificates()
        asked = [one for one in card.commands if one[-4:-1] == bytes.fromhex("5FC10D")]
        assert asked


def test_a_certificate_without_its_key_is_the_cards_to_tell(
    issue: Callable[[PrivateKey], x509.Certificate],
) -> None:
    card = SoftwareCard()
    key = new_key("p256")
    put(card, 0x9A, new_key("p256"), issue(key))
    with PivToken(card) as token:
        assert token.certificates() == []
        token.login(PIN)
        (held,) = [one for one in token.holdings() if one.certificate is not None]
        assert not held.has_private_key
        with pytest.raises(KeyAbsent):
            token.sign(held.certificate, b"text")


def test_compressed_and_damaged_certificates(
    issue: Callable[[PrivateKey], x509.Certificate],
) -> None:
    card = SoftwareCard()
    key = new_key("p256")
    put(card, 0x9A, key, issue(key))
    der = issue(key).public_bytes(Encoding.DER)
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(der) + packer.flush()
    card.objects[certificate_tag(0x9A)] = (
        tlv.encode(0x70, packed) + tlv.encode(0x71, b"\x01") + tlv.encode(0xFE)
    )
    card.objects[certificate_tag(0x9C)] = b"\x70\x82\x40\x00garbage"
    card.objects[certificate_tag(0x9D)] = tlv.encode(0x70, b"x" * 9) + tlv.encode(0x71, b"\x01")
    with PivToken(card) as token:
        held = {one.label: one for one in token.certificates()}
        assert held["单位"].der == der
        assert held["Digital Signature (9C)"].is_damaged
        assert held["Key Management (9D)"].is_damaged


def test_who_the_card_is() -> None:
    with PivToken(SoftwareCard()) as token:
        assert (token.serial, token.model) == ("1234567", "PIV 5.7.4")
        assert token.label == "Software Reader 00 00"
    chuid = tlv.encode(0x30, b"\x00") + tlv.encode(0x34, bytes(range(16))) + tlv.encode(0xFE)
    with PivToken(SoftwareCard(plain=True, objects={0x5FC102: chuid})) as token:
        assert (token.serial, token.model) == ("000102030405060708090A0B0C0D0E0F", "PIV")


def test_authorities_in_several_parts(ca: SmallCa) -> None:
    parts = objects.write_roots([ca.root, ca.issuing], 300)
    assert 2 < len(parts) <= 5
    card = SoftwareCard(objects={0x5FFF11 + number: part for number, part in enumerate(parts)})
    with PivToken(card) as token:
        assert set(token.authorities()) == {ca.root, ca.issuing}
        del card.objects[0x5FFF12]
        assert token.authorities() == []


# --- the PIN ----------------------------------------------------------------------------------


@BOTH
def test_a_wrong_pin_tells_the_tries_and_the_last_one_locks(plain: bool) -> None:
    card = SoftwareCard(plain=plain)
    with PivToken(card) as token:
        assert token.pin_state().tries_left == 3
        with pytest.raises(PinIncorrect, match="剩余 2 次"):
            token.login("000000")
        assert not token.logged_in
        state = token.pin_state()
        assert (state.tries_left, state.low) == (2, not plain)  # a plain card tells no total
        with pytest.raises(PinIncorrect, match="仅剩最后一次"):
            token.login("000000")
        assert token.pin_state().final_try
        with pytest.raises(PinLocked) as caught:
            token.login("000000")
        assert caught.value.just_now
        card.commands.clear()
        with pytest.raises(PinLocked) as caught:
            token.login(PIN)
        assert not caught.value.just_now
        assert all(len(one) == 4 for one in card.commands if one[1] == 0x20)  # none has a PIN
        assert token.pin_state().locked


@BOTH
def test_the_right_pin_gives_the_tries_back(plain: bool) -> None:
    card = SoftwareCard(plain=plain)
    with PivToken(card) as token:
        with pytest.raises(PinIncorrect):
            token.login("000000")
        token.login(PIN)
        assert token.logged_in
        assert card.tries == 3


@pytest.mark.parametrize("pin", ["", "123456789", "一二三"])
def test_a_pin_that_no_card_can_have_spends_no_try(pin: str) -> None:
    card = SoftwareCard()
    with PivToken(card) as token:
        with pytest.raises(PinIncorrect):
            token.login(pin)
        assert card.tries == 3


@BOTH
def test_the_pin_is_changed(plain: bool) -> None:
    card = SoftwareCard(plain=plain)
    with PivToken(card) as token:
        with pytest.raises(PinUnacceptable, match="至少 6 位"):
            change_pin(token, PIN, "12345")
        with pytest.raises(PinUnacceptable, match="最多 8 位"):
            change_pin(token, PIN, "123456789")
        with pytest.raises(PinIncorrect, match="剩余 2 次"):
            change_pin(token, "000000", "24681357")
        change_pin(token, PIN, "24681357")
        with pytest.raises(PinIncorrect):
            token.login(PIN)
        token.login("24681357")


@BOTH
def test_the_login_ends(plain: bool, issue: Callable[[PrivateKey], x509.Certificate]) -> None:
    card = SoftwareCard(plain=plain)
    key = new_key("p256")
    put(card, 0x9A, key, issue(key))
    with PivToken(card) as token:
        (held,) = token.certificates()
        with pytest.raises(TokenFailed, match="尚未输入证书口令"):
            token.sign(held, b"text")
        token.login(PIN)
        token.logout()
        assert not card.verified
        with pytest.raises(TokenFailed, match="尚未输入证书口令"):
            token.sign(held, b"text")
        token.login(PIN)
    assert not card.verified
    assert card.closed


# --- signing ----------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("reference", [0x9A, 0x9C, 0x82])
@pytest.mark.parametrize("kind", ["rsa2048", "p256", "p384"])
def test_signatures_verify(
    plain: bool,
    reference: int,
    kind: str,
    issue: Callable[[PrivateKey], x509.Certificate],
) -> None:
    card = SoftwareCard(plain=plain)
    key = new_key(kind)
    put(card, reference, key, issue(key))
    with PivToken(card) as token:
        (held,) = token.certificates()
        token.login(PIN)
        for digest in ("sha256", "sha384", "sha512"):
            for _ in range(2):
                verify(key, token.sign(held, b"text" * 100, digest), b"text" * 100, digest)
        with pytest.raises(KeyUnsuitable):
            token.sign(held, b"text", "md5")
    assert card.tries == 3


def test_any_key_may_want_the_pin_for_each_signature(
    issue: Callable[[PrivateKey], x509.Certificate],
) -> None:
    card = SoftwareCard(always={0x9A})
    key = new_key("p256")
    put(card, 0x9A, key, issue(key))
    with PivToken(card) as token:
        (held,) = token.certificates()
        token.login(PIN)
        for _ in range(3):
            verify(key, token.sign(held, b"text"), b"text", "sha256")


@pytest.mark.parametrize("act", ["reset_by_others", "select_another"])
def test_another_program_ends_our_login(
    act: str, issue: Callable[[PrivateKey], x509.Certificate]
) -> None:
    card = SoftwareCard()
    key = new_key("p256")
    put(card, 0x9A, key, issue(key))
    with PivToken(card) as token:
        (held,) = token.certificates()
        token.login(PIN)
        getattr(card, act)()
        verify(key, token.sign(held, b"text"), b"text", "sha256")
        card.pin = b"24681357"
        getattr(card, act)()
        with pytest.raises(PinIncorrect, match="剩余 2 次"):
            token.sign(held, b"text")
        with pytest.raises(TokenFailed, match="尚未输入"):  # it is not tried again
            token.sign(held, b"text")
        assert card.tries == 2


def test_the_seal_is_behind_the_pin() -> None:
    card = SoftwareCard(objects={0x5FC108: objects.write_seal(PICTURE * 2000)})
    with PivToken(card) as token:
        with pytest.raises(SealHidden):
            token.seal_picture()
        token.login(PIN)
        assert token.seal_picture() == PICTURE * 2000
        card.objects[0x5FC108] = tlv.encode(0xBC, b"\x03\x0d a face") + tlv.encode(0xFE)
        assert token.seal_picture() is None
        del card.objects[0x5FC108]
        assert token.seal_picture() is None


def test_the_card_is_pulled_out(issue: Callable[[PrivateKey], x509.Certificate]) -> None:
    card = SoftwareCard()
    key = new_key("p256")
    put(card, 0x9A, key, issue(key))
    with PivToken(card) as token:
        (held,) = token.certificates()
        token.login(PIN)
        card.removed = True
        acts: list[Callable[[], object]] = [
            token.certificates,
            token.authorities,
            token.holdings,
            token.pin_state,
            token.seal_picture,
            token.logout,
            lambda: token.login(PIN),
            lambda: token.certificate_by_id(held.id),
            lambda: token.change_pin(PIN, "24681357"),
        ]
        for act in acts:
            with pytest.raises(TokenRemoved):
                act()
    assert card.closed


# --- the management key -----------------------------------------------------------------------


def writes(card: SoftwareCard, held_key: PrivateKey) -> None:
    with PivToken(card) as token:
        (held,) = token.certificates()
        token.login(card.pin.decode())
        pair = token.generate_pair(held, "新的")
        assert pair.id == identifier_of(pair.public_key)
        verify(
            next(one for one in card.keys.values() if one is not held_key),
            token.sign_with(pair.id, b"text"),
            b"text",
            "sha256",
        )


@pytest.mark.parametrize(
    ("algorithm", "length"), [(TRIPLE_DES, 24), (AES_128, 16), (AES_192, 24), (AES_256, 32)]
)
@pytest.mark.parametrize("plain", [True, False], ids=["plain", "yubico"])
def test_the_management_key_that_is_kept_behind_the_pin(
    plain: bool, algorithm: int, length: int, issue: Callable[[PrivateKey], x509.Certificate]
) -> None:
    secret = bytes(range(7, 7 + length))
    kept = tlv.encode(0x88, tlv.encode(0x89, secret))
    admin = tlv.encode(0x80, tlv.encode(0x81, b"\x02"))
    card = SoftwareCard(management=(algorithm, secret), plain=plain)
    card.objects |= {0x5FFF00: admin, 0x5FC109: kept}
    key = new_key("p256")
    put(card, 0x9A, key, issue(key))
    if plain:
        with PivToken(card) as token:
            token.login(PIN)
            assert token.generate_pair(token.certificates()[0]).public_key
    else:
        writes(card, key)


@pytest.mark.parametrize("algorithm", [TRIPLE_DES, AES_192])
def test_the_default_management_key(
    algorithm: int, issue: Callable[[PrivateKey], x509.Certificate]
) -> None:
    card = SoftwareCard(management=(algorithm, bytes.fromhex("0102030405060708") * 3))
    key = new_key("p256")
    put(card, 0x9A, key, issue(key))
    writes(card, key)


def test_a_management_key_made_from_the_pin(
    issue: Callable[[PrivateKey], x509.Certificate],
) -> None:
    # What PBKDF2-HMAC-SHA1 of 123456 gives, by another program (see below).
    secret = bytes.fromhex(DERIVED)
    admin = tlv.encode(0x80, tlv.encode(0x81, b"\x00") + tlv.encode(0x82, bytes(range(16))))
    card = SoftwareCard(management=(TRIPLE_DES, secret), objects={0x5FFF00: admin})
    key = new_key("p256")
    put(card, 0x9A, key, issue(key))
    writes(card, key)


# openssl kdf -keylen 24 -kdfopt digest:SHA1 -kdfopt pass:123456 -kdfopt iter:10000
#   -kdfopt hexsalt:000102030405060708090a0b0c0d0e0f PBKDF2
DERIVED = "6f4f2d621842bcdf52c44ef73d28d6017045e5d543b5547d"


def test_a_management_key_that_nobody_knows(
    issue: Callable[[PrivateKey], x509.Certificate],
) -> None:
    card = SoftwareCard(management=(AES_192, bytes(range(24))))
    key = new_key("p256")
    put(card, 0x9A, key, issue(key))
    with PivToken(card) as token:
        (held,) = token.certificates()
        token.login(PIN)
        before = dict(card.objects), dict(card.keys)
        with pytest.raises(ManagementKeyUnknown, match="--protect"):
            token.generate_pair(held)
        assert (card.objects, card.keys) == before


def test_a_kind_of_key_that_piv_does_not_have(
    issue: Callable[[PrivateKey], x509.Certificate],
) -> None:
    card = SoftwareCard()
    key = new_key("p521")
    put(card, 0x9A, key, issue(key))
    card.plain = True
    with PivToken(card) as token:
        (held,) = token.certificates()
        token.login(PIN)
        with pytest.raises(KeyUnsuitable, match="secp521r1"):
            token.generate_pair(held)
        with pytest.raises(KeyUnsuitable, match="secp521r1"):
            token.sign(held, b"text")
