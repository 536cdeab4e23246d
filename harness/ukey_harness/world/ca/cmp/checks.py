"""What must be right about a CMP request before anything is done for it (RFC 9483 §3.5)."""

from __future__ import annotations

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_public_key

from ukey_client.renewal.cmp.certificates import parse_certificate
from ukey_client.renewal.cmp.decode import same_name
from ukey_client.renewal.cmp.message import (
    CERT_REQ_ID,
    NONCE_SIZE,
    CertReq,
    Header,
    MalformedMessage,
    Message,
    P10cr,
)
from ukey_client.renewal.cmp.protection import AlgorithmRefused, SignatureWrong, verify
from ukey_harness.world.ca.authority import CertificateAuthority
from ukey_harness.world.ca.cmp.refusal import CmpRefusalError, refusal_of
from ukey_harness.world.ca.errors import AuthorityError

TIME_TOLERANCE = timedelta(minutes=5)
"""How far the time of a message may be from the authority's."""
# PasswordBasedMac and its like (RFC 9810 §5.1.3), PBMAC1 (RFC 9481 §6.1.2).
_MACS = ("1.2.840.113533.7.66.", "1.2.840.113549.1.5.14")
_VERSIONS = (2, 3)  # cmp2000 and cmp2021 (RFC 9810 §7)


def check_header(header: Header, now: datetime) -> None:
    """Refuse a request whose header the profile does not allow (RFC 9483 §3.1, §3.5)."""
    if header.pvno not in _VERSIONS:
        raise CmpRefusalError("unsupportedVersion", f"version {header.pvno}: 2 and 3 are spoken")
    if header.message_time is not None:
        if header.message_time.tzinfo is None:
            raise CmpRefusalError("badDataFormat", "messageTime is not in UTC")
        if abs(header.message_time - now) > TIME_TOLERANCE:
            raise CmpRefusalError(
                "badTime",
                "电脑时间与认证机构的时间相差过大，请校准后重试。",
                f"messageTime is {header.message_time:%Y-%m-%d %H:%M:%S}, "
                f"the authority's time is {now:%Y-%m-%d %H:%M:%S}",
            )
    if not header.transaction_id:
        raise CmpRefusalError("badDataFormat", "the header has no transactionID")
    if header.sender_nonce is None or len(header.sender_nonce) < NONCE_SIZE:
        raise CmpRefusalError("badSenderNonce", "senderNonce must have at least 128 bits")


def find_signer(message: Message, known: x509.Certificate | None) -> x509.Certificate:
    """Return the certificate that protects a message, after verifying the protection with it.

    It is the first of extraCerts (RFC 9483 §3.3), or `known` from earlier in the transaction.
    Whether the certificate itself is good is for `check_signer` to say.
    """
    header = message.header
    if message.protection is None or header.protection_alg is None:
        raise CmpRefusalError("badMessageCheck", "the message is not protected")
    if header.protection_alg.scheme.startswith(_MACS):
        # RFC 9810 §5.2.3: a password where a signature is wanted.
        raise CmpRefusalError("wrongIntegrity", "the protection must be a signature, not a MAC")
    if message.extra_certs:
        signer = _certificate(message.extra_certs[0])
    elif known is not None:
        signer = known
    else:
        raise CmpRefusalError(
            "signerNotTrusted", "the certificate of the sender must be the first of extraCerts"
        )
    if not same_name(header.sender, signer.subject.public_bytes()):
        raise CmpRefusalError("badMessageCheck", "the sender is not the subject of its certificate")
    identifier = _key_identifier(signer)
    if header.sender_kid is not None and identifier not in {None, header.sender_kid}:
        raise CmpRefusalError("badMessageCheck", "senderKID is not that of the certificate")
    try:
        public_key = signer.public_key()
        verify(public_key, header.protection_alg, message.protection, message.protected_part)
    except AlgorithmRefused as error:
        raise CmpRefusalError("badAlg", str(error)) from error
    except (SignatureWrong, ValueError, TypeError) as error:
        raise CmpRefusalError("badMessageCheck", f"protection: {error}") from error
    return signer


def check_signer(signer: x509.Certificate, ca: CertificateAuthority) -> None:
    """Refuse a signer that is not an unrevoked holder of ours, with a key to sign with.

    An expired one passes: whether it can still be renewed is for the authority to say.
    """
    try:
        signer.verify_directly_issued_by(ca.issuing)
        usage = signer.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        usage = None
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError) as error:
        raise CmpRefusalError(
            "signerNotTrusted", "这张证书不是本机构签发的。", "the signer was not certified here"
        ) from error
    if usage is not None and not usage.digital_signature:
        raise CmpRefusalError("signerNotTrusted", "the signer's key is not for signing")
    try:
        revoked = ca.is_revoked(signer.serial_number)
    except AuthorityError as error:
        raise refusal_of(error, signer) from error
    if revoked:
        raise CmpRefusalError(
            "certRevoked", "证书已被吊销，不能使用。", "the signer's certificate is revoked"
        )
    if ca.clock.now() < signer.not_valid_before_utc:
        raise CmpRefusalError("signerNotTrusted", "the signer's certificate is not yet valid")


def check_request(request: CertReq, signer: x509.Certificate) -> PublicKeyTypes:
    """Check an ir, cr or kur (RFC 9483 §4.1.1 to §4.1.3); return the key to be certified."""
    if request.cert_req_id != CERT_REQ_ID:
        raise CmpRefusalError("badRequest", f"certReqId must be {CERT_REQ_ID}")
    _check_subject(request.subject, signer)
    if request.public_key is None:
        raise CmpRefusalError("badCertTemplate", "the template has no public key")
    public_key = _public_key(request.public_key)
    if request.popo is None:
        raise CmpRefusalError("badPOP", "there is no proof of possession")
    if request.popo.input_given:
        # RFC 4211 §4.1: not beside a template with subject and public key.
        raise CmpRefusalError("badPOP", "poposkInput must be absent")
    try:
        verify(public_key, request.popo.algorithm, request.popo.signature, request.signed)
    except (AlgorithmRefused, SignatureWrong) as error:
        raise CmpRefusalError("badPOP", f"proof of possession: {error}") from error
    old = request.old_cert_id
    if old is not None and not (
        old.serial_number == signer.serial_number
        and same_name(old.issuer, signer.issuer.public_bytes())
    ):
        raise CmpRefusalError(
            "badCertId", "oldCertId is not the certificate that protects the message"
        )
    return public_key


def check_pkcs10(request: P10cr, signer: x509.Certificate) -> PublicKeyTypes:
    """Check a p10cr (RFC 9483 §4.1.4); return the key to be certified."""
    try:
        parsed = x509.load_der_x509_csr(request.request)
        genuine = parsed.is_signature_valid
        subject = parsed.subject.public_bytes()
        public_key = parsed.public_key()
    except (
        ValueError,
        TypeError,
        InvalidSignature,
        UnsupportedAlgorithm,
        x509.InvalidVersion,
    ) as error:
        raise CmpRefusalError("badDataFormat", f"PKCS#10 request: {error}") from error
    if not genuine:
        raise CmpRefusalError("badPOP", "the signature of the PKCS#10 request does not verify")
    _check_subject(subject, signer)
    return public_key


def _check_subject(subject: bytes | None, signer: x509.Certificate) -> None:
    if not same_name(subject, signer.subject.public_bytes()):
        raise CmpRefusalError(
            "badCertTemplate", "the subject of the template is not that of the certificate in use"
        )


def _public_key(der: bytes) -> PublicKeyTypes:
    try:
        return load_der_public_key(der)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CmpRefusalError("badCertTemplate", f"public key: {error}") from error


def _certificate(der: bytes) -> x509.Certificate:
    try:
        return parse_certificate(der)
    except MalformedMessage as error:
        raise CmpRefusalError("badDataFormat", f"the sender: {error}") from error


def _key_identifier(certificate: x509.Certificate) -> bytes | None:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        return None
    return extension.value.digest
