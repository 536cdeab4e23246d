"""Key derivation in the three modes of NIST SP 800-108 (PKCS#11 3.2 §6.42)."""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives import cmac
from cryptography.hazmat.primitives import hmac as library

from ukey_emulator.chip.keys import Material, secret
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKF, CKM, CKR

from .aes import AES
from .base import Heir, Mechanism, Parameter
from .blockciphers import Family
from .derivation import value_of
from .des import DES
from .digests import algorithm

_BITS = (8, 8 * secret.MAX_GENERIC)

# CK_PRF_DATA_TYPE and the method of the length (PKCS#11 3.2 §6.42.3).
_ITERATION, _COUNTER, _LENGTH, _BYTES, _KEY = range(1, 6)
_SUM_OF_KEYS, _SUM_OF_SEGMENTS = 1, 2
_COUNTER_FORMAT = struct.Struct("<B7xQ")
_LENGTH_FORMAT = struct.Struct("<QB7xQ")
_WIDTHS = (8, 16, 24, 32, 64)

_HMACS: dict[int, CKM] = {
    CKM.SHA_1_HMAC: CKM.SHA_1,
    CKM.SHA224_HMAC: CKM.SHA224,
    CKM.SHA256_HMAC: CKM.SHA256,
    CKM.SHA384_HMAC: CKM.SHA384,
    CKM.SHA512_HMAC: CKM.SHA512,
    CKM.SHA3_224_HMAC: CKM.SHA3_224,
    CKM.SHA3_256_HMAC: CKM.SHA3_256,
    CKM.SHA3_384_HMAC: CKM.SHA3_384,
    CKM.SHA3_512_HMAC: CKM.SHA3_512,
}
_CMACS: dict[int, Family] = {CKM.AES_CMAC: AES, CKM.DES3_CMAC: DES}

Prf = Callable[[bytes], bytes]


def _prf(kind: int, key: bytes) -> tuple[Prf, int]:
    """Give a pseudo-random function under a key, and how many bytes it gives."""
    if kind in _HMACS:
        hashed = algorithm(_HMACS[kind])

        def code(data: bytes) -> bytes:
            context = library.HMAC(key, hashed)
            context.update(data)
            return context.finalize()

        return code, hashed.digest_size
    if kind not in _CMACS:
        raise Refusal(CKR.MECHANISM_PARAM_INVALID, f"no pseudo-random function {kind:#x}")
    family = _CMACS[kind]

    def block_code(data: bytes) -> bytes:
        context = cmac.CMAC(family.algorithm(key))
        context.update(data)
        return context.finalize()

    try:
        family.algorithm(key)
    except ValueError as error:
        raise Refusal(CKR.KEY_TYPE_INCONSISTENT, str(error)) from None
    return block_code, family.block


@dataclass(slots=True)
class Recipe:
    """How the input of the function is put together: a list of parts, in order."""

    parts: list[tuple[int, bytes]]
    length: int
    segments: int
    others: list[bytes]

    def build(self, iteration: bytes, count: int | None) -> bytes:
        """Put the input together for one round; before the first there is no count."""
        keys = iter(self.others)
        pieces = []
        for kind, value in self.parts:
            if kind == _KEY:
                pieces.append(next(keys))
            elif kind == _LENGTH:
                pieces.append(self._length(value))
            elif kind == _ITERATION and not value:
                pieces.append(iteration)
            elif kind in (_ITERATION, _COUNTER):
                pieces.append(b"" if count is None else _counted(value, count))
            else:
                pieces.append(value)
        return b"".join(pieces)

    def _length(self, value: bytes) -> bytes:
        method, little, width = _LENGTH_FORMAT.unpack(value)
        total = self.length if method == _SUM_OF_KEYS else self.segments
        return _number(8 * total, little, width)


def _counted(value: bytes, count: int) -> bytes:
    return _number(count, *_COUNTER_FORMAT.unpack(value))


def _number(number: int, little: int, width: int) -> bytes:
    if width not in _WIDTHS or little not in (0, 1):
        raise Refusal(CKR.MECHANISM_PARAM_INVALID, f"no number of {width} bits")
    if number >> width:
        raise Refusal(CKR.MECHANISM_PARAM_INVALID, f"{number} does not fit {width} bits")
    return number.to_bytes(width // 8, "little" if little else "big")


class Sp800108(Mechanism):
    """The three modes of SP 800-108; the parameter is CK_SP800_108_…KDF_PARAMS.

    One key at a time: a parameter that asks for more is CKR_MECHANISM_PARAM_INVALID.
    """

    flags = CKF.DERIVE
    key_types = secret.TYPES
    heir = Heir.LIKE

    def __init__(self, kind: CKM) -> None:
        super().__init__(kind, _BITS)

    def handles(self, parameter: Parameter) -> tuple[int, ...]:
        """Give the handles of the keys that stand in the input."""
        return tuple(
            int.from_bytes(value, "little")
            for kind, value in self._read(parameter)[1]
            if kind == _KEY
        )

    def derive_with(
        self,
        base: Material,
        others: tuple[Material, ...],
        parameter: Parameter,
        length: int | None,
    ) -> bytes:
        """Derive; a length is needed (CKR_TEMPLATE_INCOMPLETE)."""
        kind, parts, start = self._read(parameter)
        if length is None:
            raise Refusal(CKR.TEMPLATE_INCOMPLETE, "how long the key shall be is missing")
        prf, size = _prf(kind, value_of(base))
        rounds = -(-length // size)
        recipe = Recipe(parts, length, rounds * size, [value_of(other) for other in others])
        return b"".join(self._segments(prf, recipe, start, rounds))[:length]

    def _segments(self, prf: Prf, recipe: Recipe, start: bytes, rounds: int) -> list[bytes]:
        """Run the function as often as is needed."""
        made: list[bytes] = []
        pipeline = recipe.build(b"", None)
        for count in range(1, rounds + 1):
            match self.kind:
                case CKM.SP800_108_COUNTER_KDF:
                    iteration = b""
                case CKM.SP800_108_FEEDBACK_KDF:
                    iteration = made[-1] if made else start
                case _:
                    iteration = pipeline = prf(pipeline)
            made.append(prf(recipe.build(iteration, count)))
        return made

    def _read(self, parameter: Parameter) -> tuple[int, list[tuple[int, bytes]], bytes]:
        match parameter:
            case (int(kind), list(items), int(more)):
                start = b""
            case (int(kind), list(items), bytes() | None as given, int(more)):
                start = given or b""
            case _:
                raise Refusal(CKR.MECHANISM_PARAM_INVALID, "CK_SP800_108_KDF_PARAMS expected")
        if more:
            raise Refusal(CKR.MECHANISM_PARAM_INVALID, "one key is derived at a time")
        parts = [(int(item[0]), bytes(item[1] or b"")) for item in items]
        self._check([number for number, _ in parts])
        for number, value in parts:
            if len(value) not in self._lengths(number, len(value)):
                raise Refusal(CKR.MECHANISM_PARAM_INVALID, "a part has the wrong length")
        return kind, parts, start

    def _check(self, kinds: list[int]) -> None:
        """Refuse a list of parts that has not what it must have, or what it may not have."""
        counting = self.kind == CKM.SP800_108_COUNTER_KDF
        if kinds.count(_ITERATION) != 1 or (counting and _COUNTER in kinds):
            raise Refusal(CKR.MECHANISM_PARAM_INVALID, "one iteration variable, and no counter")
        if kinds.count(_COUNTER) > 1 or kinds.count(_LENGTH) > 1:
            raise Refusal(CKR.MECHANISM_PARAM_INVALID, "counter and length stand once at most")

    def _lengths(self, kind: int, present: int) -> tuple[int, ...]:
        """Give the lengths that a part of a kind can have: bytes are at least one."""
        if kind == _ITERATION:
            counting = self.kind == CKM.SP800_108_COUNTER_KDF
            return (_COUNTER_FORMAT.size,) if counting else (0,)
        sizes = {_COUNTER: _COUNTER_FORMAT.size, _LENGTH: _LENGTH_FORMAT.size, _KEY: 8}
        if kind in sizes:
            return (sizes[kind],)
        return (present,) if kind == _BYTES and present else ()


MECHANISMS = (
    Sp800108(CKM.SP800_108_COUNTER_KDF),
    Sp800108(CKM.SP800_108_FEEDBACK_KDF),
    Sp800108(CKM.SP800_108_DOUBLE_PIPELINE_KDF),
)
