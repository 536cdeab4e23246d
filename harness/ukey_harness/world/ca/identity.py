"""The authority's own keys and certificates: root, issuing CA and the services below it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from asn1crypto import keys as asn1_keys
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

_RSA_BITS = 3072


@dataclass(frozen=True)
class Identity:
    """A private key of the authority and the certificate of its public key."""

    key: PrivateKey
    certificate: x509.Certificate

    def asn1_certificate(self) -> asn1_x509.Certificate:
        """Return the certificate as asn1crypto has it."""
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        return asn1_x509.Certificate.load(der)

    def asn1_key(self) -> asn1_keys.PrivateKeyInfo:
        """Return the private key as asn1crypto has it (PKCS#8)."""
        return asn1_keys.PrivateKeyInfo.load(
            self.key.private_bytes(
                serialization.Encoding.DER,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )


def new_authority_key() -> PrivateKey:
    """Return a new key to sign certificates with: RSA, as in the real authorities of this kind."""
    return rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)


def new_service_key() -> PrivateKey:
    """Return a new key for a service (OCSP, TSA, CMP): P-256, made in a fraction of the time."""
    return ec.generate_private_key(ec.SECP256R1())


class KeyFolder:
    """The folder that keeps the authority's private keys, readable to its owner alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)

    def store(self, role: str, key: PrivateKey) -> None:
        """Write the key of `role` as PKCS#8 PEM, mode 0600, in the place of an older one."""
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        path = self._path(role)
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)

    def load(self, role: str) -> PrivateKey:
        """Return the key of `role`; OSError or ValueError where it is missing or damaged."""
        key = serialization.load_pem_private_key(self._path(role).read_bytes(), password=None)
        if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            raise TypeError(f"{self._path(role)} holds neither an RSA nor an EC key")
        return key

    def _path(self, role: str) -> Path:
        return self._folder / f"{role}.pem"
