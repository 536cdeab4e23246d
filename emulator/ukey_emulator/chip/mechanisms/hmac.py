"""HMAC and generic secrets (PKCS#11 3.2 §6.9, §6.16)."""

import hmac as comparison

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import hmac as library

from ukey_emulator.chip.keys import Material, secret
from ukey_emulator.chip.objects.kinds import as_number
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKA, CKF, CKK, CKM, CKR

from .base import Mechanism, Parameter, Signer, Verifier, no_parameter
from .digests import algorithm


class HmacSigner:
    """An HMAC under way."""

    def __init__(self, key: bytes, chosen: hashes.HashAlgorithm) -> None:
        self._context = library.HMAC(key, chosen)
        self.update = self._context.update
        self.length = chosen.digest_size

    def finish(self) -> bytes:
        """Give the code."""
        return self._context.finalize()


class HmacVerifier:
    """An HMAC to be judged."""

    def __init__(self, signer: HmacSigner) -> None:
        self._signer = signer
        self.update = signer.update

    def finish(self, signature: bytes) -> None:
        """Judge the code, in constant time."""
        if len(signature) != self._signer.length:
            raise Refusal(CKR.SIGNATURE_LEN_RANGE, f"a code has {self._signer.length} bytes")
        if not comparison.compare_digest(self._signer.finish(), signature):
            raise Refusal(CKR.SIGNATURE_INVALID)


class Hmac(Mechanism):
    """HMAC of one hash, with its full length."""

    flags = CKF.SIGN | CKF.VERIFY
    key_types = (CKK.GENERIC_SECRET,)

    def __init__(self, kind: CKM, hashed_with: CKM) -> None:
        super().__init__(kind, (1, secret.MAX_GENERIC))
        self._hash = algorithm(hashed_with)

    def sign(self, key: Material, parameter: Parameter) -> Signer:
        """Begin a code."""
        return self._begin(key, parameter)

    def verify(self, key: Material, parameter: Parameter) -> Verifier:
        """Begin a verification."""
        return HmacVerifier(self._begin(key, parameter))

    def _begin(self, key: Material, parameter: Parameter) -> HmacSigner:
        no_parameter(parameter)
        if not isinstance(key, bytes):
            raise Refusal(CKR.KEY_TYPE_INCONSISTENT, "a secret key is needed")
        return HmacSigner(key, self._hash)


class SecretGeneration(Mechanism):
    """Generic secrets of CKA_VALUE_LEN bytes (§6.9.2)."""

    flags = CKF.GENERATE
    key_types = (CKK.GENERIC_SECRET,)

    def generate(self, wanted: dict[int, bytes], parameter: Parameter) -> dict[int, bytes]:
        """Draw a secret."""
        no_parameter(parameter)
        length = as_number(wanted[CKA.VALUE_LEN])
        return {CKA.VALUE: secret.generate(CKK.GENERIC_SECRET, length)}


MECHANISMS = (
    SecretGeneration(CKM.GENERIC_SECRET_KEY_GEN, (1, secret.MAX_GENERIC)),
    Hmac(CKM.SHA_1_HMAC, CKM.SHA_1),
    Hmac(CKM.SHA224_HMAC, CKM.SHA224),
    Hmac(CKM.SHA256_HMAC, CKM.SHA256),
    Hmac(CKM.SHA384_HMAC, CKM.SHA384),
    Hmac(CKM.SHA512_HMAC, CKM.SHA512),
)
