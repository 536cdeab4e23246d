"""The renewal of a certificate on a key, such that a break at any step leaves a key that works.

PKCS#11 knows no transaction over several objects, and no exchange of a certificate for another:
so old and new lie on the key side by side until the new one is proven, and the order of the
steps is all the safety there is:

1. A new pair is made on the key, marked as the successor of the old certificate.
2. The CA is asked for its certificate, by a kur that the old key signs.
3. The certificate is written, read back, and its key signs: only now it is accepted.
4. The acceptance is confirmed to the CA (certConf). Had it been confirmed before step 3, a break
   between the two could leave the holder with neither, at a CA that revokes the old one then.
5. The old pair and certificate are removed, the mark is taken off.

A break before 3 leaves a marked pair without certificate: the next run removes it and starts
anew. A break between 3 and 5 leaves both: the next run asks the CA, by a message that the new key
signs, whether it knows the new certificate. If it does, step 5 follows, if not, step 1.
The picture of the seal is not touched.
"""

import contextlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Final

from cryptography import x509

from ukey_client.errors import (
    CertificateAbsent,
    HolderError,
    KeyAbsent,
    KeyUnsuitable,
    RenewalFailed,
    TokenFailed,
    Unreachable,
)
from ukey_client.renewal import unfinished
from ukey_client.renewal.acceptance import check_successor
from ukey_client.renewal.cmp.protection import (
    AlgorithmRefused,
    SignatureWrong,
    algorithm_for,
    verify,
)
from ukey_client.renewal.errors import (
    AnswerOdd,
    CertificateUnacceptable,
    RenewalRefused,
    RenewalUnconfirmed,
    ResponseUntrusted,
)
from ukey_client.renewal.transaction import Granted, Terms, Transaction
from ukey_client.renewal.transfer import Transfer
from ukey_client.renewal.trust import Trust
from ukey_client.token.port import HeldCertificate, Holding, Pair, Token

# What a CA says to one whose certificate it has not, or no longer, in force.
_UNKNOWN_SIGNER: Final = frozenset({"signerNotTrusted", "certRevoked"})
# A renewed certificate has more left than this; renewal opens 90 days before the end.
_FRESH: Final = timedelta(days=90)
_PROOF: Final = b"ukeylab: proof that the renewed key signs\n"


def renew(
    token: Token,
    certificate: HeldCertificate,
    cmp_url: str,
    *,
    ca_certificates: Sequence[x509.Certificate],
    terms: Terms | None = None,
) -> HeldCertificate:
    """Renew a certificate on a key, after login, at the CMP server of its CA.

    `ca_certificates` are the trust anchors for what the CA answers and issues. Returns the new
    certificate as it lies on the key, where the old one and its pair are no more.

    If an earlier renewal broke, it is finished or repeated. Raises HolderError: RenewalFailed
    with its subclasses for what the CA says, TokenError for what the key does, Unreachable. The
    key has a working pair and certificate in each case, and `renew` can be called again.
    """
    terms = terms or Terms()
    trust = Trust(ca_certificates, token.authorities(), terms.now)
    with Transfer(cmp_url) as transfer:
        return _Renewal(token, transfer, trust, terms).run(certificate)


class _Renewal:
    """One run of a renewal."""

    def __init__(self, token: Token, transfer: Transfer, trust: Trust, terms: Terms) -> None:
        self._token = token
        self._transfer = transfer
        self._trust = trust
        self._terms = terms

    def run(self, certificate: HeldCertificate) -> HeldCertificate:
        """Finish what an earlier run began, or renew."""
        holdings = self._token.holdings()
        current = _find(holdings, certificate)
        old = unfinished.predecessor(holdings, current) or current
        candidates = unfinished.successors(holdings, old)
        if candidates:
            return self._finish(holdings, old, candidates) or self._renew(old)
        if unfinished.is_marked(old.label):
            # What it was to succeed has gone: only taking off the mark was left to do.
            old = self._unmark(old)
            if old.not_after - self._terms.now() > _FRESH:
                return old
        if not unfinished.has_key(holdings, old):
            raise KeyAbsent(old.owner)
        return self._renew(old)

    def _finish(
        self, holdings: list[Holding], old: HeldCertificate, candidates: list[HeldCertificate]
    ) -> HeldCertificate | None:
        """Complete an earlier run with one of its certificates; None if none is good.

        Those that are surely not good are removed, unless the old pair has gone already.
        """
        old_works = unfinished.has_key(holdings, old)
        for new in candidates:
            known = self._is_proven(new) and (not old_works or self._is_in_force(new))
            if known:
                return self._conclude(new, old)
            if known is False and old_works:
                self._token.remove(new.id)
        if not old_works:
            raise KeyAbsent(old.owner)
        return None

    def _is_proven(self, new: HeldCertificate) -> bool:
        try:
            self._prove(new)
        except (KeyAbsent, KeyUnsuitable, CertificateUnacceptable):
            return False
        return True

    def _is_in_force(self, new: HeldCertificate) -> bool | None:
        """Ask the CA by a message that the new key signs; None if it gives no clear answer."""
        try:
            self._transaction(new).ask_for_ca_certificates()
        except RenewalRefused as error:
            return False if error.fail_info & _UNKNOWN_SIGNER else None
        except (ResponseUntrusted, AnswerOdd):
            return None
        return True

    def _renew(self, old: HeldCertificate) -> HeldCertificate:
        for id_ in unfinished.orphans(self._token.holdings(), old):
            self._token.remove(id_)
        label = unfinished.marked_label(old)
        pair = self._token.generate_pair(old, label)
        transaction = self._transaction(old)
        with self._removing(pair):
            granted = transaction.update(pair, self._signer(pair.id))
            try:
                new = check_successor(old, granted.certificate, pair)
                self._trust.check_certificate(new.certificate, granted.extra_certs)
                installed = self._token.install_certificate(new.der, pair.id, label)
                self._prove(installed)
            except HolderError as error:
                self._turn_down(transaction, granted, error)
                raise
            self._confirm(transaction, granted, installed)
        return self._conclude(installed, old)

    def _confirm(
        self, transaction: Transaction, granted: Granted, installed: HeldCertificate
    ) -> None:
        if granted.confirmed:
            return
        try:
            transaction.confirm(installed.certificate)
        except (RenewalFailed, Unreachable) as error:
            # Whether the CA holds it for confirmed is not sure, even if it says no: both stay,
            # and the next run asks.
            raise RenewalUnconfirmed(error.message.partition("。")[0]) from error

    def _conclude(self, new: HeldCertificate, old: HeldCertificate) -> HeldCertificate:
        """Remove the old one, and others that were to succeed it; the new one is the only."""
        holdings = self._token.holdings()
        for other in unfinished.successors(holdings, old):
            if other.id != new.id:
                self._token.remove(other.id)
        for id_ in unfinished.orphans(holdings, old):
            self._token.remove(id_)
        self._token.remove(old.id)
        return self._unmark(new)

    def _unmark(self, new: HeldCertificate) -> HeldCertificate:
        # A key that does not let labels be changed keeps the mark, which does no harm.
        with contextlib.suppress(TokenFailed):
            self._token.relabel(new.id, unfinished.plain_label(new.label))
        held = self._token.certificate_by_id(new.id)
        if held is None:
            raise CertificateAbsent(f"序列号 {new.serial}")
        return held

    def _prove(self, new: HeldCertificate) -> None:
        """Read the certificate back, and have its key sign what it verifies."""
        read_back = self._token.certificate_by_id(new.id)
        if read_back is None or read_back.der != new.der:
            raise CertificateUnacceptable("写入后读回的内容不一致")
        data = _PROOF + secrets.token_bytes(32)
        signature = self._token.sign(read_back, data)
        public_key = read_back.certificate.public_key()
        try:
            verify(public_key, algorithm_for(public_key), signature, data)
        except (SignatureWrong, AlgorithmRefused) as error:
            raise CertificateUnacceptable("新密钥的签名没有通过新证书的验证") from error

    def _turn_down(self, transaction: Transaction, granted: Granted, error: HolderError) -> None:
        """Tell the CA that its certificate is not used; if that fails, it will time out."""
        if granted.confirmed:
            return
        with contextlib.suppress(HolderError):
            transaction.turn_down(granted.certificate, type(error).__name__)

    @contextlib.contextmanager
    def _removing(self, pair: Pair) -> Iterator[None]:
        """Remove the new pair if the renewal fails for sure; the next run would do so too."""
        try:
            yield
        except RenewalUnconfirmed:
            raise
        except HolderError:
            with contextlib.suppress(HolderError):
                self._token.remove(pair.id)
            raise

    def _transaction(self, certificate: HeldCertificate) -> Transaction:
        return Transaction(
            self._transfer,
            self._trust,
            self._terms,
            certificate.certificate,
            self._signer(certificate.id),
        )

    def _signer(self, id_: bytes) -> Callable[[bytes], bytes]:
        return lambda data: self._token.sign_with(id_, data)


def _find(holdings: list[Holding], certificate: HeldCertificate) -> HeldCertificate:
    """Find a certificate on the key as it is now: its label may have changed."""
    for one in holdings:
        if one.certificate is not None and one.certificate.der == certificate.der:
            return one.certificate
    raise CertificateAbsent(f"序列号 {certificate.serial}")
