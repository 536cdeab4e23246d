"""ML-DSA as FIPS 204 writes it down, for what the library lacks.

That is the private key in full, keys without their seed, and signatures that are the same each
time. Plain integers, not made to withstand timing: this key is for tests.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

_Q = 8380417
_N = 256
_D = 13
_INVERSE_N = 8347681

Polynomial = list[int]


def _reversed_bits(number: int) -> int:
    return int(f"{number:08b}"[::-1], 2)


_ZETAS = [pow(1753, _reversed_bits(i), _Q) for i in range(_N)]


@dataclass(frozen=True, slots=True)
class Parameters:
    """A parameter set (FIPS 204 §4)."""

    k: int
    l: int  # noqa: E741 - the standard's letter
    eta: int
    tau: int
    gamma1_bits: int
    gamma2: int
    omega: int
    challenge_length: int

    @property
    def beta(self) -> int:
        """The most that a challenge can move a coefficient."""
        return self.tau * self.eta

    @property
    def eta_bits(self) -> int:
        """The bits of a coefficient of the secret."""
        return (2 * self.eta).bit_length()

    @property
    def public_length(self) -> int:
        """The bytes of a public key."""
        return 32 + 320 * self.k

    @property
    def private_length(self) -> int:
        """The bytes of a private key."""
        return 128 + 32 * (self.eta_bits * (self.k + self.l) + _D * self.k)

    @property
    def signature_length(self) -> int:
        """The bytes of a signature."""
        return self.challenge_length + 32 * self.l * (1 + self.gamma1_bits) + self.omega + self.k


ML_DSA_44 = Parameters(4, 4, 2, 39, 17, (_Q - 1) // 88, 80, 32)
ML_DSA_65 = Parameters(6, 5, 4, 49, 19, (_Q - 1) // 32, 55, 48)
ML_DSA_87 = Parameters(8, 7, 2, 60, 19, (_Q - 1) // 32, 75, 64)


def expand(parameters: Parameters, seed: bytes) -> tuple[bytes, bytes]:
    """Make both keys of a seed: the public and the private (FIPS 204 §6.1)."""
    k, l = parameters.k, parameters.l  # noqa: E741
    hashed = hashlib.shake_256(seed + bytes([k, l])).digest(128)
    rho, secret, key = hashed[:32], hashed[32:96], hashed[96:]
    s = [_short(parameters.eta, secret, count) for count in range(k + l)]
    return _joined(parameters, rho, key, s)


def public_of(parameters: Parameters, private: bytes) -> bytes | None:
    """Make the public key of a private one; None if that does not hold together."""
    if len(private) != parameters.private_length:
        return None
    rho, key, _, s, _ = _read(parameters, private)
    if any(not -parameters.eta <= number <= parameters.eta for part in s for number in part):
        return None
    public, again = _joined(parameters, rho, key, s)
    return public if again == private else None


def tr_of(private: bytes) -> bytes:
    """Give the digest of the public key, which stands in the private one."""
    return private[64:128]


def tr_of_public(public: bytes) -> bytes:
    """Make the digest of a public key."""
    return hashlib.shake_256(public).digest(64)


def sign(parameters: Parameters, private: bytes, mu: bytes, random: bytes) -> bytes:
    """Sign a message's representative with 32 random bytes, zeros for the same each time (§6.2)."""
    k, l, gamma2 = parameters.k, parameters.l, parameters.gamma2  # noqa: E741
    gamma1, beta = 1 << parameters.gamma1_bits, parameters.beta
    rho, key, _, s, t0 = _read(parameters, private)
    matrix = _matrix(parameters, rho)
    s1, s2 = [_ntt(part) for part in s[:l]], [_ntt(part) for part in s[l:]]
    t0_ntt = [_ntt(part) for part in t0]
    mask_seed = hashlib.shake_256(key + random + mu).digest(64)
    count = 0
    while True:
        y = [_mask(parameters, mask_seed, count + i) for i in range(l)]
        count += l
        y_ntt = [_ntt(part) for part in y]
        w = [_inverse_ntt(_product(row, y_ntt)) for row in matrix]
        high = [[_split(number, gamma2)[0] for number in part] for part in w]
        challenge = hashlib.shake_256(mu + _encode_high(gamma2, high)).digest(
            parameters.challenge_length
        )
        c = _ntt(_ball(parameters.tau, challenge))
        z = [_sum(one, _inverse_ntt(_times(c, two))) for one, two in zip(y, s1, strict=True)]
        if _norm(z) >= gamma1 - beta:
            continue
        rest = [_sum(one, _inverse_ntt(_times(c, two)), -1) for one, two in zip(w, s2, strict=True)]
        if max(abs(_split(number, gamma2)[1]) for part in rest for number in part) >= gamma2 - beta:
            continue
        moved = [_inverse_ntt(_times(c, part)) for part in t0_ntt]
        if _norm(moved) >= gamma2:
            continue
        hints = [_hint(one, two, gamma2) for one, two in zip(moved, rest, strict=True)]
        if sum(map(len, hints)) <= parameters.omega:
            break
    bits = 1 + parameters.gamma1_bits
    body = b"".join(_pack((gamma1 - _centred(n) for n in part), bits) for part in z)
    return challenge + body + _encode_hints(parameters, hints, k)


def _joined(
    parameters: Parameters, rho: bytes, key: bytes, s: list[Polynomial]
) -> tuple[bytes, bytes]:
    """Put the public and the private key together from their parts."""
    l, eta = parameters.l, parameters.eta  # noqa: E741
    s1 = [_ntt(part) for part in s[:l]]
    public, low = rho, b""
    for row, noise in zip(_matrix(parameters, rho), s[l:], strict=True):
        t = _sum(_inverse_ntt(_product(row, s1)), noise)
        t0 = [(number + (1 << _D - 1) - 1 & (1 << _D) - 1) - (1 << _D - 1) + 1 for number in t]
        public += _pack(((a - b) >> _D for a, b in zip(t, t0, strict=True)), 10)
        low += _pack(((1 << _D - 1) - number for number in t0), _D)
    secret = b"".join(_pack((eta - number for number in part), parameters.eta_bits) for part in s)
    tr = tr_of_public(public)
    return public, rho + key + tr + secret + low


def _read(
    parameters: Parameters, private: bytes
) -> tuple[bytes, bytes, bytes, list[Polynomial], list[Polynomial]]:
    """Take a private key apart: ρ, K, tr, s1 and s2, t0."""
    bits, parts = parameters.eta_bits, parameters.k + parameters.l
    cut = 128 + 32 * bits * parts
    s = [
        [parameters.eta - number for number in _unpack(chunk, bits)]
        for chunk in _chunks(private[128:cut], 32 * bits)
    ]
    t0 = [
        [(1 << _D - 1) - number for number in _unpack(chunk, _D)]
        for chunk in _chunks(private[cut:], 32 * _D)
    ]
    return private[:32], private[32:64], private[64:128], s, t0


def _matrix(parameters: Parameters, rho: bytes) -> list[list[Polynomial]]:
    return [
        [_uniform(rho + bytes([column, row])) for column in range(parameters.l)]
        for row in range(parameters.k)
    ]


def _uniform(seed: bytes) -> Polynomial:
    """RejNTTPoly (§7.3)."""
    size = 894
    while True:
        stream = hashlib.shake_128(seed).digest(size)
        numbers = [
            number
            for number in (
                int.from_bytes(chunk, "little") & 0x7FFFFF for chunk in _chunks(stream, 3)
            )
            if number < _Q
        ]
        if len(numbers) >= _N:
            return numbers[:_N]
        size *= 2


def _short(eta: int, seed: bytes, count: int) -> Polynomial:
    """RejBoundedPoly (§7.3)."""
    size = 512
    while True:
        stream = hashlib.shake_256(seed + count.to_bytes(2, "little")).digest(size)
        halves = (half for byte in stream for half in (byte & 15, byte >> 4))
        if eta == 2:  # noqa: PLR2004 - one of the two that there are
            numbers = [2 - half % 5 for half in halves if half < 15]  # noqa: PLR2004
        else:
            numbers = [4 - half for half in halves if half < 9]  # noqa: PLR2004
        if len(numbers) >= _N:
            return numbers[:_N]
        size *= 2


def _mask(parameters: Parameters, seed: bytes, count: int) -> Polynomial:
    """ExpandMask, for one polynomial (§7.3)."""
    bits = 1 + parameters.gamma1_bits
    stream = hashlib.shake_256(seed + count.to_bytes(2, "little")).digest(32 * bits)
    return [(1 << parameters.gamma1_bits) - number for number in _unpack(stream, bits)]


def _ball(tau: int, seed: bytes) -> Polynomial:
    """SampleInBall (§7.3)."""
    stream = iter(hashlib.shake_256(seed).digest(2048))
    signs = int.from_bytes(bytes(next(stream) for _ in range(8)), "little")
    c = [0] * _N
    for i in range(_N - tau, _N):
        j = next(byte for byte in stream if byte <= i)
        c[i], c[j] = c[j], 1 - 2 * (signs & 1)
        signs >>= 1
    return c


def _split(number: int, gamma2: int) -> tuple[int, int]:
    """Decompose into high and low part (§7.4)."""
    number %= _Q
    low = number % (2 * gamma2)
    if low > gamma2:
        low -= 2 * gamma2
    if number - low == _Q - 1:
        return 0, low - 1
    return (number - low) // (2 * gamma2), low


def _hint(moved: Polynomial, rest: Polynomial, gamma2: int) -> list[int]:
    """MakeHint: where the high part changes (§7.4)."""
    return [
        i
        for i, (one, two) in enumerate(zip(moved, rest, strict=True))
        if _split(two, gamma2)[0] != _split(two + one, gamma2)[0]
    ]


def _encode_hints(parameters: Parameters, hints: list[list[int]], k: int) -> bytes:
    places = bytes(i for part in hints for i in part)
    ends = [0]
    for part in hints:
        ends.append(ends[-1] + len(part))
    return places.ljust(parameters.omega, b"\0") + bytes(ends[1 : k + 1])


def _encode_high(gamma2: int, high: list[Polynomial]) -> bytes:
    bits = ((_Q - 1) // (2 * gamma2) - 1).bit_length()
    return b"".join(_pack(part, bits) for part in high)


def _centred(number: int) -> int:
    number %= _Q
    return number - _Q if number > _Q // 2 else number


def _norm(vector: list[Polynomial]) -> int:
    return max(abs(_centred(number)) for part in vector for number in part)


def _sum(one: Polynomial, other: Polynomial, sign: int = 1) -> Polynomial:
    return [(a + sign * b) % _Q for a, b in zip(one, other, strict=True)]


def _times(one: Polynomial, other: Polynomial) -> Polynomial:
    return [a * b % _Q for a, b in zip(one, other, strict=True)]


def _product(one: list[Polynomial], other: list[Polynomial]) -> Polynomial:
    total = [0] * _N
    for f, g in zip(one, other, strict=True):
        total = [t + a * b for t, a, b in zip(total, f, g, strict=True)]
    return [number % _Q for number in total]


def _ntt(polynomial: Polynomial) -> Polynomial:
    f = list(polynomial)
    index = 0
    length = _N // 2
    while length:
        for start in range(0, _N, 2 * length):
            index += 1
            zeta = _ZETAS[index]
            for j in range(start, start + length):
                t = zeta * f[j + length] % _Q
                f[j + length] = (f[j] - t) % _Q
                f[j] = (f[j] + t) % _Q
        length //= 2
    return f


def _inverse_ntt(polynomial: Polynomial) -> Polynomial:
    f = list(polynomial)
    index = _N
    length = 1
    while length < _N:
        for start in range(0, _N, 2 * length):
            index -= 1
            zeta = -_ZETAS[index]
            for j in range(start, start + length):
                t = f[j]
                f[j] = (t + f[j + length]) % _Q
                f[j + length] = zeta * (t - f[j + length]) % _Q
        length *= 2
    return [number * _INVERSE_N % _Q for number in f]


def _pack(numbers: Iterable[int], bits: int) -> bytes:
    packed = 0
    for place, number in enumerate(numbers):
        packed |= number << bits * place
    return packed.to_bytes(32 * bits, "little")


def _unpack(data: bytes, bits: int) -> Polynomial:
    number = int.from_bytes(data, "little")
    mask = (1 << bits) - 1
    return [number >> bits * i & mask for i in range(_N)]


def _chunks(data: bytes, size: int) -> list[bytes]:
    return [data[at:end] for at, end in pairwise(range(0, len(data) + 1, size))]
