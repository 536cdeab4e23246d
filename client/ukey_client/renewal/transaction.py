"""A CMP transaction as the holder leads it (RFC 9483 §4.1.3, §4.3.1, §4.4)."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ukey_client.errors import KeyUnsuitable
from ukey_client.renewal.cmp.certificates import parse_certificate
from ukey_client.renewal.cmp.decode import decode
from ukey_client.renewal.cmp.encode import (
    Protector,
    Sendable,
    certificate_request,
    encode,
    nonce,
)
from ukey_client.renewal.cmp.message import (
    CERT_REQ_ID,
    CERT_REQ_ID_NONE,
    NONCE_SIZE,
    CertConf,
    CertId,
    CertRep,
    CertStatus,
    ErrorMsg,
    General,
    Header,
    MalformedMessage,
    Message,
    PkiConf,
    PKIStatus,
    PollRep,
    PollReq,
    SignatureAlgorithm,
    rejected,
)
from ukey_client.renewal.cmp.protection import AlgorithmRefused, algorithm_for, digest
from ukey_client.renewal.errors import (
    AnswerOdd,
    RenewalPending,
    RenewalRefused,
    ResponseUntrusted,
)
from ukey_client.renewal.transfer import Transfer
from ukey_client.renewal.trust import Trust
from ukey_client.token.port import Pair

Sign = Callable[[bytes], bytes]

_GRANTED = (PKIStatus.ACCEPTED, PKIStatus.GRANTED_WITH_MODS)


def system_clock() -> datetime:
    """Return the machine's time in whole seconds, UTC."""
    return datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True)
class Terms:
    """How a transaction is to be led.

    `now` gives the time, aware; `patience` is how long a CA that says "waiting" is polled;
    `implicit_confirm` asks the CA to do without a confirmation.
    """

    now: Callable[[], datetime] = system_clock
    patience: timedelta = timedelta(minutes=2)
    implicit_confirm: bool = False
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Granted:
    """A certificate (DER) that the CA has issued; `confirmed` if it wants no certConf."""

    certificate: bytes
    confirmed: bool
    extra_certs: tuple[bytes, ...] = field(repr=False)


class Transaction:
    """One transaction, protected by the key of `certificate`, with which `sign` signs.

    Every method raises Unreachable, AnswerOdd, ResponseUntrusted or RenewalRefused.
    """

    def __init__(
        self,
        transfer: Transfer,
        trust: Trust,
        terms: Terms,
        certificate: x509.Certificate,
        sign: Sign,
    ) -> None:
        self._transfer = transfer
        self._trust = trust
        self._terms = terms
        self._certificate = certificate
        self._id = nonce()
        self._last_nonce: bytes | None = None
        self._protector = Protector(
            _algorithm(certificate.public_key()),
            sign,
            [certificate.public_bytes(Encoding.DER)],
        )

    def update(self, pair: Pair, sign: Sign) -> Granted:
        """Ask for the successor of the certificate, for a new pair with which `sign` signs.

        RenewalPending if the CA has not decided in time.
        """
        issuer = self._certificate.issuer.public_bytes()
        request = certificate_request(
            "kur",
            issuer=issuer,
            subject=self._certificate.subject.public_bytes(),
            public_key=pair.public_key.public_bytes(
                Encoding.DER, PublicFormat.SubjectPublicKeyInfo
            ),
            algorithm=_algorithm(pair.public_key),
            sign=sign,
            old_cert_id=CertId(issuer, self._certificate.serial_number),
        )
        message = self._poll(self._ask(request))
        reply = message.body
        if not isinstance(reply, CertRep) or reply.kind != "kup":
            raise self._odd(message)
        if reply.status.status not in _GRANTED:
            raise RenewalRefused(reply.status)
        if reply.cert_req_id != CERT_REQ_ID or reply.certificate is None:
            raise self._odd(message)
        confirmed = self._terms.implicit_confirm and message.header.implicit_confirm
        return Granted(reply.certificate, confirmed, message.extra_certs)

    def confirm(self, certificate: x509.Certificate) -> None:
        """Tell the CA that its certificate is accepted (RFC 9810 §5.3.18)."""
        try:
            self._settle(self._status_of(certificate))
        except RenewalRefused as error:
            if "certConfirmed" not in error.fail_info:
                raise

    def turn_down(self, certificate: bytes, reason: str) -> None:
        """Tell the CA that its certificate (DER) is not accepted."""
        refusal = rejected("incorrectData", reason)
        try:
            status = self._status_of(parse_certificate(certificate))
        except MalformedMessage:
            status = CertStatus(digest("sha256", certificate), CERT_REQ_ID)
        self._settle(CertStatus(status.cert_hash, CERT_REQ_ID, refusal, status.hash_alg))

    def ask_for_ca_certificates(self) -> None:
        """Ask for the CA's certificates: the CA answers only to whom it knows (§4.3.1)."""
        message = self._ask(General("genm", (("ca_certs", None),)))
        if not isinstance(message.body, General):
            raise self._odd(message)

    def _status_of(self, certificate: x509.Certificate) -> CertStatus:
        """Hash a certificate with the hash of its own signature (RFC 9810 §5.3.18)."""
        der = certificate.public_bytes(Encoding.DER)
        signed_with = certificate.signature_hash_algorithm
        try:
            hashed = digest(signed_with.name if signed_with else "", der)
        except AlgorithmRefused:
            return CertStatus(digest("sha256", der), CERT_REQ_ID, hash_alg="sha256")
        return CertStatus(hashed, CERT_REQ_ID)

    def _settle(self, status: CertStatus) -> None:
        message = self._ask(CertConf((status,)), pvno=3 if status.hash_alg else 2)
        if not isinstance(message.body, PkiConf):
            raise self._odd(message)

    def _poll(self, message: Message) -> Message:
        """Poll while the CA says "waiting", at most as long as there is patience (§4.4)."""
        if not _is_waiting(message):
            return message
        left = self._terms.patience.total_seconds()
        # -1 stands for the whole answer (RFC 9810 §5.3.22).
        whole = isinstance(message.body, ErrorMsg)
        poll = PollReq(CERT_REQ_ID_NONE if whole else CERT_REQ_ID)
        while True:
            message = self._ask(poll)
            seconds = 1
            reason: tuple[str, ...] = ()
            if isinstance(message.body, PollRep):
                seconds, reason = max(message.body.check_after, 1), message.body.reason
            elif not _is_waiting(message):
                return message
            if seconds > left:
                raise RenewalPending(seconds, reason)
            left -= seconds
            self._terms.sleep(seconds)

    def _ask(self, body: Sendable, *, pvno: int = 2) -> Message:
        """Send one message; return the answer, after it has been checked (RFC 9483 §3.5)."""
        fresh = nonce()
        header = Header(
            sender=self._certificate.subject.public_bytes(),
            recipient=self._certificate.issuer.public_bytes(),
            pvno=pvno,
            message_time=self._terms.now().astimezone(UTC).replace(microsecond=0),
            sender_kid=_key_identifier(self._certificate),
            transaction_id=self._id,
            sender_nonce=fresh,
            recip_nonce=self._last_nonce,
            implicit_confirm=body.kind == "kur" and self._terms.implicit_confirm,
        )
        answer = self._transfer.send(encode(header, body, self._protector))
        try:
            message = decode(answer)
        except MalformedMessage as error:
            raise AnswerOdd(self._transfer.url, "应答不是 CMP 消息") from error
        self._trust.check_protection(message, self._certificate)
        if message.header.transaction_id != self._id:
            raise ResponseUntrusted("应答属于另一笔交易")
        if message.header.recip_nonce != fresh:
            raise ResponseUntrusted("应答不是对本次请求的回答")
        self._last_nonce = message.header.sender_nonce
        if self._last_nonce is None or len(self._last_nonce) < NONCE_SIZE:
            raise ResponseUntrusted("应答没有随机数")
        if isinstance(message.body, ErrorMsg) and not _is_waiting(message):
            raise RenewalRefused(message.body.status, message.body.details)
        return message

    def _odd(self, message: Message) -> AnswerOdd:
        return AnswerOdd(self._transfer.url, f"不该出现的应答 {message.body.kind}")


def _algorithm(public_key: CertificatePublicKeyTypes) -> SignatureAlgorithm:
    try:
        return algorithm_for(public_key)
    except AlgorithmRefused as error:
        raise KeyUnsuitable(type(public_key).__name__) from error


def _is_waiting(message: Message) -> bool:
    return (
        isinstance(message.body, CertRep | ErrorMsg)
        and message.body.status.status is PKIStatus.WAITING
    )


def _key_identifier(certificate: x509.Certificate) -> bytes:
    """Return the key identifier in the certificate, or what it would be (RFC 9483 §3.1)."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        return x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest
    return extension.value.digest
