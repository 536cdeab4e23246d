# ruff: noqa: N818 - an error is named by its fault
"""The signatures in CMP messages: protection (RFC 9810 §5.1.3.3) and proof of possession.

Only signatures are spoken here, no MACs: the holder has a certificate, the CA has one too.
"""

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import (
    PrivateKeyTypes,
    PublicKeyTypes,
)

from ukey_client.renewal.cmp.message import SignatureAlgorithm

_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}


class AlgorithmRefused(ValueError):
    """The algorithm of a signature is not one that is spoken here, or not the key's."""


class SignatureWrong(ValueError):
    """A signature does not verify."""


def digest(name: str, data: bytes) -> bytes:
    """Hash `data`; AlgorithmRefused for a hash other than SHA-256, SHA-384 and SHA-512."""
    hasher = hashes.Hash(_hash(name))
    hasher.update(data)
    return hasher.finalize()


def algorithm_for(public_key: PublicKeyTypes) -> SignatureAlgorithm:
    """Return what a key signs CMP messages with here; AlgorithmRefused if it cannot.

    RSASSA-PKCS1-v1_5 or ECDSA with SHA-256 (RFC 9481 §3).
    """
    if isinstance(public_key, rsa.RSAPublicKey):
        return SignatureAlgorithm("rsassa_pkcs1v15", "sha256")
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        return SignatureAlgorithm("ecdsa", "sha256")
    raise AlgorithmRefused(f"no CMP message is signed with a {type(public_key).__name__}")


def sign(key: PrivateKeyTypes, data: bytes) -> bytes:
    """Sign with a key held in memory, as `algorithm_for` its public half says."""
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(data, ec.ECDSA(hashes.SHA256()))
    raise AlgorithmRefused(f"no CMP message is signed with a {type(key).__name__}")


def verify(
    public_key: PublicKeyTypes,
    algorithm: SignatureAlgorithm,
    signature: bytes,
    data: bytes,
) -> None:
    """Verify a signature; SignatureWrong, or AlgorithmRefused where that cannot be tried."""
    try:
        if isinstance(public_key, rsa.RSAPublicKey):
            public_key.verify(signature, data, _padding(algorithm), _hash(algorithm.digest))
        elif isinstance(public_key, ec.EllipticCurvePublicKey):
            _require(algorithm, "ecdsa")
            public_key.verify(signature, data, ec.ECDSA(_hash(algorithm.digest)))
        elif isinstance(public_key, ed25519.Ed25519PublicKey):
            _require(algorithm, "ed25519")
            public_key.verify(signature, data)
        elif isinstance(public_key, ed448.Ed448PublicKey):
            _require(algorithm, "ed448")
            public_key.verify(signature, data)
        else:
            raise AlgorithmRefused(f"no signature of a {type(public_key).__name__} is taken")
    except InvalidSignature as error:
        raise SignatureWrong("the signature does not verify") from error
    except UnsupportedAlgorithm as error:
        raise AlgorithmRefused(str(error)) from error


def _padding(algorithm: SignatureAlgorithm) -> padding.AsymmetricPadding:
    if algorithm.scheme == "rsassa_pkcs1v15":
        return padding.PKCS1v15()
    _require(algorithm, "rsassa_pss")
    if algorithm.salt_length is None or algorithm.salt_length < 0:
        raise AlgorithmRefused("RSASSA-PSS without a length of its salt")
    return padding.PSS(padding.MGF1(_hash(algorithm.digest)), algorithm.salt_length)


def _require(algorithm: SignatureAlgorithm, scheme: str) -> None:
    if algorithm.scheme != scheme:
        raise AlgorithmRefused(f"a signature of {algorithm.scheme} where {scheme} is needed")


def _hash(name: str | None) -> hashes.HashAlgorithm:
    if name not in _HASHES:
        raise AlgorithmRefused(f"the hash {name} is not one of {', '.join(_HASHES)}")
    return _HASHES[name]()
