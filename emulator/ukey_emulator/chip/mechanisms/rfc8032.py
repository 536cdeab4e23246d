"""The schemes of RFC 8032 that the library lacks: with a context, and prehashed.

Plain integers, not made to withstand timing: this key is for tests.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

Point = tuple[int, int, int]  # projective: x/z, y/z


@dataclass(frozen=True, slots=True)
class Curve:
    """A twisted Edwards curve a·x² + y² = 1 + d·x²·y² with what RFC 8032 §5 sets beside it."""

    prime: int
    a: int
    d: int
    order: int
    base: Point
    length: int
    cofactor_bits: int
    top_bit: int
    prefix: bytes
    digest: Callable[[bytes], bytes]
    prehash: Callable[[bytes], bytes]

    def sign(self, secret: bytes, message: bytes, context: bytes, *, prehashed: bool) -> bytes:
        """Sign (RFC 8032 §5.1.6, §5.2.6); a context has at most 255 bytes."""
        scalar, nonce_key = self._expand(secret)
        public = self._encode(self._multiply(scalar, self.base))
        head = self._head(context, prehashed=prehashed)
        if prehashed:
            message = self.prehash(message)
        r = self._number(head + nonce_key + message)
        commitment = self._encode(self._multiply(r, self.base))
        k = self._number(head + commitment + public + message)
        s = (r + k * scalar) % self.order
        return commitment + s.to_bytes(self.length, "little")

    def verify(
        self, public: bytes, signature: bytes, message: bytes, context: bytes, *, prehashed: bool
    ) -> bool:
        """Tell whether a signature of twice the curve's length is good (§5.1.7, §5.2.7)."""
        commitment, s_bytes = signature[: self.length], signature[self.length :]
        s = int.from_bytes(s_bytes, "little")
        point = self._decode(public)
        if point is None or s >= self.order:
            return False
        head = self._head(context, prehashed=prehashed)
        if prehashed:
            message = self.prehash(message)
        k = self._number(head + commitment + public + message)
        x, y, z = point
        wanted = self._add(self._multiply(s, self.base), self._multiply(k, (-x, y, z)))
        return self._encode(wanted) == commitment

    def _head(self, context: bytes, *, prehashed: bool) -> bytes:
        return self.prefix + bytes([prehashed, len(context)]) + context

    def _number(self, data: bytes) -> int:
        return int.from_bytes(self.digest(data), "little") % self.order

    def _expand(self, secret: bytes) -> tuple[int, bytes]:
        hashed = self.digest(secret)
        scalar = int.from_bytes(hashed[: self.length], "little")
        scalar &= (1 << self.top_bit) - (1 << self.cofactor_bits)
        return scalar | 1 << self.top_bit, hashed[self.length :]

    def _add(self, one: Point, other: Point) -> Point:
        x1, y1, z1 = one
        x2, y2, z2 = other
        p = self.prime
        z = z1 * z2 % p
        squared = z * z % p
        xx, yy = x1 * x2 % p, y1 * y2 % p
        e = self.d * xx * yy % p
        f, g = squared - e, squared + e
        x = z * f * ((x1 + y1) * (x2 + y2) - xx - yy) % p
        y = z * g * (yy - self.a * xx) % p
        return x, y, f * g % p

    def _multiply(self, scalar: int, point: Point) -> Point:
        total: Point = (0, 1, 1)
        for bit in f"{scalar:b}":
            total = self._add(total, total)
            if bit == "1":
                total = self._add(total, point)
        return total

    def _encode(self, point: Point) -> bytes:
        x, y, z = point
        inverse = pow(z, -1, self.prime)
        x, y = x * inverse % self.prime, y * inverse % self.prime
        return (y | (x & 1) << (8 * self.length - 1)).to_bytes(self.length, "little")

    def _decode(self, data: bytes) -> Point | None:
        p = self.prime
        number = int.from_bytes(data, "little")
        sign, y = number >> (8 * self.length - 1), number & ~(1 << (8 * self.length - 1))
        if y >= p:
            return None
        square = (y * y - 1) * pow(self.d * y * y - self.a, -1, p) % p
        if p % 4 == 3:  # noqa: PLR2004 - the case of Ed448
            x = pow(square, (p + 1) // 4, p)
        else:
            x = pow(square, (p + 3) // 8, p)
            if x * x % p != square:
                x = x * pow(2, (p - 1) // 4, p) % p
        if x * x % p != square or (not x and sign):
            return None
        return (p - x if x & 1 != sign else x), y, 1


_P25519 = 2**255 - 19
_P448 = 2**448 - 2**224 - 1

ED25519 = Curve(
    prime=_P25519,
    a=-1,
    d=-121665 * pow(121666, -1, _P25519) % _P25519,
    order=2**252 + 27742317777372353535851937790883648493,
    base=(
        15112221349535400772501151409588531511454012693041857206046113283949847762202,
        46316835694926478169428394003475163141307993866256225615783033603165251855960,
        1,
    ),
    length=32,
    cofactor_bits=3,
    top_bit=254,
    prefix=b"SigEd25519 no Ed25519 collisions",
    digest=lambda data: hashlib.sha512(data).digest(),
    prehash=lambda data: hashlib.sha512(data).digest(),
)
ED448 = Curve(
    prime=_P448,
    a=1,
    d=-39081,
    order=2**446 - 13818066809895115352007386748515426880336692474882178609894547503885,
    base=(
        int(
            "224580040295924300187604334099896036246789641632564134246125461"
            "686950415467406032909029192869357953282578032075146446173674602635247710"
        ),
        int(
            "298819210078481492676017930443930673437544040154080242095928241"
            "372331506189835876003536878655418784733982303233503462500531545062832660"
        ),
        1,
    ),
    length=57,
    cofactor_bits=2,
    top_bit=447,
    prefix=b"SigEd448",
    digest=lambda data: hashlib.shake_256(data).digest(114),
    prehash=lambda data: hashlib.shake_256(data).digest(64),
)
