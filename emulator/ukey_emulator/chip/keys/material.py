"""The one place that knows which file knows which key."""

from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric import dsa as subgroup
from cryptography.hazmat.primitives.asymmetric import ec as curve
from cryptography.hazmat.primitives.asymmetric import rsa as factoring

from ukey_emulator.chip.objects.object import Object
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKA, CKK, CKO, CKR

from . import certificate, dsa, ec, edwards, mldsa, mlkem, montgomery, rsa, secret

Material = (
    factoring.RSAPrivateKey
    | factoring.RSAPublicKey
    | subgroup.DSAPrivateKey
    | subgroup.DSAPublicKey
    | curve.EllipticCurvePrivateKey
    | curve.EllipticCurvePublicKey
    | edwards.EdwardsPrivate
    | edwards.EdwardsPublic
    | montgomery.PrivateKey
    | montgomery.PublicKey
    | mldsa.MlDsaPrivate
    | mldsa.MlDsaPublic
    | mlkem.MlKemPrivate
    | mlkem.MlKemPublic
    | bytes
)

_COMPLETE: dict[tuple[int, int | None], Callable[[dict[int, bytes]], None]] = {
    (CKO.PUBLIC_KEY, CKK.RSA): rsa.complete_public,
    (CKO.PRIVATE_KEY, CKK.RSA): rsa.complete_private,
    (CKO.PUBLIC_KEY, CKK.DSA): dsa.complete_public,
    (CKO.PRIVATE_KEY, CKK.DSA): dsa.complete_private,
    (CKO.PUBLIC_KEY, CKK.EC): ec.complete_public,
    (CKO.PRIVATE_KEY, CKK.EC): ec.complete_private,
    (CKO.PUBLIC_KEY, CKK.EC_EDWARDS): edwards.complete_public,
    (CKO.PRIVATE_KEY, CKK.EC_EDWARDS): edwards.complete_private,
    (CKO.PUBLIC_KEY, CKK.EC_MONTGOMERY): montgomery.complete_public,
    (CKO.PRIVATE_KEY, CKK.EC_MONTGOMERY): montgomery.complete_private,
    (CKO.PUBLIC_KEY, CKK.ML_DSA): mldsa.FAMILY.complete_public,
    (CKO.PRIVATE_KEY, CKK.ML_DSA): mldsa.FAMILY.complete_private,
    (CKO.PUBLIC_KEY, CKK.ML_KEM): mlkem.FAMILY.complete_public,
    (CKO.PRIVATE_KEY, CKK.ML_KEM): mlkem.FAMILY.complete_private,
    (CKO.CERTIFICATE, None): certificate.complete,
    (CKO.DOMAIN_PARAMETERS, None): dsa.complete_parameters,  # there are no others
    **{(CKO.SECRET_KEY, key_type): secret.complete for key_type in secret.TYPES},
}

_LOAD: dict[tuple[int, int | None], Callable[[dict[int, bytes]], Material]] = {
    (CKO.PUBLIC_KEY, CKK.RSA): rsa.load_public,
    (CKO.PRIVATE_KEY, CKK.RSA): rsa.load_private,
    (CKO.PUBLIC_KEY, CKK.DSA): dsa.load_public,
    (CKO.PRIVATE_KEY, CKK.DSA): dsa.load_private,
    (CKO.PUBLIC_KEY, CKK.EC): ec.load_public,
    (CKO.PRIVATE_KEY, CKK.EC): ec.load_private,
    (CKO.PUBLIC_KEY, CKK.EC_EDWARDS): edwards.load_public,
    (CKO.PRIVATE_KEY, CKK.EC_EDWARDS): edwards.load_private,
    (CKO.PUBLIC_KEY, CKK.EC_MONTGOMERY): montgomery.load_public,
    (CKO.PRIVATE_KEY, CKK.EC_MONTGOMERY): montgomery.load_private,
    (CKO.PUBLIC_KEY, CKK.ML_DSA): mldsa.load_public,
    (CKO.PRIVATE_KEY, CKK.ML_DSA): mldsa.load_private,
    (CKO.PUBLIC_KEY, CKK.ML_KEM): mlkem.load_public,
    (CKO.PRIVATE_KEY, CKK.ML_KEM): mlkem.load_private,
    **{(CKO.SECRET_KEY, key_type): secret.load for key_type in secret.TYPES},
}


def complete(obj: Object) -> None:
    """Check the material of a new object and add the attributes that follow from it.

    CKR_ATTRIBUTE_VALUE_INVALID for a CKA_PUBLIC_KEY_INFO that is another key's.
    """
    finish = _COMPLETE.get((obj.kind, obj.key_type))
    if finish is None:
        return
    claimed = obj.attributes.get(CKA.PUBLIC_KEY_INFO)
    finish(obj.attributes)
    if obj.kind != CKO.CERTIFICATE:
        require_own(claimed, obj.attributes.get(CKA.PUBLIC_KEY_INFO))


def require_own(claimed: bytes | None, info: bytes | None) -> None:
    """Refuse what a template claims to be a key's CKA_PUBLIC_KEY_INFO unless it is `info`.

    CKR_ATTRIBUTE_VALUE_INVALID (§4.10).
    """
    if claimed not in (None, b"", info):
        raise Refusal(CKR.ATTRIBUTE_VALUE_INVALID, "CKA_PUBLIC_KEY_INFO is another key's")


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


def public_part(obj: Object) -> dict[int, bytes]:
    """Give the attributes of a public key's material, taken from its private key."""
    key = load(obj)
    match key:
        case factoring.RSAPrivateKey():
            part = rsa.public_attributes(key.public_key())
        case subgroup.DSAPrivateKey():
            part = dsa.public_attributes(key.public_key())
        case curve.EllipticCurvePrivateKey():
            part = ec.public_attributes(key.public_key())
        case edwards.EdwardsPrivate():
            part = edwards.public_attributes(key.public().key)
        case mldsa.MlDsaPrivate():
            part = mldsa.FAMILY.public_part(obj.attributes)
        case mlkem.MlKemPrivate():
            part = mlkem.FAMILY.public_part(obj.attributes)
        case _ if isinstance(key, montgomery.PrivateKey):
            part = montgomery.public_attributes(key.public_key())
        case _:
            raise Refusal(CKR.KEY_TYPE_INCONSISTENT, "no private key")
    if CKA.EC_PARAMS in obj.attributes:
        part[CKA.EC_PARAMS] = obj.attributes[CKA.EC_PARAMS]
    return part


def fits(obj: Object) -> bool:
    """Tell whether a secret key's value has a length that keys of its type can have."""
    return obj.key_type is not None and secret.fits(
        obj.key_type, len(obj.attributes.get(CKA.VALUE, b""))
    )
