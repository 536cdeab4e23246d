"""The keys and objects that cases work with: session objects, unless a case says otherwise."""

import base64

from ukey_harness.cases.case import Unprepared
from ukey_harness.cases.pkcs11.stand import MARK, Stand
from ukey_harness.cryptoki.arguments import Value
from ukey_harness.cryptoki.names import CKA, CKC, CKK, CKM, CKO

P256 = bytes.fromhex("06082a8648ce3d030107")  # its object identifier, DER
MOST_RSA_BITS = 8192  # more than this is no smallest size
RSA_EXPONENT = b"\1\0\1"
WANTED_RSA_BITS = 1024  # as small as the token makes them, to be quick; at least this
IV = bytes(range(16))
MESSAGE = b"The quick brown fox jumps over the lazy dog"

# A self-signed certificate of CN=case, made for these cases; nobody has its key.
SUBJECT = bytes.fromhex("300f310d300b06035504030c0463617365")
CERTIFICATE = base64.b64decode(
    "MIIBCzCBs6ADAgECAgEBMAoGCCqGSM49BAMCMA8xDTALBgNVBAMMBGNhc2UwIBcNMjAwMTAxMDAwMDAwWhgPMjA1"
    "MDAxMDEwMDAwMDBaMA8xDTALBgNVBAMMBGNhc2UwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATxv5WI3s5jL6Tb"
    "tvC+1EFHKqrQysDNQdYSHbkMvXneju7dNW7TX0R/MUee6BI7W/CGpLhk3iNjVqvclrSuJ857MAoGCCqGSM49BAMC"
    "A0cAMEQCIB0QG/gL4mabj01LypNQV3JuWXPSoyGwE01vz1XIvhvkAiA5k4HL7PZd1vpaEd8SFFuvcPb17UlosjC+"
    "GFwccGMlag=="
)

More = dict[int, Value]


def aes(stand: Stand, session: int, more: More | None = None, *, size: int = 16) -> int:
    """Generate an AES key that may do everything and whose value can be read."""
    return stand.generate(session, CKM.AES_KEY_GEN, aes_template(more, size=size))


def aes_template(more: More | None = None, *, size: int = 16) -> More:
    """Return the template of such a key."""
    return {
        CKA.VALUE_LEN: size,
        CKA.TOKEN: False,
        CKA.PRIVATE: False,
        CKA.LABEL: MARK,
        CKA.SENSITIVE: False,
        CKA.EXTRACTABLE: True,
        CKA.ENCRYPT: True,
        CKA.DECRYPT: True,
        CKA.WRAP: True,
        CKA.UNWRAP: True,
        **(more or {}),
    }


def imported_aes(more: More | None = None, value: bytes = bytes(range(16))) -> More:
    """Return the template that C_CreateObject makes an AES key of."""
    template = aes_template(more)
    del template[CKA.VALUE_LEN]
    return {
        CKA.CLASS: CKO.SECRET_KEY,
        CKA.KEY_TYPE: CKK.AES,
        CKA.VALUE: value,
        **template,
        **(more or {}),
    }


def secret(more: More | None = None, value: bytes = bytes(range(32))) -> More:
    """Return the template that C_CreateObject makes a generic secret of, for HMACs."""
    return {
        CKA.CLASS: CKO.SECRET_KEY,
        CKA.KEY_TYPE: CKK.GENERIC_SECRET,
        CKA.TOKEN: False,
        CKA.PRIVATE: False,
        CKA.LABEL: MARK,
        CKA.SIGN: True,
        CKA.VERIFY: True,
        CKA.SENSITIVE: False,
        CKA.EXTRACTABLE: True,
        CKA.VALUE: value,
        **(more or {}),
    }


def data(more: More | None = None) -> More:
    """Return the template of a data object."""
    return {
        CKA.CLASS: CKO.DATA,
        CKA.TOKEN: False,
        CKA.PRIVATE: False,
        CKA.LABEL: MARK,
        CKA.VALUE: b"content",
        **(more or {}),
    }


def certificate(more: More | None = None) -> More:
    """Return the template of an X.509 certificate object (§4.6.3)."""
    return {
        CKA.CLASS: CKO.CERTIFICATE,
        CKA.CERTIFICATE_TYPE: CKC.X_509,
        CKA.TOKEN: False,
        CKA.PRIVATE: False,
        CKA.LABEL: MARK,
        CKA.SUBJECT: SUBJECT,
        CKA.ISSUER: SUBJECT,
        CKA.SERIAL_NUMBER: b"\2\1\1",
        CKA.ID: b"case",
        CKA.VALUE: CERTIFICATE,
        **(more or {}),
    }


def rsa(
    stand: Stand, session: int, private: More | None = None, public: More | None = None
) -> tuple[int, int]:
    """Generate an RSA pair that may sign, encrypt and wrap; the smallest that is not too small."""
    return stand.pair(session, CKM.RSA_PKCS_KEY_PAIR_GEN, *rsa_templates(stand, private, public))


def rsa_templates(
    stand: Stand, private: More | None = None, public: More | None = None
) -> tuple[More, More]:
    """Return the templates of such a pair, the public one first."""
    return (
        {
            CKA.MODULUS_BITS: rsa_bits(stand),
            CKA.PUBLIC_EXPONENT: RSA_EXPONENT,
            CKA.TOKEN: False,
            CKA.PRIVATE: False,
            CKA.LABEL: MARK,
            CKA.VERIFY: True,
            CKA.ENCRYPT: True,
            CKA.WRAP: True,
            **(public or {}),
        },
        {
            CKA.TOKEN: False,
            CKA.PRIVATE: True,
            CKA.LABEL: MARK,
            CKA.SENSITIVE: True,
            CKA.SIGN: True,
            CKA.DECRYPT: True,
            CKA.UNWRAP: True,
            **(private or {}),
        },
    )


def rsa_bits(stand: Stand) -> int:
    """Return the size of the RSA keys that cases make."""
    info = stand.structure(
        "GetMechanismInfo", "CK_MECHANISM_INFO", stand.slot, CKM.RSA_PKCS_KEY_PAIR_GEN
    )
    bits = max(WANTED_RSA_BITS, int(info.ulMinKeySize))
    if bits > MOST_RSA_BITS:
        raise Unprepared(f"C_GetMechanismInfo says that the smallest RSA key has {bits} bits")
    return bits


def ec(
    stand: Stand, session: int, private: More | None = None, public: More | None = None
) -> tuple[int, int]:
    """Generate a P-256 pair that may sign and derive."""
    return stand.pair(session, CKM.EC_KEY_PAIR_GEN, *ec_templates(private, public))


def ec_templates(private: More | None = None, public: More | None = None) -> tuple[More, More]:
    """Return the templates of such a pair, the public one first."""
    return (
        {
            CKA.EC_PARAMS: P256,
            CKA.TOKEN: False,
            CKA.PRIVATE: False,
            CKA.LABEL: MARK,
            CKA.VERIFY: True,
            **(public or {}),
        },
        {
            CKA.TOKEN: False,
            CKA.PRIVATE: True,
            CKA.LABEL: MARK,
            CKA.SENSITIVE: True,
            CKA.SIGN: True,
            CKA.DERIVE: True,
            **(private or {}),
        },
    )


def ec_point(stand: Stand, session: int, public: int) -> bytes:
    """Return the public point as X9.62 octets, out of the OCTET STRING that the attribute holds."""
    value = stand.attribute(session, public, CKA.EC_POINT)
    if not value:
        raise Unprepared("C_GetAttributeValue gave no CKA_EC_POINT of a public key")
    return value[2:] if value[:1] == b"\4" and value[1:2] == bytes([len(value) - 2]) else value
