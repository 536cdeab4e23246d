"""Whether a certificate from the CA is what a renewal must give."""

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ukey_client.renewal.cmp.certificates import parse_certificate
from ukey_client.renewal.cmp.decode import same_name
from ukey_client.renewal.cmp.message import MalformedMessage
from ukey_client.renewal.errors import CertificateUnacceptable
from ukey_client.token.port import HeldCertificate, Pair


def check_successor(old: HeldCertificate, der: bytes, pair: Pair) -> HeldCertificate:
    """Check a new certificate (DER) against the old one and the new pair.

    The key must be ours, the subject and the unit's identifier the old ones (by them the portal
    knows the holder), the end later; it must be good for signatures. CertificateUnacceptable
    says what is not so. The path to the CA is for `Trust` to check.
    """
    try:
        certificate = parse_certificate(der)
    except MalformedMessage as error:
        raise CertificateUnacceptable("无法读取") from error
    new = HeldCertificate(pair.id, old.label, der)
    identifier = new.unit_identifier
    if _spki(certificate.public_key()) != _spki(pair.public_key):
        raise CertificateUnacceptable("其中的公钥不是本证书介质的新公钥")
    if not same_name(certificate.subject.public_bytes(), old.certificate.subject.public_bytes()):
        raise CertificateUnacceptable(f"单位名称与原证书不一致：{new.owner}")
    if identifier != old.unit_identifier:
        raise CertificateUnacceptable(f"单位标识与原证书不一致：{identifier}")
    if new.not_after <= old.not_after:
        raise CertificateUnacceptable(f"有效期没有延长：{new.not_after:%Y-%m-%d}")
    if new.is_authority or not _signs(certificate):
        raise CertificateUnacceptable("不能用于签名")
    return new


def _signs(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return usage.digital_signature


def _spki(key: CertificatePublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
