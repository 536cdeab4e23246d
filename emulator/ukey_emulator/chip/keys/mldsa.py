"""ML-DSA keys as attributes and as loaded keys (PKCS#11 3.2 §6.66)."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import mldsa as library

from ukey_emulator.terms import CKA, CKP

from . import fips204
from .curves import identified
from .lattice import Family, ParameterSet

_Private = library.MLDSA44PrivateKey | library.MLDSA65PrivateKey | library.MLDSA87PrivateKey
_Public = library.MLDSA44PublicKey | library.MLDSA65PublicKey | library.MLDSA87PublicKey
_PUBLIC: dict[fips204.Parameters, Callable[[bytes], _Public]] = {
    fips204.ML_DSA_44: library.MLDSA44PublicKey.from_public_bytes,
    fips204.ML_DSA_65: library.MLDSA65PublicKey.from_public_bytes,
    fips204.ML_DSA_87: library.MLDSA87PublicKey.from_public_bytes,
}
_PRIVATE: dict[fips204.Parameters, Callable[[bytes], _Private]] = {
    fips204.ML_DSA_44: library.MLDSA44PrivateKey.from_seed_bytes,
    fips204.ML_DSA_65: library.MLDSA65PrivateKey.from_seed_bytes,
    fips204.ML_DSA_87: library.MLDSA87PrivateKey.from_seed_bytes,
}
_SETS = (
    (CKP.ML_DSA_44, fips204.ML_DSA_44, "2.16.840.1.101.3.4.3.17"),
    (CKP.ML_DSA_65, fips204.ML_DSA_65, "2.16.840.1.101.3.4.3.18"),
    (CKP.ML_DSA_87, fips204.ML_DSA_87, "2.16.840.1.101.3.4.3.19"),
)
_SAME = bytes(32)
FAMILY = Family(
    {
        int(kind): ParameterSet(int(kind), parameters, identified(dotted))
        for kind, parameters, dotted in _SETS
    },
    32,
    fips204.expand,
    fips204.public_of,
    lambda parameters, public: len(public) == parameters.public_length,
)
SIZES = (fips204.ML_DSA_44.public_length, fips204.ML_DSA_87.public_length)


@dataclass(frozen=True, slots=True)
class MlDsaPublic:
    """A public key."""

    chosen: ParameterSet[fips204.Parameters]
    tr: bytes
    known: _Public

    def verifies(self, signature: bytes, mu: bytes) -> bool:
        """Tell whether a signature over a message's representative is good."""
        try:
            self.known.verify_mu(signature, mu)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class MlDsaPrivate:
    """A private key; `known` is the library's, which wants the seed."""

    chosen: ParameterSet[fips204.Parameters]
    value: bytes
    seed: bytes | None
    known: _Private | None

    @property
    def tr(self) -> bytes:
        """The digest of the public key."""
        return fips204.tr_of(self.value)

    def sign(self, mu: bytes, *, hedged: bool) -> bytes:
        """Sign a message's representative, with random bytes or the same each time."""
        if hedged and self.known is not None:
            return self.known.sign_mu(mu)
        random = secrets.token_bytes(len(_SAME)) if hedged else _SAME
        return fips204.sign(self.chosen.parameters, self.value, mu, random)

    def encode(self) -> bytes:
        """Give the key as PKCS#8."""
        return FAMILY.encode(self.chosen, self.seed, self.value)


def load_public(attributes: dict[int, bytes]) -> MlDsaPublic:
    """Load a public key that was checked when it came in."""
    chosen, value = FAMILY.chosen(attributes), attributes[CKA.VALUE]
    known = _PUBLIC[chosen.parameters](value)
    return MlDsaPublic(chosen, fips204.tr_of_public(value), known)


def load_private(attributes: dict[int, bytes]) -> MlDsaPrivate:
    """Load a private key that was checked when it came in."""
    chosen, seed = FAMILY.chosen(attributes), attributes.get(CKA.SEED)
    known = _PRIVATE[chosen.parameters](seed) if seed else None
    return MlDsaPrivate(chosen, attributes[CKA.VALUE], seed, known)
