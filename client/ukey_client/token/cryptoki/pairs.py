"""Key pairs on a token: making a new one, and reading its public half."""

import contextlib
import secrets
from typing import Any

import pkcs11
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    load_der_public_key,
)
from cryptography.x509 import SubjectKeyIdentifier
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag
from pkcs11.util.ec import encode_ec_public_key, encode_named_curve_parameters
from pkcs11.util.rsa import encode_rsa_public_key

from ukey_client.errors import GenerationUnsupported, KeyUnsuitable
from ukey_client.token.port import Pair

_SIGNING = MechanismFlag.SIGN | MechanismFlag.VERIFY
_PRIVATE = {Attribute.EXTRACTABLE: False, Attribute.SENSITIVE: True, Attribute.PRIVATE: True}


def generate(session: pkcs11.Session, like: CertificatePublicKeyTypes, label: str) -> Pair:
    """Make a pair of the same kind and size, in a read-write session after login.

    Both halves get the SHA-1 of the SubjectPublicKey bits as their CKA_ID. If that fails, what
    was made is taken away again. GenerationUnsupported where the token has no mechanism for it.
    """
    mechanism = _mechanism(like)
    if mechanism not in session.token.slot.get_mechanisms():
        raise GenerationUnsupported(f"CKM_{mechanism.name}")
    made = _generate(session, like, secrets.token_bytes(20), label)
    try:
        public_key = read_public_key(made[0])
        id_ = key_identifier(public_key)
        for half in made:
            half[Attribute.ID] = id_
    except BaseException:
        for half in made:
            with contextlib.suppress(pkcs11.PKCS11Error):
                half.destroy()
        raise
    return Pair(id_, public_key)


def _mechanism(like: CertificatePublicKeyTypes) -> Mechanism:
    if isinstance(like, rsa.RSAPublicKey):
        return Mechanism.RSA_PKCS_KEY_PAIR_GEN
    if isinstance(like, ec.EllipticCurvePublicKey):
        return Mechanism.EC_KEY_PAIR_GEN
    raise KeyUnsuitable(type(like).__name__)


def key_identifier(public_key: CertificatePublicKeyTypes) -> bytes:
    """SHA-1 of the SubjectPublicKey bits (RFC 5280 §4.2.1.2, method 1)."""
    return SubjectKeyIdentifier.from_public_key(public_key).digest


def read_public_key(public: Any) -> CertificatePublicKeyTypes:  # noqa: ANN401 - made at run time
    """Read the public key object as a key of `cryptography`."""
    kind = public[Attribute.KEY_TYPE]
    if kind is KeyType.RSA:
        key = load_der_public_key(encode_rsa_public_key(public))
    elif kind is KeyType.EC:
        key = load_der_public_key(encode_ec_public_key(public))
    else:
        raise KeyUnsuitable(str(kind))
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise KeyUnsuitable(str(kind))
    return key


def _generate(
    session: pkcs11.Session, like: CertificatePublicKeyTypes, id_: bytes, label: str
) -> tuple[pkcs11.PublicKey, pkcs11.PrivateKey]:
    if isinstance(like, rsa.RSAPublicKey):
        return session.generate_keypair(
            KeyType.RSA,
            like.key_size,
            id=id_,
            label=label,
            store=True,
            capabilities=_SIGNING,
            private_template=_PRIVATE,
        )
    if isinstance(like, ec.EllipticCurvePublicKey):
        group = session.create_domain_parameters(
            KeyType.EC,
            {Attribute.EC_PARAMS: encode_named_curve_parameters(like.curve.name)},
            local=True,
        )
        return group.generate_keypair(
            id=id_,
            label=label,
            store=True,
            capabilities=_SIGNING,
            private_template=_PRIVATE,
        )
    raise KeyUnsuitable(type(like).__name__)
