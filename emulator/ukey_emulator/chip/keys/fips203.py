"""ML-KEM as FIPS 203 writes it down, for what the library lacks.

That is the smallest parameter set, the private key in full, and keys without their seed.
Plain integers, not made to withstand timing: this key is for tests.
"""

import hashlib
import hmac
from dataclasses import dataclass

_Q = 3329
_N = 256
_HALF_N = 128
_INVERSE_HALF = 3303  # of 128 modulo q
_COORDINATE_BITS = 12
_POLYNOMIAL = 384  # bytes of a polynomial with 12 bits for each coefficient

Polynomial = list[int]


def _reversed_bits(number: int) -> int:
    return int(f"{number:07b}"[::-1], 2)


_ZETAS = [pow(17, _reversed_bits(i), _Q) for i in range(_HALF_N)]
_GAMMAS = [pow(17, 2 * _reversed_bits(i) + 1, _Q) for i in range(_HALF_N)]


@dataclass(frozen=True, slots=True)
class Parameters:
    """A parameter set (FIPS 203 §8)."""

    k: int
    eta1: int
    du: int
    dv: int
    eta2: int = 2

    @property
    def public_length(self) -> int:
        """The bytes of an encapsulation key."""
        return _POLYNOMIAL * self.k + 32

    @property
    def private_length(self) -> int:
        """The bytes of a decapsulation key."""
        return 2 * _POLYNOMIAL * self.k + 96

    @property
    def ciphertext_length(self) -> int:
        """The bytes of a ciphertext."""
        return 32 * (self.du * self.k + self.dv)


ML_KEM_512 = Parameters(2, 3, 10, 4)
ML_KEM_768 = Parameters(3, 2, 10, 4)
ML_KEM_1024 = Parameters(4, 2, 11, 5)


def expand(parameters: Parameters, seed: bytes) -> tuple[bytes, bytes]:
    """Make both keys of a seed d ‖ z: the public and the private (FIPS 203 §6.1)."""
    d, z = seed[:32], seed[32:]
    k = parameters.k
    hashed = hashlib.sha3_512(d + bytes([k])).digest()
    rho, sigma = hashed[:32], hashed[32:]
    noise = [_ntt(_noise(parameters.eta1, sigma, count)) for count in range(2 * k)]
    s, e = noise[:k], noise[k:]
    public = b""
    for i in range(k):
        row = _product([_sample(rho, j, i) for j in range(k)], s)
        public += _encode([(a + b) % _Q for a, b in zip(row, e[i], strict=True)], 12)
    public += rho
    private = b"".join(_encode(part, 12) for part in s)
    return public, private + public + hashlib.sha3_256(public).digest() + z


def public_of(parameters: Parameters, private: bytes) -> bytes | None:
    """Take the public key out of a private one; None if that does not hold together (§7.3)."""
    cut = _POLYNOMIAL * parameters.k
    public = private[cut : cut + parameters.public_length]
    digest = private[cut + parameters.public_length :][:32]
    if len(private) != parameters.private_length or not is_public(parameters, public):
        return None
    return public if hashlib.sha3_256(public).digest() == digest else None


def is_public(parameters: Parameters, public: bytes) -> bool:
    """Tell whether bytes are a public key: of the right length, each number below q (§7.2)."""
    if len(public) != parameters.public_length:
        return False
    return all(number < _Q for number in _decode(public[:-32], 12))


def encapsulate(parameters: Parameters, public: bytes, message: bytes) -> tuple[bytes, bytes]:
    """Give the shared secret and the ciphertext for 32 random bytes (§6.2)."""
    hashed = hashlib.sha3_512(message + hashlib.sha3_256(public).digest()).digest()
    return hashed[:32], _encrypt(parameters, public, message, hashed[32:])


def decapsulate(parameters: Parameters, private: bytes, ciphertext: bytes) -> bytes:
    """Give the shared secret, or one that nobody knows if the ciphertext is none (§6.3)."""
    cut = _POLYNOMIAL * parameters.k
    public = private[cut : cut + parameters.public_length]
    digest, z = private[-64:-32], private[-32:]
    message = _decrypt(parameters, private[:cut], ciphertext)
    hashed = hashlib.sha3_512(message + digest).digest()
    rejected = hashlib.shake_256(z + ciphertext).digest(32)
    again = _encrypt(parameters, public, message, hashed[32:])
    return hashed[:32] if hmac.compare_digest(again, ciphertext) else rejected


def _encrypt(parameters: Parameters, public: bytes, message: bytes, random: bytes) -> bytes:
    """K-PKE.Encrypt (§5.2)."""
    k, rho = parameters.k, public[-32:]
    t = [_decode(public[_POLYNOMIAL * i :][:_POLYNOMIAL], 12) for i in range(k)]
    y = [_ntt(_noise(parameters.eta1, random, count)) for count in range(k)]
    ciphertext = b""
    for i in range(k):
        u = _inverse_ntt(_product([_sample(rho, i, j) for j in range(k)], y))
        noise = _noise(parameters.eta2, random, k + i)
        u = [(a + b) % _Q for a, b in zip(u, noise, strict=True)]
        ciphertext += _encode(_compress(u, parameters.du), parameters.du)
    noise = _noise(parameters.eta2, random, 2 * k)
    mu = _decompress(_decode(message, 1), 1)
    v = _inverse_ntt(_product(t, y))
    v = [(a + b + c) % _Q for a, b, c in zip(v, noise, mu, strict=True)]
    return ciphertext + _encode(_compress(v, parameters.dv), parameters.dv)


def _decrypt(parameters: Parameters, private: bytes, ciphertext: bytes) -> bytes:
    """K-PKE.Decrypt (§5.3)."""
    k, du, dv = parameters.k, parameters.du, parameters.dv
    u = [_ntt(_decompress(_decode(ciphertext[32 * du * i :][: 32 * du], du), du)) for i in range(k)]
    v = _decompress(_decode(ciphertext[32 * du * k :], dv), dv)
    s = [_decode(private[_POLYNOMIAL * i :][:_POLYNOMIAL], 12) for i in range(k)]
    w = _inverse_ntt(_product(s, u))
    return _encode(_compress([(a - b) % _Q for a, b in zip(v, w, strict=True)], 1), 1)


def _sample(rho: bytes, column: int, row: int) -> Polynomial:
    """SampleNTT: a polynomial of uniform numbers (§4.2.2)."""
    size = 840
    while True:
        stream = hashlib.shake_128(rho + bytes([column, row])).digest(size)
        numbers = [number for number in _decode(stream, 12) if number < _Q]
        if len(numbers) >= _N:
            return numbers[:_N]
        size *= 2


def _noise(eta: int, seed: bytes, count: int) -> Polynomial:
    """SamplePolyCBD of the pseudo-random function (§4.2.2)."""
    stream = hashlib.shake_256(seed + bytes([count])).digest(64 * eta)
    bits = int.from_bytes(stream, "little")
    mask = (1 << eta) - 1
    made = []
    for _ in range(_N):
        x, y = bits & mask, bits >> eta & mask
        made.append((x.bit_count() - y.bit_count()) % _Q)
        bits >>= 2 * eta
    return made


def _ntt(polynomial: Polynomial) -> Polynomial:
    f = list(polynomial)
    index = 1
    length = _HALF_N
    while length >= 2:  # noqa: PLR2004 - the last layer
        for start in range(0, _N, 2 * length):
            zeta = _ZETAS[index]
            index += 1
            for j in range(start, start + length):
                t = zeta * f[j + length] % _Q
                f[j + length] = (f[j] - t) % _Q
                f[j] = (f[j] + t) % _Q
        length //= 2
    return f


def _inverse_ntt(polynomial: Polynomial) -> Polynomial:
    f = list(polynomial)
    index = _HALF_N - 1
    length = 2
    while length <= _HALF_N:
        for start in range(0, _N, 2 * length):
            zeta = _ZETAS[index]
            index -= 1
            for j in range(start, start + length):
                t = f[j]
                f[j] = (t + f[j + length]) % _Q
                f[j + length] = zeta * (f[j + length] - t) % _Q
        length *= 2
    return [number * _INVERSE_HALF % _Q for number in f]


def _product(one: list[Polynomial], other: list[Polynomial]) -> Polynomial:
    """Sum the products of two vectors' polynomials (§4.3.1)."""
    total = [0] * _N
    for f, g in zip(one, other, strict=True):
        for i in range(_HALF_N):
            a0, a1, b0, b1 = f[2 * i], f[2 * i + 1], g[2 * i], g[2 * i + 1]
            total[2 * i] += a0 * b0 + a1 * b1 % _Q * _GAMMAS[i]
            total[2 * i + 1] += a0 * b1 + a1 * b0
    return [number % _Q for number in total]


def _compress(polynomial: Polynomial, bits: int) -> Polynomial:
    return [((number << bits) + _Q // 2) // _Q % (1 << bits) for number in polynomial]


def _decompress(polynomial: Polynomial, bits: int) -> Polynomial:
    return [(number * _Q + (1 << bits - 1)) >> bits for number in polynomial]


def _encode(polynomial: Polynomial, bits: int) -> bytes:
    number = 0
    for coefficient in reversed(polynomial):
        number = number << bits | coefficient
    return number.to_bytes(len(polynomial) * bits // 8, "little")


def _decode(data: bytes, bits: int) -> Polynomial:
    number = int.from_bytes(data, "little")
    mask = (1 << bits) - 1
    return [number >> bits * i & mask for i in range(8 * len(data) // bits)]
