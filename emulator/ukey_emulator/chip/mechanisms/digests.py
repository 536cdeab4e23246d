"""Digests: MD5, SHA-1, SHA-2 and SHA-3 (PKCS#11 3.2 §6.16-§6.22, §6.29; 2.40 Hist §2.11)."""

from cryptography.hazmat.primitives import hashes

from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKF, CKG, CKM, CKR

from .base import Digester, Mechanism, Parameter, no_parameter

ALGORITHMS: dict[int, hashes.HashAlgorithm] = {
    CKM.MD5: hashes.MD5(),  # noqa: S303 - the standard's own mechanism, for old programs
    CKM.SHA_1: hashes.SHA1(),  # noqa: S303 - the standard's own mechanism
    CKM.SHA224: hashes.SHA224(),
    CKM.SHA256: hashes.SHA256(),
    CKM.SHA384: hashes.SHA384(),
    CKM.SHA512: hashes.SHA512(),
    CKM.SHA512_224: hashes.SHA512_224(),
    CKM.SHA512_256: hashes.SHA512_256(),
    CKM.SHA3_224: hashes.SHA3_224(),
    CKM.SHA3_256: hashes.SHA3_256(),
    CKM.SHA3_384: hashes.SHA3_384(),
    CKM.SHA3_512: hashes.SHA3_512(),
}

_MASK_GENERATORS: dict[int, int] = {
    CKG.MGF1_SHA1: CKM.SHA_1,
    CKG.MGF1_SHA224: CKM.SHA224,
    CKG.MGF1_SHA256: CKM.SHA256,
    CKG.MGF1_SHA384: CKM.SHA384,
    CKG.MGF1_SHA512: CKM.SHA512,
    CKG.MGF1_SHA3_224: CKM.SHA3_224,
    CKG.MGF1_SHA3_256: CKM.SHA3_256,
    CKG.MGF1_SHA3_384: CKM.SHA3_384,
    CKG.MGF1_SHA3_512: CKM.SHA3_512,
}


def algorithm(mechanism: int) -> hashes.HashAlgorithm:
    """Find the hash that a parameter names; CKR_MECHANISM_PARAM_INVALID for another."""
    try:
        return ALGORITHMS[mechanism]
    except KeyError:
        raise Refusal(CKR.MECHANISM_PARAM_INVALID, f"no hash {mechanism:#x}") from None


def mask_algorithm(generator: int) -> hashes.HashAlgorithm:
    """Find the hash of a mask generation function (CKG_MGF1_…)."""
    return algorithm(_MASK_GENERATORS.get(generator, generator))


class Hashing:
    """A digest under way, over the library's own."""

    def __init__(self, chosen: hashes.HashAlgorithm) -> None:
        self._algorithm = chosen
        self._context = hashes.Hash(chosen)
        self.length = chosen.digest_size

    def update(self, data: bytes) -> None:
        """Take a part of the message."""
        self._context.update(data)

    def copy(self) -> "Hashing":
        """Give a digest that goes on from here by itself."""
        twin = Hashing(self._algorithm)
        twin._context = self._context.copy()
        return twin

    def finish(self) -> bytes:
        """Give the digest."""
        return self._context.finalize()


class Digest(Mechanism):
    """A plain digest."""

    flags = CKF.DIGEST

    def digest(self, parameter: Parameter) -> Digester:
        """Begin a digest."""
        no_parameter(parameter)
        return Hashing(ALGORITHMS[self.kind])


MECHANISMS = tuple(Digest(CKM(kind)) for kind in ALGORITHMS)
