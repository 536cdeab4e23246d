"""The profiles of the certificates: what stands in each kind (RFC 5280 §4)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TypeAlias

from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import (
    AuthorityInformationAccessOID,
    ExtendedKeyUsageOID,
    NameOID,
    ObjectIdentifier,
)

from ukey_harness.world.ca.errors import PublicKeyError
from ukey_harness.world.units import Unit

PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

Extensions: TypeAlias = list[tuple[x509.ExtensionType, bool]]
"""Extensions, each with its criticality."""

ROOT, ISSUING = "root", "issuing"
"""The two issuers of the authority."""
UNIT_IDENTIFIER = ObjectIdentifier("1.2.156.112586.1.4")
"""The extension with the unit's identifier, by which a portal knows the unit."""
ID_KP_CMC_CA = ObjectIdentifier("1.3.6.1.5.5.7.3.27")
"""The extended key usage of a CA's key that protects CMP messages (RFC 9810 §4.5)."""
TEST_NOTICE = "仅供测试 for tests only"

_CURVES = ("secp256r1", "secp384r1", "secp521r1")
_RSA_LEAST, _RSA_MOST = 2048, 4096
_COMMON_NAME_LIMIT = 64


@dataclass(frozen=True)
class HolderProfile:
    """What a unit's certificate is good for; tests of a portal's checks ask for lesser ones."""

    digital_signature: bool = True
    content_commitment: bool = True
    key_encipherment: bool = False
    extended_usages: tuple[ObjectIdentifier, ...] = (
        ExtendedKeyUsageOID.CLIENT_AUTH,
        ExtendedKeyUsageOID.EMAIL_PROTECTION,
    )
    unit_identifier: bool = True


@dataclass(frozen=True)
class Pointers:
    """Where to ask about certificates of one issuer: their URLs, none for OCSP at the root."""

    crl: str
    issuer_certificate: str
    ocsp: str | None

    def extensions(self) -> list[x509.ExtensionType]:
        """Return authority information access and CRL distribution points."""
        access = [
            x509.AccessDescription(
                AuthorityInformationAccessOID.CA_ISSUERS,
                x509.UniformResourceIdentifier(self.issuer_certificate),
            )
        ]
        if self.ocsp:
            access.insert(
                0,
                x509.AccessDescription(
                    AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(self.ocsp)
                ),
            )
        point = x509.DistributionPoint([x509.UniformResourceIdentifier(self.crl)], None, None, None)
        return [x509.AuthorityInformationAccess(access), x509.CRLDistributionPoints([point])]


def key_usage(*bits: str) -> x509.KeyUsage:
    """Return the key usage extension with the named bits (as `x509.KeyUsage` names them) set."""
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: name in bits for name in names})


def authority_name(common_name: str) -> x509.Name:
    """Return the distinguished name of one of the authority's own certificates."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"ukeylab {TEST_NOTICE}"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def unit_name(unit: Unit) -> x509.Name:
    """Return the distinguished name of a unit."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, unit.name),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, unit.identifier),
            _common_name(unit.name),
        ]
    )


def unit_identifier(certificate: x509.Certificate) -> str | None:
    """Return the unit's identifier inside a certificate, None where there is none."""
    try:
        extension = certificate.extensions.get_extension_for_oid(UNIT_IDENTIFIER)
    except x509.ExtensionNotFound:
        return None
    assert isinstance(extension.value, x509.UnrecognizedExtension)  # noqa: S101, no other is made
    return str(core.UTF8String.load(extension.value.value).native)


def holder_extensions(identifier: str | None, profile: HolderProfile) -> Extensions:
    """Return the extensions that say what a unit's certificate is for."""
    bits = [
        name
        for name in ("digital_signature", "content_commitment", "key_encipherment")
        if getattr(profile, name)
    ]
    extensions: Extensions = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (key_usage(*bits), True),
    ]
    if profile.extended_usages:
        extensions.append((x509.ExtendedKeyUsage(profile.extended_usages), False))
    if identifier is not None and profile.unit_identifier:
        value = core.UTF8String(identifier).dump()
        extensions.append((x509.UnrecognizedExtension(UNIT_IDENTIFIER, value), False))
    return extensions


def check_public_key(key: object) -> PublicKey:
    """Return `key` if this authority certifies keys of its kind, PublicKeyError if not."""
    match key:
        case rsa.RSAPublicKey():
            if _RSA_LEAST <= key.key_size <= _RSA_MOST:
                return key
            raise PublicKeyError(
                f"an RSA key of {key.key_size} bits is not certified: "
                f"{_RSA_LEAST} to {_RSA_MOST} bits are"
            )
        case ec.EllipticCurvePublicKey():
            if key.curve.name in _CURVES:
                return key
            raise PublicKeyError(
                f"an EC key on {key.curve.name} is not certified: {', '.join(_CURVES)} are"
            )
        case _:
            raise PublicKeyError(
                f"a key of the kind {type(key).__name__} is not certified: RSA and EC keys are"
            )


def _common_name(name: str) -> x509.NameAttribute[str]:
    # X.520 limits a common name to 64 characters, cryptography to 64 bytes of UTF-8, which
    # 22 Chinese characters exceed. Unit has seen to the limit of the standard.
    if len(name.encode()) <= _COMMON_NAME_LIMIT:
        return x509.NameAttribute(NameOID.COMMON_NAME, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return x509.NameAttribute(NameOID.COMMON_NAME, name, _validate=False)
