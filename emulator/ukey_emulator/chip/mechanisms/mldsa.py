"""ML-DSA, pure and of a digest (PKCS#11 3.2 §6.66, FIPS 204)."""

import hashlib
from typing import Protocol

from ukey_emulator.chip.keys import Material
from ukey_emulator.chip.keys import mldsa as keys
from ukey_emulator.chip.keys.curves import identified
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKF, CKH, CKK, CKM, CKR

from .base import Mechanism, Parameter, Signer, Verifier, no_parameter
from .messages import Gathered

_MU_LENGTH = 64
_MAX_CONTEXT = 255
_PURE, _OF_DIGEST = b"\0", b"\1"
_DIGESTS = "2.16.840.1.101.3.4.2."

# Hash → the library's name, the last number of its object identifier, the bytes that it gives.
_HASHES: dict[int, tuple[str, int, int]] = {
    CKM.SHA256: ("sha256", 1, 32),
    CKM.SHA384: ("sha384", 2, 48),
    CKM.SHA512: ("sha512", 3, 64),
    CKM.SHA224: ("sha224", 4, 28),
    CKM.SHA512_224: ("sha512_224", 5, 28),
    CKM.SHA512_256: ("sha512_256", 6, 32),
    CKM.SHA3_224: ("sha3_224", 7, 28),
    CKM.SHA3_256: ("sha3_256", 8, 32),
    CKM.SHA3_384: ("sha3_384", 9, 48),
    CKM.SHA3_512: ("sha3_512", 10, 64),
}
_SHAKE128 = ("shake_128", 11, 32)
_SHAKE256 = ("shake_256", 12, 64)


class Message(Protocol):
    """A message from which the representative μ is made."""

    def update(self, data: bytes) -> None:
        """Take a part."""

    def finish(self) -> bytes:
        """Give μ; CKR_DATA_LEN_RANGE if the message has a length that cannot be."""


class PureMessage:
    """A message that is signed itself (FIPS 204 §5.2)."""

    def __init__(self, tr: bytes, context: bytes) -> None:
        self._hash = hashlib.shake_256(tr + _PURE + bytes([len(context)]) + context)
        self.update = self._hash.update

    def finish(self) -> bytes:
        """Give μ."""
        return self._hash.digest(_MU_LENGTH)


class DigestMessage:
    """A message that comes as its digest (§5.4)."""

    def __init__(self, tr: bytes, context: bytes, form: tuple[str, int, int]) -> None:
        _, arc, self._length = form
        head = _OF_DIGEST + bytes([len(context)]) + context
        self._head = tr + head + identified(f"{_DIGESTS}{arc}")
        self._message = Gathered()
        self.update = self._message.update

    def finish(self) -> bytes:
        """Give μ."""
        digest = self._message.finish()
        if len(digest) != self._length:
            raise Refusal(CKR.DATA_LEN_RANGE, f"the digest has {self._length} bytes")
        return hashlib.shake_256(self._head + digest).digest(_MU_LENGTH)


class HashedMessage:
    """A message of which the digest is made here and signed (§5.4)."""

    def __init__(self, tr: bytes, context: bytes, form: tuple[str, int, int]) -> None:
        name, _, self._length = form
        self._digest = DigestMessage(tr, context, form)
        self._hash = hashlib.new(name)
        self._is_shake = name.startswith("shake")
        self.update = self._hash.update

    def finish(self) -> bytes:
        """Give μ."""
        # Only a SHAKE is told how much it shall give.
        length = (self._length,) if self._is_shake else ()
        self._digest.update(self._hash.digest(*length))
        return self._digest.finish()


class MlDsaSigner:
    """An ML-DSA signature under way."""

    def __init__(self, key: keys.MlDsaPrivate, message: Message, *, hedged: bool) -> None:
        self._key = key
        self._message = message
        self._hedged = hedged
        self.update = message.update
        self.length = key.chosen.parameters.signature_length

    def finish(self) -> bytes:
        """Give the signature."""
        return self._key.sign(self._message.finish(), hedged=self._hedged)


class MlDsaVerifier:
    """An ML-DSA verification under way."""

    def __init__(self, key: keys.MlDsaPublic, message: Message) -> None:
        self._key = key
        self._message = message
        self.update = message.update

    def finish(self, signature: bytes) -> None:
        """Judge the signature."""
        length = self._key.chosen.parameters.signature_length
        mu = self._message.finish()
        if len(signature) != length:
            raise Refusal(CKR.SIGNATURE_LEN_RANGE, f"a signature has {length} bytes")
        if not self._key.verifies(signature, mu):
            raise Refusal(CKR.SIGNATURE_INVALID)


class MlDsa(Mechanism):
    """ML-DSA of a message; the parameter is CK_SIGN_ADDITIONAL_CONTEXT, or none (§6.66.5)."""

    flags = CKF.SIGN | CKF.VERIFY
    key_types = (CKK.ML_DSA,)

    def __init__(self, kind: CKM) -> None:
        super().__init__(kind, keys.SIZES)

    def sign(self, key: Material, parameter: Parameter) -> Signer:
        """Begin a signature, which is hedged unless it shall be the same each time."""
        if not isinstance(key, keys.MlDsaPrivate):
            raise Refusal(CKR.KEY_TYPE_INCONSISTENT, "an ML-DSA private key is needed")
        message = self.message(key.tr, parameter)
        hedged = _hedge(parameter) != CKH.DETERMINISTIC_REQUIRED
        return MlDsaSigner(key, message, hedged=hedged)

    def verify(self, key: Material, parameter: Parameter) -> Verifier:
        """Begin a verification."""
        if not isinstance(key, keys.MlDsaPublic):
            raise Refusal(CKR.KEY_TYPE_INCONSISTENT, "an ML-DSA public key is needed")
        return MlDsaVerifier(key, self.message(key.tr, parameter))

    def message(self, tr: bytes, parameter: Parameter) -> Message:
        """Begin to take the message in."""
        return PureMessage(tr, _context(parameter))


class HashMlDsa(MlDsa):
    """ML-DSA of a digest that the program made; CK_HASH_SIGN_ADDITIONAL_CONTEXT (§6.66.6)."""

    def message(self, tr: bytes, parameter: Parameter) -> Message:
        """Begin to take the digest in."""
        match parameter:
            case (int(hedge), bytes() | None as context, int(hashed)) if hashed in _HASHES:
                context = _context((hedge, context))
                return DigestMessage(tr, context, _HASHES[hashed])
            case _:
                raise Refusal(
                    CKR.MECHANISM_PARAM_INVALID, "CK_HASH_SIGN_ADDITIONAL_CONTEXT expected"
                )


class HashedMlDsa(MlDsa):
    """ML-DSA of a digest that is made here (§6.66.7)."""

    def __init__(self, kind: CKM, form: tuple[str, int, int]) -> None:
        super().__init__(kind)
        self._form = form

    def message(self, tr: bytes, parameter: Parameter) -> Message:
        """Begin to take the message in."""
        return HashedMessage(tr, _context(parameter), self._form)


def _hedge(parameter: Parameter) -> int:
    return CKH.HEDGE_PREFERRED if not parameter else int(parameter[0])  # type: ignore[call-overload]


def _context(parameter: Parameter) -> bytes:
    """Read the context of CK_SIGN_ADDITIONAL_CONTEXT, which is empty if there is none."""
    match parameter:
        case None | b"":
            return b""
        case (
            CKH.HEDGE_PREFERRED | CKH.HEDGE_REQUIRED | CKH.DETERMINISTIC_REQUIRED,
            bytes(context),
        ):
            pass
        case _:
            raise Refusal(CKR.MECHANISM_PARAM_INVALID, "CK_SIGN_ADDITIONAL_CONTEXT expected")
    if len(context) > _MAX_CONTEXT:
        raise Refusal(CKR.MECHANISM_PARAM_INVALID, f"a context has at most {_MAX_CONTEXT} bytes")
    return context


class PairGeneration(Mechanism):
    """ML-DSA pairs of the parameter set that CKA_PARAMETER_SET names (§6.66.4)."""

    flags = CKF.GENERATE_KEY_PAIR
    key_types = (CKK.ML_DSA,)

    def generate_pair(
        self, wanted: dict[int, bytes], parameter: Parameter
    ) -> tuple[dict[int, bytes], dict[int, bytes], Material]:
        """Make a pair."""
        no_parameter(parameter)
        public, private = keys.FAMILY.generate(wanted)
        return public, private, keys.load_private(private)


MECHANISMS = (
    PairGeneration(CKM.ML_DSA_KEY_PAIR_GEN, keys.SIZES),
    MlDsa(CKM.ML_DSA),
    HashMlDsa(CKM.HASH_ML_DSA),
    HashedMlDsa(CKM.HASH_ML_DSA_SHA224, _HASHES[CKM.SHA224]),
    HashedMlDsa(CKM.HASH_ML_DSA_SHA256, _HASHES[CKM.SHA256]),
    HashedMlDsa(CKM.HASH_ML_DSA_SHA384, _HASHES[CKM.SHA384]),
    HashedMlDsa(CKM.HASH_ML_DSA_SHA512, _HASHES[CKM.SHA512]),
    HashedMlDsa(CKM.HASH_ML_DSA_SHA3_224, _HASHES[CKM.SHA3_224]),
    HashedMlDsa(CKM.HASH_ML_DSA_SHA3_256, _HASHES[CKM.SHA3_256]),
    HashedMlDsa(CKM.HASH_ML_DSA_SHA3_384, _HASHES[CKM.SHA3_384]),
    HashedMlDsa(CKM.HASH_ML_DSA_SHA3_512, _HASHES[CKM.SHA3_512]),
    HashedMlDsa(CKM.HASH_ML_DSA_SHAKE128, _SHAKE128),
    HashedMlDsa(CKM.HASH_ML_DSA_SHAKE256, _SHAKE256),
)
