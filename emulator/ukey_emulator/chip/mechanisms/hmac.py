"""HMAC, its keys, and generic secrets (PKCS#11 3.2 §6.9, §6.20-§6.31)."""

from cryptography.hazmat.primitives import hmac as library

from ukey_emulator.chip.keys import Material, secret
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKK, CKM, CKR

from .base import Parameter, Signer, no_parameter
from .blockciphers import KeyGeneration
from .digests import algorithm
from .macs import Cutting, MacMechanism, general_length

_SIZES = (1, secret.MAX_GENERIC)


class Hmac(MacMechanism):
    """HMAC of one hash: whole, or as long as CK_MAC_GENERAL_PARAMS says."""

    def __init__(self, kind: CKM, hashed_with: CKM, key_type: CKK, *, general: bool) -> None:
        super().__init__(kind, _SIZES)
        self.key_types = (CKK.GENERIC_SECRET, key_type)
        self._hash = algorithm(hashed_with)
        self._general = general

    def sign(self, key: Material, parameter: Parameter) -> Signer:
        """Begin a code."""
        length = self._hash.digest_size
        if self._general:
            length = general_length(parameter, length)
        else:
            no_parameter(parameter)
        if not isinstance(key, bytes):
            raise Refusal(CKR.KEY_TYPE_INCONSISTENT, "a secret key is needed")
        return Cutting(library.HMAC(key, self._hash), length)


# Hash, its HMAC, that of general length, generation of keys for it, the type of such keys.
_FAMILIES = (
    (CKM.SHA_1, CKM.SHA_1_HMAC, CKM.SHA_1_HMAC_GENERAL, CKM.SHA_1_KEY_GEN, CKK.SHA_1_HMAC),
    (CKM.SHA224, CKM.SHA224_HMAC, CKM.SHA224_HMAC_GENERAL, CKM.SHA224_KEY_GEN, CKK.SHA224_HMAC),
    (CKM.SHA256, CKM.SHA256_HMAC, CKM.SHA256_HMAC_GENERAL, CKM.SHA256_KEY_GEN, CKK.SHA256_HMAC),
    (CKM.SHA384, CKM.SHA384_HMAC, CKM.SHA384_HMAC_GENERAL, CKM.SHA384_KEY_GEN, CKK.SHA384_HMAC),
    (CKM.SHA512, CKM.SHA512_HMAC, CKM.SHA512_HMAC_GENERAL, CKM.SHA512_KEY_GEN, CKK.SHA512_HMAC),
    (
        CKM.SHA512_224,
        CKM.SHA512_224_HMAC,
        CKM.SHA512_224_HMAC_GENERAL,
        CKM.SHA512_224_KEY_GEN,
        CKK.SHA512_224_HMAC,
    ),
    (
        CKM.SHA512_256,
        CKM.SHA512_256_HMAC,
        CKM.SHA512_256_HMAC_GENERAL,
        CKM.SHA512_256_KEY_GEN,
        CKK.SHA512_256_HMAC,
    ),
    (
        CKM.SHA3_224,
        CKM.SHA3_224_HMAC,
        CKM.SHA3_224_HMAC_GENERAL,
        CKM.SHA3_224_KEY_GEN,
        CKK.SHA3_224_HMAC,
    ),
    (
        CKM.SHA3_256,
        CKM.SHA3_256_HMAC,
        CKM.SHA3_256_HMAC_GENERAL,
        CKM.SHA3_256_KEY_GEN,
        CKK.SHA3_256_HMAC,
    ),
    (
        CKM.SHA3_384,
        CKM.SHA3_384_HMAC,
        CKM.SHA3_384_HMAC_GENERAL,
        CKM.SHA3_384_KEY_GEN,
        CKK.SHA3_384_HMAC,
    ),
    (
        CKM.SHA3_512,
        CKM.SHA3_512_HMAC,
        CKM.SHA3_512_HMAC_GENERAL,
        CKM.SHA3_512_KEY_GEN,
        CKK.SHA3_512_HMAC,
    ),
)

MECHANISMS = (
    KeyGeneration(CKM.GENERIC_SECRET_KEY_GEN, CKK.GENERIC_SECRET, _SIZES),
    *(KeyGeneration(making, key_type, _SIZES) for _, _, _, making, key_type in _FAMILIES),
    Hmac(CKM.MD5_HMAC, CKM.MD5, CKK.MD5_HMAC, general=False),
    Hmac(CKM.MD5_HMAC_GENERAL, CKM.MD5, CKK.MD5_HMAC, general=True),
    *(
        Hmac(kind, hashed, key_type, general=kind is general)
        for hashed, whole, general, _, key_type in _FAMILIES
        for kind in (whole, general)
    ),
)
