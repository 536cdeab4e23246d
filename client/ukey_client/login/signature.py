"""A detached CMS signature (RFC 5652) made with a certificate's key on a token."""

import hashlib
from collections.abc import Sequence
from datetime import datetime

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from ukey_client.errors import KeyUnsuitable
from ukey_client.token import HeldCertificate, Token

_DIGEST = "sha256"


def sign_detached(
    token: Token,
    certificate: HeldCertificate,
    content: bytes,
    *,
    signing_time: datetime,
    chain: Sequence[x509.Certificate] = (),
) -> bytes:
    """Sign content with SHA-256 and signed attributes; DER of the ContentInfo.

    Signer and `chain` are embedded, the content is not. The attribute signingCertificateV2
    (RFC 5035 §3) ties the signature to this very certificate.
    """
    signer = asn1_x509.Certificate.load(certificate.der)
    attributes = _signed_attributes(signer, content, signing_time)
    # RFC 5652 §5.4: what is signed is the SET OF, not its implicit tag.
    signature = token.sign(certificate, attributes.dump(), _DIGEST)
    digest = algos.DigestAlgorithm({"algorithm": _DIGEST})
    info = cms.SignerInfo(
        {
            "version": "v1",
            "sid": cms.SignerIdentifier(
                {
                    "issuer_and_serial_number": cms.IssuerAndSerialNumber(
                        {"issuer": signer.issuer, "serial_number": signer.serial_number}
                    )
                }
            ),
            "digest_algorithm": digest,
            "signed_attrs": attributes,
            "signature_algorithm": _signature_algorithm(certificate),
            "signature": signature,
        }
    )
    embedded = [certificate.der]
    embedded += [one.public_bytes(Encoding.DER) for one in chain]
    signed = cms.SignedData(
        {
            "version": "v1",
            "digest_algorithms": [digest],
            "encap_content_info": {"content_type": "data"},
            "certificates": [asn1_x509.Certificate.load(der) for der in dict.fromkeys(embedded)],
            "signer_infos": [info],
        }
    )
    wrapped = cms.ContentInfo({"content_type": "signed_data", "content": signed})
    return bytes(wrapped.dump())


def _signed_attributes(
    signer: asn1_x509.Certificate, content: bytes, signing_time: datetime
) -> cms.CMSAttributes:
    identifier = tsp.ESSCertIDv2({"cert_hash": hashlib.sha256(signer.dump()).digest()})
    values = {
        "content_type": "data",
        "message_digest": hashlib.sha256(content).digest(),
        "signing_time": cms.Time({"utc_time": core.UTCTime(signing_time)}),
        "signing_certificate_v2": tsp.SigningCertificateV2({"certs": [identifier]}),
    }
    return cms.CMSAttributes(
        [cms.CMSAttribute({"type": name, "values": [value]}) for name, value in values.items()]
    )


def _signature_algorithm(certificate: HeldCertificate) -> algos.SignedDigestAlgorithm:
    key = certificate.certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        # RFC 3370 §3.2; the parameters are NULL.
        return algos.SignedDigestAlgorithm({"algorithm": "rsassa_pkcs1v15"})
    if isinstance(key, ec.EllipticCurvePublicKey):
        return algos.SignedDigestAlgorithm({"algorithm": f"{_DIGEST}_ecdsa"})
    raise KeyUnsuitable(type(key).__name__)
