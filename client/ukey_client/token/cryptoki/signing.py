"""Signing with a private key on a token, in the forms that CMS and X.509 want."""

import hashlib
from typing import Any, Final

import pkcs11
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from pkcs11 import Attribute, KeyType, Mechanism

from ukey_client.errors import KeyUnsuitable
from ukey_client.token.cryptoki.attributes import read
from ukey_client.token.signing import digest_info, require_known

_RSA_HASHED: Final = {
    "sha256": Mechanism.SHA256_RSA_PKCS,
    "sha384": Mechanism.SHA384_RSA_PKCS,
    "sha512": Mechanism.SHA512_RSA_PKCS,
}
_ECDSA_HASHED: Final = {
    "sha256": Mechanism.ECDSA_SHA256,
    "sha384": Mechanism.ECDSA_SHA384,
    "sha512": Mechanism.ECDSA_SHA512,
}


def sign(key: pkcs11.Object, data: bytes, digest: str, pin: str | None) -> bytes:
    """Sign data with an RSA or EC private key.

    `pin` is given to keys that want it for each signature (CKA_ALWAYS_AUTHENTICATE).
    The result is RSASSA-PKCS1-v1_5 (RFC 8017 §8.2) or a DER ECDSA-Sig-Value (RFC 3279 §2.2.3).
    """
    require_known(digest)
    mechanisms = key.session.token.slot.get_mechanisms()
    kind = _kind(key)
    if kind is KeyType.RSA:
        if _RSA_HASHED[digest] in mechanisms:
            mechanism, message = _RSA_HASHED[digest], data
        else:
            mechanism = Mechanism.RSA_PKCS
            message = digest_info(data, digest)
    elif kind is KeyType.EC:
        if Mechanism.ECDSA in mechanisms or _ECDSA_HASHED[digest] not in mechanisms:
            mechanism, message = Mechanism.ECDSA, hashlib.new(digest, data).digest()
        else:
            mechanism, message = _ECDSA_HASHED[digest], data
    else:
        raise KeyUnsuitable(str(kind))
    signature = _raw_sign(key, message, mechanism, pin)
    return _ecdsa_der(signature) if kind is KeyType.EC else signature


def _raw_sign(key: Any, message: bytes, mechanism: Mechanism, pin: str | None) -> bytes:  # noqa: ANN401 - made at run time
    if not hasattr(key, "sign"):
        raise KeyUnsuitable("CKA_SIGN=FALSE")
    each_time = pin if read(key, Attribute.ALWAYS_AUTHENTICATE, default=False) else None
    return bytes(key.sign(message, mechanism=mechanism, pin=each_time))


def _kind(key: pkcs11.Object) -> KeyType:
    try:
        return KeyType(key[Attribute.KEY_TYPE])
    except ValueError as error:
        raise KeyUnsuitable("未知的密钥类型（CKA_KEY_TYPE）") from error


def _ecdsa_der(raw: bytes) -> bytes:
    """PKCS#11 v3.2 §6.3.1: r and s, each as long as the group's order."""
    half = len(raw) // 2
    return encode_dss_signature(
        int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big")
    )
