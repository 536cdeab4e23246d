"""Renewal on a PIV card of software, at the authority for tests, and broken at every command."""

from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from renewal_parties import CmpAuthority, new_key
from software_card import SoftwareCard

from ukey_client.errors import TokenFailed, TokenFull, TokenRemoved
from ukey_client.renewal import renew
from ukey_client.token import HeldCertificate
from ukey_client.token.piv import objects
from ukey_client.token.piv.slots import LABELS, PRIMARY, RETIRED, certificate_tag
from ukey_client.token.piv.token import PivToken

PIN = "123456"
YUBICO, OLDER, PLAIN = "yubico", "older", "plain"
CARDS = pytest.mark.parametrize("make", [YUBICO, OLDER, PLAIN])


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CmpAuthority]:
    with CmpAuthority(tmp_path_factory.mktemp("ca")) as authority:
        yield authority


def card_of(make: str) -> SoftwareCard:
    return SoftwareCard(plain=make == PLAIN, version=bytes([5, 7 if make == YUBICO else 4, 0]))


def new_holder(authority: CmpAuthority, card: SoftwareCard, kind: str = "p256") -> bytes:
    """Put a certificate of a new unit under 9A."""
    key = new_key(kind)
    certificate = authority.ca.issue(key.public_key(), authority.unit(), days=60)
    der = certificate.public_bytes(Encoding.DER)
    card.keys[0x9A] = key
    card.objects[certificate_tag(0x9A)] = objects.write_certificate(der)
    return der


def renewed(authority: CmpAuthority, card: SoftwareCard, der: bytes) -> HeldCertificate:
    with PivToken(card) as token:
        held = next(one for one in token.certificates() if one.der == der)
        token.login(PIN)
        return renew(token, held, authority.cmp_url, ca_certificates=[authority.ca.root])


def shown(card: SoftwareCard) -> list[HeldCertificate]:
    with PivToken(card) as token:
        return token.certificates()


def under(card: SoftwareCard) -> list[int]:
    return [one for one in [*PRIMARY, *RETIRED] if certificate_tag(one) in card.objects]


@CARDS
@pytest.mark.parametrize("kind", ["p256", "p384", "rsa2048"])
def test_only_the_new_pair_is_left(authority: CmpAuthority, make: str, kind: str) -> None:
    card = card_of(make)
    old = new_holder(authority, card, kind)
    before = shown(card)[0]
    new = renewed(authority, card, old)
    assert shown(card) == [new]
    assert new.id != before.id
    assert new.label == before.label
    assert new.not_after > before.not_after
    # Where keys can be moved, the new one has come to the old one's place; else it is beside it.
    assert under(card) == [0x9A if make == YUBICO else 0x9C]
    assert set(card.keys) == ({0x9A} if make == YUBICO else {0x9A, 0x9C})
    with PivToken(card) as token:
        token.login(PIN)
        assert authority.works(token, new)


def test_it_is_renewed_again_and_again(authority: CmpAuthority) -> None:
    for make in (YUBICO, OLDER, PLAIN):
        card = card_of(make)
        der = new_holder(authority, card)
        for _ in range(4):
            der = renewed(authority, card, der).der
        assert [one.der for one in shown(card)] == [der]


def test_other_keys_are_not_touched(authority: CmpAuthority) -> None:
    card = SoftwareCard()
    kept = {}
    for reference in (0x9D, 0x84):  # other holders' certificates
        new_holder(authority, card)
        kept[reference] = card.objects.pop(certificate_tag(0x9A))
        card.keys[reference] = card.keys.pop(0x9A)
        card.objects[certificate_tag(reference)] = kept[reference]
    for reference in (0x9C, 0x82):  # keys of which only their owner knows
        card.keys[reference] = new_key("p256")
    others = dict(card.keys)
    old = new_holder(authority, card)
    new = renewed(authority, card, old)
    assert {one: card.keys[one] for one in others} == others
    assert {one: card.objects[certificate_tag(one)] for one in kept} == kept
    assert new.der in {one.der for one in shown(card)}
    assert len(shown(card)) == 3


def test_a_full_card_is_not_renewed(authority: CmpAuthority) -> None:
    card = SoftwareCard()
    old = new_holder(authority, card)
    for reference in [*RETIRED, 0x9C, 0x9D]:
        card.keys[reference] = new_key("p256")
    keys = dict(card.keys)
    with pytest.raises(TokenFull):
        renewed(authority, card, old)
    assert card.keys == keys
    assert [one.der for one in shown(card)] == [old]


def test_a_card_that_keeps_no_labels_is_not_renewed(authority: CmpAuthority) -> None:
    card = SoftwareCard(plain=True, refused_objects=frozenset({LABELS}))
    old = new_holder(authority, card)
    keys = dict(card.keys)
    with pytest.raises(TokenFailed, match="6A81"):
        renewed(authority, card, old)
    assert card.keys == keys
    assert [one.der for one in shown(card)] == [old]


READING = {0xCB, 0xC0, 0xF7, 0xFD, 0x20, 0xA4}


def breaks(commands: list[bytes]) -> list[int]:
    """Choose the commands to break at: all that change something or sign, of the others some."""
    return [
        number
        for number, command in enumerate(commands, 1)
        if (command[1] not in READING and command[0] == 0) or number % 60 == 0
    ]


@pytest.mark.parametrize(("make", "lose_answer"), [(YUBICO, False), (YUBICO, True), (PLAIN, True)])
def test_the_card_is_pulled_out_at_every_command(
    authority: CmpAuthority, make: str, lose_answer: bool
) -> None:
    card = card_of(make)
    renewed(authority, card, new_holder(authority, card))
    points = breaks(card.commands)
    assert len(points) > 25
    for number in points:
        card = card_of(make)
        old = new_holder(authority, card)
        card.break_at, card.lose_answer = number, lose_answer
        with pytest.raises(TokenRemoved):
            renewed(authority, card, old)
        card.mend()
        check_after_break(authority, card)


def check_after_break(authority: CmpAuthority, card: SoftwareCard) -> None:
    with PivToken(card) as token:
        token.login(PIN)
        held = token.certificates()
        assert any(authority.works(token, one) for one in held), "no certificate works any more"
    new = renewed(authority, card, held[-1].der)
    assert shown(card) == [new]
    with PivToken(card) as token:
        token.login(PIN)
        assert authority.works(token, new)
        assert {one.id for one in token.holdings() if one.has_private_key} == {new.id}
