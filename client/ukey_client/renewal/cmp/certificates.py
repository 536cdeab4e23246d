"""Certificates that came in a message: parsed to the bottom, or refused."""

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from ukey_client.renewal.cmp.message import MalformedMessage

# cryptography has no one error for what is not a certificate.
_PARSING_ERRORS = (
    ValueError,
    TypeError,
    OverflowError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


def parse_certificate(der: bytes) -> x509.Certificate:
    """Parse a certificate (DER); MalformedMessage if any part of it that is used here is broken.

    cryptography decodes the parts when they are asked for: they are asked for here.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        _ = certificate.subject, certificate.issuer, certificate.extensions
        _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        _ = certificate.public_key(), certificate.signature_hash_algorithm
    except _PARSING_ERRORS as error:
        raise MalformedMessage(f"not a certificate: {error}") from error
    return certificate
