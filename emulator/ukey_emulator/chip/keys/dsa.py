"""DSA keys and domain parameters as attributes and as loaded keys (PKCS#11 3.2 §6.2)."""

from cryptography.hazmat.primitives.asymmetric import dsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ukey_emulator.chip.objects.kinds import as_integer, as_number, integer, number
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKA, CKR

# The lengths of p that the library has; FIPS 186-4 §4.2 has all but the last.
SIZES = (1024, 2048, 3072, 4096)
# Those of which the key makes parameters: 4096 would take minutes.
MADE_SIZES = (1024, 2048, 3072)


def generate_parameters(wanted: dict[int, bytes]) -> dict[int, bytes]:
    """Make domain parameters with a p of CKA_PRIME_BITS bits: give their attributes.

    CKR_ATTRIBUTE_VALUE_INVALID for a length that the key does not make.
    """
    bits = as_number(wanted[CKA.PRIME_BITS])
    if bits not in MADE_SIZES:
        raise Refusal(CKR.ATTRIBUTE_VALUE_INVALID, f"no DSA parameters of {bits} bits")
    return _attributes_of(dsa.generate_parameters(bits).parameter_numbers())


def generate(wanted: dict[int, bytes]) -> dsa.DSAPrivateKey:
    """Make a key with the domain parameters that a template has; CKR_DOMAIN_PARAMS_INVALID."""
    _require_group(wanted)
    return _parameters(wanted).parameters().generate_private_key()


def load_public(attributes: dict[int, bytes]) -> dsa.DSAPublicKey:
    """Load a public key that was checked when it came in."""
    y = as_integer(attributes[CKA.VALUE])
    return dsa.DSAPublicNumbers(y, _parameters(attributes)).public_key()


def load_private(attributes: dict[int, bytes]) -> dsa.DSAPrivateKey:
    """Load the private key; CKR_ATTRIBUTE_VALUE_INVALID if its number is outside its range."""
    parameters, x = _parameters(attributes), as_integer(attributes[CKA.VALUE])
    if not 0 < x < parameters.q:  # before it is an exponent: a huge one would take for ever
        raise Refusal(CKR.ATTRIBUTE_VALUE_INVALID, "the value is not below the subprime")
    y = pow(parameters.g, x, parameters.p)
    return dsa.DSAPrivateNumbers(x, dsa.DSAPublicNumbers(y, parameters)).private_key()


def public_attributes(key: dsa.DSAPublicKey) -> dict[int, bytes]:
    """Give the attributes of a public key's material."""
    numbers = key.public_numbers()
    return {**_attributes_of(numbers.parameter_numbers), CKA.VALUE: integer(numbers.y)}


def private_attributes(key: dsa.DSAPrivateKey) -> dict[int, bytes]:
    """Give the attributes of a private key's material."""
    parameters = key.parameters().parameter_numbers()
    return {**_attributes_of(parameters), CKA.VALUE: integer(key.private_numbers().x)}


def complete_parameters(attributes: dict[int, bytes]) -> None:
    """Check domain parameters and add their length; CKR_DOMAIN_PARAMS_INVALID."""
    _require_group(attributes)
    attributes[CKA.PRIME_BITS] = number(_parameters(attributes).p.bit_length())


def complete_public(attributes: dict[int, bytes]) -> None:
    """Check a public key and add what follows from it.

    CKR_DOMAIN_PARAMS_INVALID; CKR_ATTRIBUTE_VALUE_INVALID for a value outside the subgroup.
    """
    _require_group(attributes)
    parameters, y = _parameters(attributes), as_integer(attributes[CKA.VALUE])
    if not 1 < y < parameters.p or pow(y, parameters.q, parameters.p) != 1:
        raise Refusal(CKR.ATTRIBUTE_VALUE_INVALID, "the value is not of the subgroup")
    attributes[CKA.PUBLIC_KEY_INFO] = _info(load_public(attributes))


def complete_private(attributes: dict[int, bytes]) -> None:
    """Check a private key and add what follows from it."""
    _require_group(attributes)
    attributes[CKA.PUBLIC_KEY_INFO] = _info(load_private(attributes).public_key())


def _require_group(attributes: dict[int, bytes]) -> None:
    """Refuse what are no p, q and g, or of lengths that the library has not.

    CKR_DOMAIN_PARAMS_INVALID. The library itself looks at lengths alone, and fails later.
    """
    parameters = _parameters(attributes)
    p, q, g = parameters.p, parameters.q, parameters.g
    if p.bit_length() not in SIZES:
        raise Refusal(CKR.DOMAIN_PARAMS_INVALID, f"no DSA keys of {p.bit_length()} bits")
    try:
        parameters.parameters()
    except ValueError as error:
        raise Refusal(CKR.DOMAIN_PARAMS_INVALID, str(error)) from None
    if any(pow(2, number - 1, number) != 1 for number in (q, p)):  # Fermat's test
        raise Refusal(CKR.DOMAIN_PARAMS_INVALID, "the prime or the subprime is none")
    if (p - 1) % q or pow(g, q, p) != 1:
        raise Refusal(CKR.DOMAIN_PARAMS_INVALID, "the base has another order than the subprime")


def _parameters(attributes: dict[int, bytes]) -> dsa.DSAParameterNumbers:
    return dsa.DSAParameterNumbers(
        as_integer(attributes[CKA.PRIME]),
        as_integer(attributes[CKA.SUBPRIME]),
        as_integer(attributes[CKA.BASE]),
    )


def _attributes_of(parameters: dsa.DSAParameterNumbers) -> dict[int, bytes]:
    return {
        CKA.PRIME: integer(parameters.p),
        CKA.SUBPRIME: integer(parameters.q),
        CKA.BASE: integer(parameters.g),
    }


def _info(key: dsa.DSAPublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
