"""A renewal that breaks: whatever happens, the key still logs in, and the next run mends it."""

from collections.abc import Iterator

import pytest
from renewal_parties import WAYS, CmpAuthority
from software_token import SEAL, SoftwareToken

from ukey_client.errors import HolderError, TokenRemoved
from ukey_client.renewal import Terms, renew
from ukey_client.renewal.cmp.message import CertConf
from ukey_client.token import HeldCertificate
from ukey_harness.world.ca.cmp.responder import Responder
from ukey_harness.world.ca.cmp.transactions import Transaction

EXCHANGES = {"explicit": 2, "implicit": 1}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CmpAuthority]:
    with CmpAuthority(tmp_path_factory.mktemp("ca")) as authority:
        yield authority


@pytest.fixture(autouse=True)
def _mended(authority: CmpAuthority) -> None:
    authority.wire.mend()


def renewed(
    authority: CmpAuthority, token: SoftwareToken, held: HeldCertificate, *, implicit: bool = False
) -> HeldCertificate:
    return renew(
        token,
        held,
        authority.cmp_url,
        ca_certificates=[authority.ca.root],
        terms=Terms(implicit_confirm=implicit),
    )


def check_after_break(
    authority: CmpAuthority, token: SoftwareToken, old: HeldCertificate, *, choice: int
) -> None:
    """Check that the key works, and that the next run, whatever is chosen, brings it to its end."""
    usable = [one for one in token.certificates() if authority.works(token, one)]
    assert usable, "no certificate on the key logs in any more"
    assert token.seal_picture() == SEAL
    shown = token.certificates()
    new = renewed(authority, token, shown[choice % len(shown)])
    assert token.certificates() == [new]
    assert set(token.private) == set(token.public) == set(token.certs) == {new.id}
    assert {new.label, token.public[new.id], token.private[new.id][1]} == {old.label}
    assert new.not_after > old.not_after
    assert authority.works(token, new)
    assert token.seal_picture() == SEAL


def count_steps(authority: CmpAuthority, *, implicit: bool) -> int:
    token, old = authority.new_holder()
    renewed(authority, token, old, implicit=implicit)
    return token.steps


@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
@pytest.mark.parametrize("lose_answer", [False, True], ids=["undone", "done"])
@pytest.mark.parametrize("choice", [0, -1], ids=["first", "last"])
def test_the_key_is_pulled_out_at_every_step(
    authority: CmpAuthority, implicit: bool, lose_answer: bool, choice: int
) -> None:
    steps = count_steps(authority, implicit=implicit)
    assert steps > 15
    for number in range(1, steps + 1):
        token, old = authority.new_holder()
        token.break_at, token.lose_answer = number, lose_answer
        with pytest.raises(TokenRemoved):
            renewed(authority, token, old, implicit=implicit)
        token.mend()
        check_after_break(authority, token, old, choice=choice)


@pytest.fixture
def strict(authority: CmpAuthority, monkeypatch: pytest.MonkeyPatch) -> CmpAuthority:
    """Let the authority revoke the old certificate as soon as the new one is confirmed."""
    accepted = Responder._accepted

    def accept_and_revoke(
        self: Responder, confirmation: CertConf, transaction: Transaction
    ) -> bool:
        is_accepted = accepted(self, confirmation, transaction)
        if is_accepted:
            authority.ca.revoke(transaction.signer.serial_number, "superseded")
        return is_accepted

    monkeypatch.setattr(Responder, "_accepted", accept_and_revoke)
    return authority


@pytest.mark.parametrize("lose_answer", [False, True], ids=["undone", "done"])
@pytest.mark.parametrize("choice", [0, -1], ids=["first", "last"])
def test_the_key_is_pulled_out_while_the_old_certificate_is_revoked(
    strict: CmpAuthority, lose_answer: bool, choice: int
) -> None:
    """The confirmation may not be sent before the new certificate is proven on the key."""
    for number in range(1, count_steps(strict, implicit=False) + 1):
        token, old = strict.new_holder()
        token.break_at, token.lose_answer = number, lose_answer
        with pytest.raises(TokenRemoved):
            renewed(strict, token, old)
        token.mend()
        check_after_break(strict, token, old, choice=choice)


@pytest.mark.parametrize("way", WAYS)
def test_the_server_breaks_while_the_old_certificate_is_revoked(
    strict: CmpAuthority, way: str
) -> None:
    token, old = strict.new_holder()
    strict.wire.spoil(2, way)
    with pytest.raises(HolderError):
        renewed(strict, token, old)
    strict.wire.mend()
    check_after_break(strict, token, old, choice=0)


@pytest.mark.parametrize("lose_answer", [False, True], ids=["undone", "done"])
def test_the_key_is_pulled_out_again_while_the_break_is_mended(
    authority: CmpAuthority, lose_answer: bool
) -> None:
    """Two breaks: at each step of the run that mends a break between installing and the end."""
    steps = count_steps(authority, implicit=False)
    for first in range(9, steps, 4):
        number = 0
        while True:
            number += 1
            token, old = authority.new_holder()
            token.break_at = first
            with pytest.raises(TokenRemoved):
                renewed(authority, token, old)
            token.steps, token.break_at, token.lose_answer = 0, number, lose_answer
            shown = list(token.certs)
            try:
                # As the holder would: with what can still be chosen.
                token_id = next(id_ for id_ in shown if id_ in token.private)
                held = HeldCertificate(token_id, *reversed(token.certs[token_id]))
                renewed(authority, token, held)
            except TokenRemoved:
                token.mend()
                check_after_break(authority, token, old, choice=0)
            else:
                break
        assert number > 1


@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("choice", [0, -1], ids=["first", "last"])
def test_the_server_breaks_at_every_message(
    authority: CmpAuthority, implicit: bool, way: str, choice: int
) -> None:
    for exchange in range(1, EXCHANGES["implicit" if implicit else "explicit"] + 1):
        token, old = authority.new_holder()
        authority.wire.spoil(exchange, way)
        with pytest.raises(HolderError) as caught:
            renewed(authority, token, old, implicit=implicit)
        assert caught.value.message
        authority.wire.mend()
        check_after_break(authority, token, old, choice=choice)


@pytest.mark.parametrize("way", WAYS)
def test_the_server_breaks_while_a_break_is_mended(authority: CmpAuthority, way: str) -> None:
    """Both certificates lie on the key, and the question about the new one gets no answer."""
    token, old = authority.new_holder()
    authority.wire.spoil(2, "lost")
    with pytest.raises(HolderError):
        renewed(authority, token, old)
    assert len(token.certificates()) == 2
    authority.wire.spoil(1, way)
    try:
        renewed(authority, token, old)
    except HolderError:
        authority.wire.mend()
        assert len(token.certificates()) == 2
        check_after_break(authority, token, old, choice=0)
    else:
        # An answer that cannot be trusted decides nothing: the renewal was made once more.
        assert len(token.certificates()) == 1


def test_an_interrupt_leaves_what_the_next_run_mends(authority: CmpAuthority) -> None:
    """Ctrl-C is no HolderError: nothing is tidied up then."""
    token, old = authority.new_holder()

    class Interrupted(BaseException):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupted

    install, token.install_certificate = token.install_certificate, interrupt  # type: ignore[method-assign, assignment]
    with pytest.raises(Interrupted):
        renewed(authority, token, old)
    token.install_certificate = install  # type: ignore[method-assign]
    assert len(token.private) == 2
    check_after_break(authority, token, old, choice=0)
