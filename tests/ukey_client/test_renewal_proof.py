"""A new certificate is accepted only once it reads back whole and its key signs."""

from collections.abc import Iterator

import pytest
from renewal_parties import CmpAuthority
from software_token import SEAL, SoftwareToken

from ukey_client.renewal import CertificateUnacceptable, Terms, renew
from ukey_client.renewal.cmp.message import CertConf
from ukey_client.token import HeldCertificate, Pair
from ukey_harness.world.ca.cmp.responder import Responder
from ukey_harness.world.ca.cmp.transactions import Transaction


class Altering(SoftwareToken):
    """A key that says it wrote the certificate, and reads it back with a changed byte."""

    def install_certificate(self, der: bytes, id_: bytes, label: str) -> HeldCertificate:
        super().install_certificate(der[:-1] + bytes([der[-1] ^ 1]), id_, label)
        return HeldCertificate(id_, label, der)


class Forgetting(SoftwareToken):
    """A key that says it wrote the certificate, and has none."""

    def install_certificate(self, der: bytes, id_: bytes, label: str) -> HeldCertificate:
        return HeldCertificate(id_, label, der)


class Missigning(SoftwareToken):
    """A key whose new pair, once the certificate is there, signs something else than it is given.

    Before that it signs well, or the CA would see no proof of possession.
    """

    made: bytes | None = None

    def generate_pair(self, like: HeldCertificate, label: str | None = None) -> Pair:
        pair = super().generate_pair(like, label)
        self.made = pair.id
        return pair

    def sign_with(self, id_: bytes, data: bytes, digest: str = "sha256") -> bytes:
        is_new = id_ == self.made and id_ in self.certs
        return super().sign_with(id_, data + b"?" if is_new else data, digest)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CmpAuthority]:
    with CmpAuthority(tmp_path_factory.mktemp("ca")) as authority:
        yield authority


@pytest.fixture
def confirmations(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Keep what the CA takes each certConf for: whether the certificate is accepted."""
    heard: list[bool] = []
    accepted = Responder._accepted

    def listen(self: Responder, confirmation: CertConf, transaction: Transaction) -> bool:
        heard.append(accepted(self, confirmation, transaction))
        return heard[-1]

    monkeypatch.setattr(Responder, "_accepted", listen)
    return heard


@pytest.mark.parametrize("kind", ["p256", "rsa2048"])
@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
@pytest.mark.parametrize(
    ("double", "fault"),
    [
        (Altering, "读回的内容不一致"),
        (Forgetting, "读回的内容不一致"),
        (Missigning, "新密钥的签名没有通过"),
    ],
)
def test_what_is_not_proven_is_not_accepted(
    authority: CmpAuthority,
    confirmations: list[bool],
    double: type[SoftwareToken],
    fault: str,
    implicit: bool,
    kind: str,
) -> None:
    good, old = authority.new_holder(kind)
    token = double(good.private, good.public, good.certs, good.data)
    with pytest.raises(CertificateUnacceptable, match=fault):
        renew(
            token,
            old,
            authority.cmp_url,
            ca_certificates=[authority.ca.root],
            terms=Terms(implicit_confirm=implicit),
        )
    # With implicit confirmation the CA waits for no message, and gets none.
    assert confirmations == ([] if implicit else [False])
    assert token.certificates() == [old]
    assert set(token.private) == set(token.public) == set(token.certs) == {old.id}
    assert authority.works(token, old)
    assert token.seal_picture() == SEAL
    issued = authority.ca.register.holders()[-1].certificate
    assert issued.serial_number != old.certificate.serial_number
    assert implicit or authority.ca.is_revoked(issued.serial_number)


def test_the_same_holder_renews_on_a_key_that_keeps_what_it_is_given(
    authority: CmpAuthority, confirmations: list[bool]
) -> None:
    token, old = authority.new_holder()
    new = renew(token, old, authority.cmp_url, ca_certificates=[authority.ca.root])
    assert confirmations == [True]
    assert token.certificates() == [new]
