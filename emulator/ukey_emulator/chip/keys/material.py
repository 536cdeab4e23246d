"""The one place that knows which file knows which key."""

from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric import ec as curve
from cryptography.hazmat.primitives.asymmetric import rsa as factoring

from ukey_emulator.chip.objects.object import Object
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKA, CKK, CKO, CKR

from . import certificate, ec, rsa, secret

Material = (
    factoring.RSAPrivateKey
    | factoring.RSAPublicKey
    | curve.EllipticCurvePrivateKey
    | curve.EllipticCurvePublicKey
    | bytes
)

_COMPLETE: dict[tuple[int, int | None], Callable[[dict[int, bytes]], None]] = {
    (CKO.PUBLIC_KEY, CKK.RSA): rsa.complete_public,
    (CKO.PRIVATE_KEY, CKK.RSA): rsa.complete_private,
    (CKO.PUBLIC_KEY, CKK.EC): ec.complete_public,
    (CKO.PRIVATE_KEY, CKK.EC): ec.complete_private,
    (CKO.SECRET_KEY, CKK.AES): secret.complete,
    (CKO.SECRET_KEY, CKK.GENERIC_SECRET): secret.complete,
    (CKO.CERTIFICATE, None): certificate.complete,
}

_LOAD: dict[tuple[int, int | None], Callable[[dict[int, bytes]], Material]] = {
    (CKO.PUBLIC_KEY, CKK.RSA): rsa.load_public,
    (CKO.PRIVATE_KEY, CKK.RSA): rsa.load_private,
    (CKO.PUBLIC_KEY, CKK.EC): ec.load_public,
    (CKO.PRIVATE_KEY, CKK.EC): ec.load_private,
    (CKO.SECRET_KEY, CKK.AES): lambda attributes: attributes[CKA.VALUE],
    (CKO.SECRET_KEY, CKK.GENERIC_SECRET): lambda attributes: attributes[CKA.VALUE],
}

_FIXED_LENGTHS: dict[int | None, int] = {}


def complete(obj: Object) -> None:
    """Check the material of a new object and add the attributes that follow from it."""
    finish = _COMPLETE.get((obj.kind, obj.key_type))
    if finish is not None:
        finish(obj.attributes)


def load(obj: Object) -> Material:
    """Give the loaded key of an object, loading it at its first use.

    CKR_KEY_HANDLE_INVALID for an object that is no key.
    """
    if obj.material is None:
        loader = _LOAD.get((obj.kind, obj.key_type))
        if loader is None:
            raise Refusal(CKR.KEY_HANDLE_INVALID, "the object is no key")
        obj.material = loader(obj.attributes)
    return obj.material  # type: ignore[return-value]


def fixed_length(obj: Object) -> int | None:
    """Give the bytes that a secret key of this type has, None if it may have any number."""
    return _FIXED_LENGTHS.get(obj.key_type)
