"""The CMP server: takes one message, answers with one (RFC 9810 §5.3, RFC 9483 §4 and §5)."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding

from ukey_client.renewal.cmp.decode import decode
from ukey_client.renewal.cmp.encode import Protector, Sendable, ca_certificates, encode, nonce
from ukey_client.renewal.cmp.message import (
    ACCEPTED,
    CERT_REQ_ID,
    CERT_REQ_ID_NONE,
    CertConf,
    CertRep,
    CertReq,
    ErrorMsg,
    General,
    Header,
    Message,
    P10cr,
    PkiConf,
    PKIStatus,
)
from ukey_client.renewal.cmp.protection import AlgorithmRefused, algorithm_for, digest, sign
from ukey_harness.world.ca.authority import CertificateAuthority
from ukey_harness.world.ca.cmp import checks
from ukey_harness.world.ca.cmp.refusal import CmpRefusalError, refusal_of
from ukey_harness.world.ca.cmp.transactions import CONFIRM_WAIT, State, Transaction, Transactions
from ukey_harness.world.ca.errors import AuthorityError
from ukey_harness.world.clock import Clock

_REPLIES = {"ir": "ip", "cr": "cp", "p10cr": "cp", "kur": "kup"}
_SPOKEN = (2, 3)


@dataclass(frozen=True)
class _Answer:
    """A body, and what the header says about the confirmation of a certificate in it."""

    body: Sendable
    implicit_confirm: bool = False
    confirm_wait_time: datetime | None = None


class Responder:
    """Answers CMP messages for one authority; safe for use by many threads.

    Whoever holds an unrevoked certificate of this authority can have its successor, by kur or
    by ir, cr and p10cr, within the time that the authority renews in.
    """

    def __init__(self, ca: CertificateAuthority, clock: Clock) -> None:
        self._ca = ca
        self._clock = clock
        self._transactions = Transactions()
        self._lock = threading.Lock()
        identity = ca.identity("cmp")
        self._sender = identity.certificate.subject.public_bytes()
        self._sender_kid = x509.SubjectKeyIdentifier.from_public_key(
            identity.certificate.public_key()
        ).digest
        self._protector = Protector(
            algorithm_for(identity.certificate.public_key()),
            lambda part: sign(identity.key, part),
            [one.public_bytes(Encoding.DER) for one in (identity.certificate, ca.issuing)],
        )

    def answer(self, request: bytes) -> bytes:
        """Answer the DER of a message with the DER of another, protected by the authority.

        MalformedMessage where the request is no CMP message; everything else that is wrong with
        it comes out as an answer.
        """
        message = decode(request)
        fresh = nonce()
        with self._lock:
            self._revoke_overdue()
            try:
                answer = self._dispatch(message, fresh)
            except CmpRefusalError as refusal:
                answer = _Answer(ErrorMsg(refusal.status))
        asked = message.header
        header = Header(
            sender=self._sender,
            recipient=asked.sender,
            pvno=asked.pvno if asked.pvno in _SPOKEN else _SPOKEN[0],
            message_time=self._clock.now(),
            sender_kid=self._sender_kid,
            transaction_id=asked.transaction_id,
            sender_nonce=fresh,
            recip_nonce=asked.sender_nonce,
            implicit_confirm=answer.implicit_confirm,
            confirm_wait_time=answer.confirm_wait_time,
        )
        return encode(header, answer.body, self._protector)

    def _dispatch(self, message: Message, fresh: bytes) -> _Answer:
        header, body = message.header, message.body
        checks.check_header(header, self._clock.now())
        transaction = self._transactions.find(header.transaction_id or b"")
        signer = checks.find_signer(message, transaction.signer if transaction else None)
        checks.check_signer(signer, self._ca)
        if self._transactions.holds_unconfirmed(signer):
            raise CmpRefusalError(
                "signerNotTrusted", "证书尚未确认。", "the signer's certificate is unconfirmed"
            )
        match body:
            case CertReq() | P10cr():
                return self._certify(header, body, signer, fresh)
            case CertConf():
                return self._confirm(header, body, signer, transaction)
            case ErrorMsg():
                # RFC 9810 §5.3.21: a client's error is confirmed; it ends the transaction.
                if transaction and transaction.signer == signer:
                    self._reject(transaction)
                return _Answer(PkiConf())
            case General(kind="genm"):
                return self._inform(body)
            case _:
                raise CmpRefusalError("badRequest", f"{body.kind} is not served here")

    def _certify(
        self, header: Header, request: CertReq | P10cr, signer: x509.Certificate, fresh: bytes
    ) -> _Answer:
        transaction_id = header.transaction_id or b""
        if transaction_id in self._transactions:
            raise CmpRefusalError("transactionIdInUse", "this transactionID was used before")
        reply = _REPLIES[request.kind]
        cert_req_id = CERT_REQ_ID_NONE if isinstance(request, P10cr) else CERT_REQ_ID
        try:
            if isinstance(request, P10cr):
                public_key = checks.check_pkcs10(request, signer)
            else:
                public_key = checks.check_request(request, signer)
            certificate = self._renew(signer, public_key)
        except CmpRefusalError as refusal:
            return _Answer(CertRep(reply, cert_req_id, refusal.status))
        deadline = self._clock.now() + CONFIRM_WAIT
        implicit = header.implicit_confirm
        self._transactions.add(
            Transaction(
                id=transaction_id,
                signer=signer,
                certificate=certificate,
                cert_req_id=cert_req_id,
                state=State.CONFIRMED if implicit else State.UNCONFIRMED,
                deadline=deadline,
                nonce=fresh,
            )
        )
        body = CertRep(reply, cert_req_id, ACCEPTED, certificate.public_bytes(Encoding.DER))
        return _Answer(body, implicit, None if implicit else deadline)

    def _renew(self, signer: x509.Certificate, public_key: PublicKeyTypes) -> x509.Certificate:
        try:
            return self._ca.renew(signer, public_key)
        except AuthorityError as error:
            raise refusal_of(error, signer) from error

    def _confirm(
        self,
        header: Header,
        confirmation: CertConf,
        signer: x509.Certificate,
        transaction: Transaction | None,
    ) -> _Answer:
        if transaction is None or transaction.signer != signer:
            raise CmpRefusalError("badRequest", "there is no such transaction to confirm")
        if header.recip_nonce != transaction.nonce:
            raise CmpRefusalError("badRecipientNonce", "recipNonce is not our last senderNonce")
        if transaction.state is State.CONFIRMED:
            raise CmpRefusalError("certConfirmed", "the certificate is confirmed already")
        if transaction.state is State.REJECTED:
            raise CmpRefusalError("badRequest", "the certificate was rejected before")
        if self._accepted(confirmation, transaction):
            transaction.state = State.CONFIRMED
        else:
            self._reject(transaction)
        return _Answer(PkiConf())

    def _accepted(self, confirmation: CertConf, transaction: Transaction) -> bool:
        """RFC 9810 §5.3.18: an empty content, or a status of rejection, accepts nothing."""
        if not confirmation.statuses:
            return False
        if len(confirmation.statuses) > 1:
            raise CmpRefusalError("badRequest", "one certificate was issued, no more")
        status = confirmation.statuses[0]
        if status.cert_req_id != transaction.cert_req_id:
            raise CmpRefusalError("badRequest", f"certReqId must be {transaction.cert_req_id}")
        if status.status is not None and status.status.status is PKIStatus.REJECTION:
            return False
        certificate = transaction.certificate
        signed_with = certificate.signature_hash_algorithm
        name = status.hash_alg or (signed_with.name if signed_with else "sha256")
        try:
            expected = digest(name, certificate.public_bytes(Encoding.DER))
        except AlgorithmRefused as error:
            raise CmpRefusalError("badAlg", str(error)) from error
        if status.cert_hash != expected:
            raise CmpRefusalError("badCertId", "certHash is not that of the certificate")
        return True

    def _inform(self, question: General) -> _Answer:
        """Answer the support messages of RFC 9483 §4.3 that make sense here."""
        known = {
            "ca_certs": ca_certificates([self._ca.issuing.public_bytes(Encoding.DER)]),
            "root_ca_cert": self._ca.root.public_bytes(Encoding.DER),
        }
        items = tuple((kind, known[kind]) for kind, _ in question.items if kind in known)
        if not items:
            raise CmpRefusalError("badRequest", "caCerts and rootCaCert can be asked for")
        return _Answer(General("genp", items))

    def _revoke_overdue(self) -> None:
        for transaction in self._transactions.overdue(self._clock.now()):
            self._reject(transaction)

    def _reject(self, transaction: Transaction) -> None:
        if transaction.state is not State.UNCONFIRMED:
            return
        transaction.state = State.REJECTED
        serial = transaction.certificate.serial_number
        if not self._ca.is_revoked(serial):
            self._ca.revoke(serial, x509.ReasonFlags.cessation_of_operation)
