"""Renewal on a key of software, at the authority for tests."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from renewal_parties import CmpAuthority, new_key
from software_token import SEAL, SoftwareToken, key_id

from ukey_client.errors import CertificateAbsent, KeyAbsent, TokenFailed, TokenFull
from ukey_client.renewal import RenewalRefused, Terms, renew
from ukey_client.token import HeldCertificate


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CmpAuthority]:
    with CmpAuthority(tmp_path_factory.mktemp("ca")) as authority:
        yield authority


@pytest.mark.parametrize("kind", ["p256", "p384", "p521", "rsa2048"])
@pytest.mark.parametrize("implicit", [False, True])
def test_the_certificate_is_renewed_and_only_the_new_pair_is_left(
    authority: CmpAuthority, kind: str, implicit: bool
) -> None:
    token, old = authority.new_holder(kind)
    new = renew(
        token,
        old,
        authority.cmp_url,
        ca_certificates=[authority.ca.root],
        terms=Terms(implicit_confirm=implicit),
    )
    assert token.certificates() == [new]
    assert set(token.private) == set(token.public) == set(token.certs) == {new.id}
    assert new.id != old.id
    assert new.label == old.label
    assert {label for _, label in token.private.values()} == {old.label}
    assert new.certificate.subject == old.certificate.subject
    assert new.unit_identifier == old.unit_identifier is not None
    assert new.not_after == old.not_after + timedelta(days=365)
    assert authority.works(token, new)
    assert token.seal_picture() == SEAL


def renewed(
    authority: CmpAuthority, token: SoftwareToken, old: HeldCertificate, terms: Terms | None = None
) -> HeldCertificate:
    return renew(token, old, authority.cmp_url, ca_certificates=[authority.ca.root], terms=terms)


def test_it_can_be_renewed_again_and_again(authority: CmpAuthority) -> None:
    token, held = authority.new_holder()
    for _ in range(3):
        before = held
        held = renewed(authority, token, held)
        assert held.not_after > before.not_after
        assert held.label == before.label
    assert token.certificates() == [held]


def test_an_expired_certificate_is_renewed_from_now_on(authority: CmpAuthority) -> None:
    token, old = authority.new_holder(age=timedelta(days=100), days=30)
    new = renewed(authority, token, old)
    assert token.certificates() == [new]
    assert new.not_after - authority.clock.now() > timedelta(days=364)


def test_a_certificate_expired_too_long_ago_is_not(authority: CmpAuthority) -> None:
    token, old = authority.new_holder(age=timedelta(days=500), days=30)
    with pytest.raises(RenewalRefused, match=f"{old.not_after.astimezone():%Y-%m-%d} 过期"):
        renewed(authority, token, old)
    assert token.certificates() == [old]
    assert set(token.private) == {old.id}


def test_a_revoked_certificate_is_not(authority: CmpAuthority) -> None:
    token, old = authority.new_holder()
    authority.ca.revoke(old.certificate.serial_number)
    with pytest.raises(RenewalRefused, match="吊销") as caught:
        renewed(authority, token, old)
    assert caught.value.fail_info == {"certRevoked"}
    assert set(token.private) == {old.id}


def test_a_clock_that_is_wrong_is_told(authority: CmpAuthority) -> None:
    token, old = authority.new_holder()
    late = Terms(now=lambda: authority.clock.now() + timedelta(hours=1))
    with pytest.raises(RenewalRefused, match="时间"):
        renewed(authority, token, old, late)
    assert token.certificates() == [old]


def test_a_certificate_that_is_not_on_the_key(authority: CmpAuthority) -> None:
    token, _ = authority.new_holder()
    _, other = authority.new_holder()
    with pytest.raises(CertificateAbsent):
        renewed(authority, token, other)


def test_a_certificate_without_its_key(authority: CmpAuthority) -> None:
    token, old = authority.new_holder()
    del token.private[old.id]
    with pytest.raises(KeyAbsent):
        renewed(authority, token, old)
    assert set(token.public) == {old.id}


class Full(SoftwareToken):
    def install_certificate(self, der: bytes, id_: bytes, label: str) -> HeldCertificate:
        del der, id_, label
        raise TokenFull


def test_a_full_key_keeps_the_old_and_the_new_one_is_given_back(authority: CmpAuthority) -> None:
    good, old = authority.new_holder()
    full = Full(good.private, good.public, good.certs, good.data)
    with pytest.raises(TokenFull):
        renewed(authority, full, old)
    assert full.certificates() == [old]
    assert set(full.private) == set(full.public) == {old.id}
    issued = authority.ca.register.holders()[-1].certificate
    assert issued.serial_number != old.certificate.serial_number
    assert authority.ca.is_revoked(issued.serial_number)


class Unlabelled(SoftwareToken):
    """A key that lets no label be changed."""

    def relabel(self, id_: bytes, label: str) -> None:
        del id_, label
        raise TokenFailed("修改标签", "AttributeReadOnly")


def test_a_key_whose_labels_are_fixed_keeps_the_mark(authority: CmpAuthority) -> None:
    good, old = authority.new_holder()
    token = Unlabelled(good.private, good.public, good.certs, good.data)
    new = renewed(authority, token, old)
    assert token.certificates() == [new]
    assert new.label.startswith(f"{old.label}（续期 ")
    # Asked again at once, there is nothing to do; asked when it is time, it is renewed.
    assert renewed(authority, token, new) == new
    authority.clock.set(new.not_after - timedelta(days=30))
    try:
        newer = renewed(authority, token, new, Terms(now=authority.clock.now))
    finally:
        authority.clock.reset()
    assert token.certificates() == [newer]
    assert newer.not_after > new.not_after
    assert newer.label.count("（续期 ") == 1


def test_other_certificates_and_keys_of_the_holder_stay(authority: CmpAuthority) -> None:
    """Of the same unit and under the same label: another certificate, and a bare pair."""
    token, old = authority.new_holder()
    other_key, bare_key = new_key("p256"), new_key("p256")
    unit = authority.ca.register.holders()[-1].unit
    assert unit is not None
    other = token.holds(other_key, authority.ca.issue(other_key.public_key(), unit), old.label)
    bare = key_id(bare_key)
    token.private[bare], token.public[bare] = (bare_key, old.label), old.label
    new = renewed(authority, token, old)
    assert set(token.private) == set(token.public) == {new.id, other.id, bare}
    assert set(token.certs) == {new.id, other.id}
