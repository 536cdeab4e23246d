"""ML-KEM keys as attributes and as loaded keys (PKCS#11 3.2 §6.67)."""

import secrets
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import mlkem as library

from ukey_emulator.terms import CKA, CKP

from . import fips203
from .curves import identified
from .lattice import Family, ParameterSet

_Private = library.MLKEM768PrivateKey | library.MLKEM1024PrivateKey
_Public = library.MLKEM768PublicKey | library.MLKEM1024PublicKey
_SETS = (
    (CKP.ML_KEM_512, fips203.ML_KEM_512, "2.16.840.1.101.3.4.4.1"),
    (CKP.ML_KEM_768, fips203.ML_KEM_768, "2.16.840.1.101.3.4.4.2"),
    (CKP.ML_KEM_1024, fips203.ML_KEM_1024, "2.16.840.1.101.3.4.4.3"),
)
FAMILY = Family(
    {
        int(kind): ParameterSet(int(kind), parameters, identified(dotted))
        for kind, parameters, dotted in _SETS
    },
    64,
    fips203.expand,
    fips203.public_of,
    fips203.is_public,
)
SIZES = (fips203.ML_KEM_512.public_length, fips203.ML_KEM_1024.public_length)


@dataclass(frozen=True, slots=True)
class MlKemPublic:
    """A public key; `known` is the library's, which has two of the three parameter sets."""

    chosen: ParameterSet[fips203.Parameters]
    value: bytes
    known: _Public | None

    def encapsulate(self) -> tuple[bytes, bytes]:
        """Give a shared secret and its ciphertext."""
        if self.known is not None:
            return self.known.encapsulate()
        return fips203.encapsulate(self.chosen.parameters, self.value, secrets.token_bytes(32))


@dataclass(frozen=True, slots=True)
class MlKemPrivate:
    """A private key; `known` is the library's, which wants the seed."""

    chosen: ParameterSet[fips203.Parameters]
    value: bytes
    seed: bytes | None
    known: _Private | None

    def decapsulate(self, ciphertext: bytes) -> bytes:
        """Give the shared secret."""
        if self.known is not None:
            return self.known.decapsulate(ciphertext)
        return fips203.decapsulate(self.chosen.parameters, self.value, ciphertext)

    def encode(self) -> bytes:
        """Give the key as PKCS#8."""
        return FAMILY.encode(self.chosen, self.seed, self.value)


def load_public(attributes: dict[int, bytes]) -> MlKemPublic:
    """Load a public key that was checked when it came in."""
    chosen, value = FAMILY.chosen(attributes), attributes[CKA.VALUE]
    known: _Public | None = None
    if chosen.parameters is fips203.ML_KEM_768:
        known = library.MLKEM768PublicKey.from_public_bytes(value)
    elif chosen.parameters is fips203.ML_KEM_1024:
        known = library.MLKEM1024PublicKey.from_public_bytes(value)
    return MlKemPublic(chosen, value, known)


def load_private(attributes: dict[int, bytes]) -> MlKemPrivate:
    """Load a private key that was checked when it came in."""
    chosen, seed = FAMILY.chosen(attributes), attributes.get(CKA.SEED)
    known: _Private | None = None
    if seed and chosen.parameters is fips203.ML_KEM_768:
        known = library.MLKEM768PrivateKey.from_seed_bytes(seed)
    elif seed and chosen.parameters is fips203.ML_KEM_1024:
        known = library.MLKEM1024PrivateKey.from_seed_bytes(seed)
    return MlKemPrivate(chosen, attributes[CKA.VALUE], seed, known)
