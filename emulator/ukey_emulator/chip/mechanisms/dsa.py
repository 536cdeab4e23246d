"""DSA, its key pairs and its domain parameters (PKCS#11 3.2 §6.2)."""

from typing import ClassVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)

from ukey_emulator.chip.keys import Material
from ukey_emulator.chip.keys import dsa as keys
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKA, CKF, CKK, CKM, CKO, CKR

from .base import Mechanism, Parameter, Signer, Verifier, no_parameter
from .digests import algorithm
from .messages import PREHASHED, message

_SIZES = (min(keys.SIZES), max(keys.SIZES))


def _half(key: dsa.DSAPrivateKey | dsa.DSAPublicKey) -> int:
    """Give the length of the subprime, which r and s have each, in bytes."""
    return (key.parameters().parameter_numbers().q.bit_length() + 7) // 8


def _scheme(digest: bytes) -> Prehashed:
    """Tell the library how long the digest is; CKR_DATA_LEN_RANGE for a length of none (§6.2)."""
    try:
        return PREHASHED[len(digest)]
    except KeyError:
        raise Refusal(CKR.DATA_LEN_RANGE, "20, 28, 32, 48 or 64 bytes are signed") from None


class DsaSigner:
    """A DSA signature under way."""

    def __init__(self, key: dsa.DSAPrivateKey, hashed_with: hashes.HashAlgorithm | None) -> None:
        self._key = key
        self._message = message(hashed_with)
        self.update = self._message.update
        self._half = _half(key)
        self.length = 2 * self._half

    def finish(self) -> bytes:
        """Give r and s, each of the subprime's length (§6.2)."""
        digest = self._message.finish()
        r, s = decode_dss_signature(self._key.sign(digest, _scheme(digest)))
        return r.to_bytes(self._half, "big") + s.to_bytes(self._half, "big")


class DsaVerifier:
    """A DSA verification under way."""

    def __init__(self, key: dsa.DSAPublicKey, hashed_with: hashes.HashAlgorithm | None) -> None:
        self._key = key
        self._message = message(hashed_with)
        self.update = self._message.update
        self._half = _half(key)

    def finish(self, signature: bytes) -> None:
        """Judge the signature."""
        half = self._half
        digest = self._message.finish()
        scheme = _scheme(digest)
        if len(signature) != 2 * half:
            raise Refusal(CKR.SIGNATURE_LEN_RANGE, f"a signature has {2 * half} bytes")
        encoded = encode_dss_signature(
            int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
        )
        try:
            self._key.verify(encoded, digest, scheme)
        except InvalidSignature:
            raise Refusal(CKR.SIGNATURE_INVALID) from None


class Dsa(Mechanism):
    """DSA over a digest that the program made, or with the hash made on the key."""

    flags = CKF.SIGN | CKF.VERIFY
    key_types = (CKK.DSA,)

    def __init__(self, kind: CKM, hashed_with: CKM | None = None) -> None:
        super().__init__(kind, _SIZES)
        self._hash = None if hashed_with is None else algorithm(hashed_with)

    def sign(self, key: Material, parameter: Parameter) -> Signer:
        """Begin a signature."""
        no_parameter(parameter)
        if not isinstance(key, dsa.DSAPrivateKey):
            raise Refusal(CKR.KEY_TYPE_INCONSISTENT, "a DSA private key is needed")
        return DsaSigner(key, self._hash)

    def verify(self, key: Material, parameter: Parameter) -> Verifier:
        """Begin a verification."""
        no_parameter(parameter)
        if not isinstance(key, dsa.DSAPublicKey):
            raise Refusal(CKR.KEY_TYPE_INCONSISTENT, "a DSA public key is needed")
        return DsaVerifier(key, self._hash)


class PairGeneration(Mechanism):
    """DSA key pairs with domain parameters that the program brings."""

    flags = CKF.GENERATE_KEY_PAIR
    key_types = (CKK.DSA,)

    def generate_pair(
        self, wanted: dict[int, bytes], parameter: Parameter
    ) -> tuple[dict[int, bytes], dict[int, bytes], Material]:
        """Make a pair in the group of CKA_PRIME, CKA_SUBPRIME and CKA_BASE."""
        no_parameter(parameter)
        key = keys.generate(wanted)
        group: dict[int, bytes] = {
            part: wanted[part] for part in (CKA.PRIME, CKA.SUBPRIME, CKA.BASE)
        }
        seen, hidden = keys.public_attributes(key.public_key()), keys.private_attributes(key)
        return {**seen, **group}, {**hidden, **group}, key


class ParameterGeneration(Mechanism):
    """DSA domain parameters, with a subprime of 160 bits for 1024 and of 256 for more."""

    flags = CKF.GENERATE
    key_types = (CKK.DSA,)
    makes: ClassVar[int] = CKO.DOMAIN_PARAMETERS

    def generate(self, wanted: dict[int, bytes], parameter: Parameter) -> dict[int, bytes]:
        """Make parameters with a prime of CKA_PRIME_BITS."""
        no_parameter(parameter)
        return keys.generate_parameters(wanted)


MECHANISMS = (
    PairGeneration(CKM.DSA_KEY_PAIR_GEN, _SIZES),
    ParameterGeneration(CKM.DSA_PARAMETER_GEN, (min(keys.MADE_SIZES), max(keys.MADE_SIZES))),
    Dsa(CKM.DSA),
    Dsa(CKM.DSA_SHA1, CKM.SHA_1),
    Dsa(CKM.DSA_SHA224, CKM.SHA224),
    Dsa(CKM.DSA_SHA256, CKM.SHA256),
    Dsa(CKM.DSA_SHA384, CKM.SHA384),
    Dsa(CKM.DSA_SHA512, CKM.SHA512),
    Dsa(CKM.DSA_SHA3_224, CKM.SHA3_224),
    Dsa(CKM.DSA_SHA3_256, CKM.SHA3_256),
    Dsa(CKM.DSA_SHA3_384, CKM.SHA3_384),
    Dsa(CKM.DSA_SHA3_512, CKM.SHA3_512),
)
