"""Key material made beforehand: a pair of each kind, and another's point to agree with."""

from cryptography.hazmat.primitives.asymmetric import ec, rsa

_P = (
    "e22b6c1518d3c8220e60315b58043077602c0e069c72866fb5ca2f2f7504cbd5d59c3e3fbb8a32d6c717ae08bd67"
    "22b7aa20cc32c795dee5974e338c01e692e97c82da3cf36f6ea25f86f164ec63f5c1c5f55a84bb77d9e5025592b5"
    "04279761609d34a8afe0bb0fc01a20027c8017de336eb07f063cf7d2e15313a2286beaf1"
)
_Q = (
    "e08ca0c026b0b946a6d18b28be928a88b034544f42bf26489bbd961e072801a699305ba272aeea1988dcc9d78fb5"
    "bd33187d5e77f55cbdcdbe9a65618a5be59df82ea215145a0eed5730a7ec7bf9425831e7038fee9bb6cc604abda3"
    "aaad2bb7b92146adefa63672675fb0cee134c7c429c9f7e7315ec1d744d40838e1d46f4d"
)
_EC_SECRET = "9cf413da2330e07e0e0dff53459ebd6f32dcccbc6b1018570244915aa1851821"

RSA_BYTES = 256
P256 = bytes.fromhex("06082a8648ce3d030107")  # its object identifier, DER


def _rsa() -> rsa.RSAPrivateNumbers:
    p, q, e = int(_P, 16), int(_Q, 16), 65537
    d = rsa.rsa_recover_private_exponent(e, p, q)
    public = rsa.RSAPublicNumbers(e, p * q)
    exponents = rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q)
    return rsa.RSAPrivateNumbers(p, q, d, *exponents, rsa.rsa_crt_iqmp(p, q), public)


def _bytes(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _point(key: ec.EllipticCurvePrivateKey) -> bytes:
    numbers = key.public_key().public_numbers()
    return b"\x04" + numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")


_NUMBERS = _rsa()
RSA = _NUMBERS.private_key()
EC = ec.derive_private_key(int(_EC_SECRET, 16), ec.SECP256R1())
OTHER_POINT = _point(ec.derive_private_key(7, ec.SECP256R1()))
_EC_POINT = _point(EC)

RSA_PUBLIC = {
    "MODULUS": _bytes(_NUMBERS.public_numbers.n),
    "PUBLIC_EXPONENT": b"\1\0\1",
}
RSA_PRIVATE = {
    **RSA_PUBLIC,
    "PRIVATE_EXPONENT": _bytes(_NUMBERS.d),
    "PRIME_1": _bytes(_NUMBERS.p),
    "PRIME_2": _bytes(_NUMBERS.q),
    "EXPONENT_1": _bytes(_NUMBERS.dmp1),
    "EXPONENT_2": _bytes(_NUMBERS.dmq1),
    "COEFFICIENT": _bytes(_NUMBERS.iqmp),
}
EC_PUBLIC = {"EC_PARAMS": P256, "EC_POINT": b"\x04" + bytes([len(_EC_POINT)]) + _EC_POINT}
EC_PRIVATE = {"EC_PARAMS": P256, "VALUE": bytes.fromhex(_EC_SECRET)}
SUBJECT = bytes.fromhex("300f310d300b06035504030c0463617365")
