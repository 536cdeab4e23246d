"""RSA keys as attributes and as loaded keys (PKCS#11 3.2 §6.1)."""

import math
import re

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ukey_emulator.chip.objects.kinds import as_integer, integer, number
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKA, CKR

MIN_BITS = 1024
MAX_BITS = 4096
# What is brought along may be weaker or longer than what the key makes itself.
MIN_USED_BITS = 512
MAX_USED_BITS = 16384
_USUAL_EXPONENTS = (3, 65537)
_MAX_EXPONENT_BITS = 64
# What PKCS #1 v1.5 makes of a message before it is signed (RFC 8017 §9.2).
_PADDED = re.compile(rb"\x00\x01\xff{8,}\x00(.+)", re.DOTALL)


def generate(bits: int, exponent: int) -> rsa.RSAPrivateKey:
    """Generate a key of `bits` bits.

    CKR_ATTRIBUTE_VALUE_INVALID for a size that the key does not make; CKR_TEMPLATE_INCONSISTENT
    for an exponent other than an odd number from 3 up to 64 bits.
    """
    if not MIN_BITS <= bits <= MAX_BITS or bits % 8:
        raise Refusal(CKR.ATTRIBUTE_VALUE_INVALID, f"no RSA keys of {bits} bits")
    if exponent in _USUAL_EXPONENTS:
        return rsa.generate_private_key(exponent, bits)
    if exponent < min(_USUAL_EXPONENTS) or not exponent % 2 or exponent >> _MAX_EXPONENT_BITS:
        raise Refusal(CKR.TEMPLATE_INCONSISTENT, "the public exponent is odd, 3 or more")
    # The library makes two exponents only; its primes do for any that has an inverse.
    while True:
        numbers = rsa.generate_private_key(max(_USUAL_EXPONENTS), bits).private_numbers()
        p, q = numbers.p, numbers.q
        if math.gcd(exponent, (p - 1) * (q - 1)) == 1:
            break
    d = pow(exponent, -1, math.lcm(p - 1, q - 1))
    public = rsa.RSAPublicNumbers(exponent, p * q)
    chinese = (d % (p - 1), d % (q - 1), pow(q, -1, p))
    return rsa.RSAPrivateNumbers(p, q, d, *chinese, public).private_key()


def load_public(attributes: dict[int, bytes]) -> rsa.RSAPublicKey:
    """Load the public key; CKR_ATTRIBUTE_VALUE_INVALID if the numbers are no RSA key."""
    try:
        return _public_numbers(attributes).public_key()
    except ValueError as error:
        raise Refusal(CKR.ATTRIBUTE_VALUE_INVALID, str(error)) from None


def load_private(attributes: dict[int, bytes]) -> rsa.RSAPrivateKey:
    """Load a private key whose numbers `complete_private` has checked."""
    numbers = rsa.RSAPrivateNumbers(
        as_integer(attributes[CKA.PRIME_1]),
        as_integer(attributes[CKA.PRIME_2]),
        as_integer(attributes[CKA.PRIVATE_EXPONENT]),
        as_integer(attributes[CKA.EXPONENT_1]),
        as_integer(attributes[CKA.EXPONENT_2]),
        as_integer(attributes[CKA.COEFFICIENT]),
        _public_numbers(attributes),
    )
    # The numbers were checked when the key came in; the library's own check costs 40 ms.
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


def private_power(key: rsa.RSAPrivateKey, number: int) -> int:
    """Raise a number below the modulus to the private exponent, by the Chinese remainders.

    The library has no such thing by itself, but what it signs it raises so, and that 25 times
    quicker than Python can.
    """
    padded = _PADDED.fullmatch(number.to_bytes((key.key_size + 7) // 8, "big"))
    if padded is not None:
        return as_integer(key.sign(padded[1], PKCS1v15(), NoDigestInfo()))
    numbers = key.private_numbers()
    first = pow(number, numbers.dmp1, numbers.p)
    second = pow(number, numbers.dmq1, numbers.q)
    return second + (first - second) * numbers.iqmp % numbers.p * numbers.q


def public_attributes(key: rsa.RSAPublicKey) -> dict[int, bytes]:
    """Give the attributes that only a public key's material has."""
    numbers = key.public_numbers()
    return {
        CKA.MODULUS: integer(numbers.n),
        CKA.PUBLIC_EXPONENT: integer(numbers.e),
        CKA.MODULUS_BITS: number(key.key_size),
    }


def private_attributes(key: rsa.RSAPrivateKey) -> dict[int, bytes]:
    """Give the attributes of a private key's material."""
    numbers = key.private_numbers()
    return {
        CKA.MODULUS: integer(numbers.public_numbers.n),
        CKA.PUBLIC_EXPONENT: integer(numbers.public_numbers.e),
        CKA.PRIVATE_EXPONENT: integer(numbers.d),
        CKA.PRIME_1: integer(numbers.p),
        CKA.PRIME_2: integer(numbers.q),
        CKA.EXPONENT_1: integer(numbers.dmp1),
        CKA.EXPONENT_2: integer(numbers.dmq1),
        CKA.COEFFICIENT: integer(numbers.iqmp),
    }


def complete_public(attributes: dict[int, bytes]) -> None:
    """Check an imported public key and add what follows from it."""
    key = load_public(attributes)
    _refuse_size(key.key_size)
    attributes[CKA.MODULUS_BITS] = number(key.key_size)
    attributes[CKA.PUBLIC_KEY_INFO] = key.public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )


def complete_private(attributes: dict[int, bytes]) -> None:
    """Check the numbers of an imported private key and add those that were left out.

    Of the public exponent and the primes both may be missing if the exponent is a usual one.
    CKR_TEMPLATE_INCOMPLETE if they do not determine the key, CKR_ATTRIBUTE_VALUE_INVALID if they
    contradict each other.
    """
    n = as_integer(attributes[CKA.MODULUS])
    d = as_integer(attributes[CKA.PRIVATE_EXPONENT])
    _refuse_size(n.bit_length())
    p, q = (as_integer(attributes.get(part, b"")) for part in (CKA.PRIME_1, CKA.PRIME_2))
    e = as_integer(attributes.get(CKA.PUBLIC_EXPONENT, b""))
    try:
        if not p or not q:
            e = e or _usual_exponent(n, d)
            p, q = rsa.rsa_recover_prime_factors(n, e, d)
        if not e:
            e = pow(d, -1, (p - 1) * (q - 1))
    except ValueError as error:
        raise Refusal(CKR.ATTRIBUTE_VALUE_INVALID, str(error)) from None
    if p * q != n or (e * d) % (p - 1) != 1 or (e * d) % (q - 1) != 1:
        raise Refusal(CKR.ATTRIBUTE_VALUE_INVALID, "the numbers are no RSA key")
    derived = {
        CKA.PUBLIC_EXPONENT: e,
        CKA.PRIME_1: p,
        CKA.PRIME_2: q,
        CKA.EXPONENT_1: d % (p - 1),
        CKA.EXPONENT_2: d % (q - 1),
        CKA.COEFFICIENT: pow(q, -1, p),
    }
    for attribute, value in derived.items():
        if as_integer(attributes.get(attribute, b"")) not in (0, value):
            raise Refusal(CKR.ATTRIBUTE_VALUE_INVALID, f"CKA_{attribute.name} does not fit")
        attributes[attribute] = integer(value)
    attributes[CKA.PUBLIC_KEY_INFO] = (
        rsa.RSAPublicNumbers(e, n)
        .public_key()
        .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )


def _usual_exponent(n: int, d: int) -> int:
    """Find the public exponent of n and d; CKR_TEMPLATE_INCOMPLETE if it is no usual one."""
    for e in _USUAL_EXPONENTS:
        if pow(2, e * d, n) == 2:  # noqa: PLR2004 - a number that comes back as itself
            return e
    raise Refusal(CKR.TEMPLATE_INCOMPLETE, "neither primes nor public exponent")


def _public_numbers(attributes: dict[int, bytes]) -> rsa.RSAPublicNumbers:
    return rsa.RSAPublicNumbers(
        as_integer(attributes[CKA.PUBLIC_EXPONENT]), as_integer(attributes[CKA.MODULUS])
    )


def _refuse_size(bits: int) -> None:
    if not MIN_USED_BITS <= bits <= MAX_USED_BITS:
        raise Refusal(CKR.ATTRIBUTE_VALUE_INVALID, f"no RSA keys of {bits} bits")
