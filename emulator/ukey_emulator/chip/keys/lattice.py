"""What ML-KEM and ML-DSA keys have alike: a parameter set, a seed, a value (§6.66, §6.67)."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from ukey_emulator.chip.objects.kinds import as_number, number
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKA, CKR

from . import der

Parameters = TypeVar("Parameters")


@dataclass(frozen=True, slots=True)
class ParameterSet(Generic[Parameters]):
    """One parameter set: its number (CKP_…), what the algorithm needs, its object identifier."""

    number: int
    parameters: Parameters
    identifier: bytes


@dataclass(frozen=True, slots=True)
class Family(Generic[Parameters]):
    """A lattice algorithm: its parameter sets, and how keys are expanded and checked."""

    sets: Mapping[int, ParameterSet[Parameters]]
    seed_length: int
    expand: Callable[[Parameters, bytes], tuple[bytes, bytes]]
    public_of: Callable[[Parameters, bytes], bytes | None]
    is_public: Callable[[Parameters, bytes], bool]

    def chosen(self, attributes: dict[int, bytes]) -> ParameterSet[Parameters]:
        """Find the set that CKA_PARAMETER_SET names; CKR_PARAMETER_SET_NOT_SUPPORTED."""
        wanted = as_number(attributes[CKA.PARAMETER_SET])
        try:
            return self.sets[wanted]
        except KeyError:
            raise Refusal(CKR.PARAMETER_SET_NOT_SUPPORTED, f"parameter set {wanted}") from None

    def generate(self, wanted: dict[int, bytes]) -> tuple[dict[int, bytes], dict[int, bytes]]:
        """Make a pair: give the attributes of the public and of the private material."""
        chosen = self.chosen(wanted)
        seed = secrets.token_bytes(self.seed_length)
        public, private = self.expand(chosen.parameters, seed)
        hidden: dict[int, bytes] = {
            CKA.PARAMETER_SET: number(chosen.number),
            CKA.SEED: seed,
            CKA.VALUE: private,
        }
        return {CKA.VALUE: public}, hidden

    def complete_public(self, attributes: dict[int, bytes]) -> None:
        """Check an imported public key and add what follows from it."""
        chosen = self.chosen(attributes)
        if not self.is_public(chosen.parameters, attributes[CKA.VALUE]):
            raise Refusal(CKR.ATTRIBUTE_VALUE_INVALID, "no public key of this parameter set")
        attributes[CKA.PUBLIC_KEY_INFO] = der.public_key_info(
            chosen.identifier, attributes[CKA.VALUE]
        )

    def complete_private(self, attributes: dict[int, bytes]) -> None:
        """Check an imported private key, which is a seed, a value or both.

        CKR_TEMPLATE_INCOMPLETE if it is neither, CKR_ATTRIBUTE_VALUE_INVALID if it is no key.
        """
        chosen = self.chosen(attributes)
        seed, value = attributes.get(CKA.SEED, b""), attributes.get(CKA.VALUE, b"")
        if not seed and not value:
            raise Refusal(CKR.TEMPLATE_INCOMPLETE, "neither CKA_SEED nor CKA_VALUE")
        if seed and len(seed) != self.seed_length:
            raise Refusal(CKR.ATTRIBUTE_VALUE_INVALID, f"a seed has {self.seed_length} bytes")
        if seed:
            public, expanded = self.expand(chosen.parameters, seed)
            if value not in (b"", expanded):
                raise Refusal(CKR.ATTRIBUTE_VALUE_INVALID, "CKA_VALUE is not this seed's")
            attributes[CKA.VALUE] = expanded
        else:
            found = self.public_of(chosen.parameters, value)
            if found is None:
                raise Refusal(CKR.ATTRIBUTE_VALUE_INVALID, "no private key of this parameter set")
            public = found
        attributes[CKA.PUBLIC_KEY_INFO] = der.public_key_info(chosen.identifier, public)

    def public_part(self, attributes: dict[int, bytes]) -> dict[int, bytes]:
        """Give the attributes of the public material of a private key."""
        chosen = self.chosen(attributes)
        public = self.public_of(chosen.parameters, attributes[CKA.VALUE])
        if public is None:
            raise Refusal(CKR.ATTRIBUTE_VALUE_INVALID, "no private key of this parameter set")
        return {CKA.PARAMETER_SET: attributes[CKA.PARAMETER_SET], CKA.VALUE: public}

    def encode(self, chosen: ParameterSet[Parameters], seed: bytes | None, value: bytes) -> bytes:
        """Give a private key as PKCS#8: its seed if that is known, else its value."""
        if seed:
            return der.private_key_info(chosen.identifier, der.element(der.SEED, seed))
        return der.private_key_info(chosen.identifier, der.element(der.OCTET_STRING, value))

    def decode(self, identifier: bytes, key: bytes) -> dict[int, bytes] | None:
        """Read what stands in PKCS#8; None for another algorithm's, ValueError for no key."""
        for chosen in self.sets.values():
            if chosen.identifier == identifier:
                break
        else:
            return None
        ((tag, content),) = der.elements(key)
        parts = der.elements(content) if tag == der.SEQUENCE else [(tag, content)]
        attributes: dict[int, bytes] = {CKA.PARAMETER_SET: number(chosen.number)}
        for kind, value in parts:
            if kind == der.SEED or (tag == der.SEQUENCE and len(value) == self.seed_length):
                attributes[CKA.SEED] = value
            else:
                attributes[CKA.VALUE] = value
        return attributes
