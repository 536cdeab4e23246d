"""Renewal on a key of software, at the authority for tests."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from renewal_parties import CmpAuthority
from software_token import SEAL

from ukey_client.renewal import Terms, renew


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
