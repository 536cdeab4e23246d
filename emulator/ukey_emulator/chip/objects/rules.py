"""The standard's attribute tables, with their footnotes as flags (PKCS#11 3.2 §4, §6)."""

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

from ukey_emulator.terms import CKA, CKC, CKK, CKO, CKT

from .kinds import FALSE, TRUE, Kind, number


class Note(IntEnum):
    """The footnotes of the attribute tables (PKCS#11 3.2 §4.1, table 13), by their numbers."""

    NONE = 0
    MUST_CREATE = 1 << 1
    NOT_CREATE = 1 << 2
    MUST_GENERATE = 1 << 3
    NOT_GENERATE = 1 << 4
    MUST_UNWRAP = 1 << 5
    NOT_UNWRAP = 1 << 6
    SECRET = 1 << 7
    MODIFIABLE = 1 << 8
    SO_SETS_TRUE = 1 << 10
    STAYS_TRUE = 1 << 11
    STAYS_FALSE = 1 << 12


_READ_ONLY = Note.NOT_CREATE | Note.NOT_GENERATE | Note.NOT_UNWRAP
_PUBLIC_PART = Note.MUST_CREATE | Note.NOT_GENERATE
_PRIVATE_PART = Note.MUST_CREATE | Note.NOT_GENERATE | Note.NOT_UNWRAP
_SECRET_PART = _PRIVATE_PART | Note.SECRET


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of a table: the kind of the value, its footnotes, and its default if it has one."""

    kind: Kind
    notes: int = Note.NONE
    default: bytes | None = None


Rules = dict[int, Rule]


class Table(Rules):
    """The rules for all attributes that objects of one kind have."""

    @cached_property
    def defaults(self) -> dict[int, bytes]:
        """The values of the attributes that have a default."""
        return {what: rule.default for what, rule in self.items() if rule.default is not None}

    @cached_property
    def noted(self) -> dict[int, list[int]]:
        """For each footnote the attributes that have it."""
        return {note: [what for what, rule in self.items() if rule.notes & note] for note in Note}


_FLAG_OFF = Rule(Kind.BOOL, Note.MODIFIABLE, FALSE)
_FLAG_ON = Rule(Kind.BOOL, Note.MODIFIABLE, TRUE)

_OBJECT: Rules = {
    CKA.CLASS: Rule(Kind.NUMBER, Note.MUST_CREATE),
    CKA.UNIQUE_ID: Rule(Kind.TEXT, _READ_ONLY),
}

_STORAGE: Rules = {
    **_OBJECT,
    CKA.TOKEN: Rule(Kind.BOOL, default=FALSE),
    CKA.PRIVATE: Rule(Kind.BOOL, default=FALSE),
    CKA.MODIFIABLE: Rule(Kind.BOOL, default=TRUE),
    CKA.LABEL: Rule(Kind.TEXT, Note.MODIFIABLE, b""),
    CKA.COPYABLE: Rule(Kind.BOOL, Note.MODIFIABLE | Note.STAYS_FALSE, TRUE),
    CKA.DESTROYABLE: Rule(Kind.BOOL, default=TRUE),
}

_DATA: Rules = {
    **_STORAGE,
    CKA.APPLICATION: Rule(Kind.TEXT, Note.MODIFIABLE, b""),
    CKA.OBJECT_ID: Rule(Kind.BYTES, Note.MODIFIABLE, b""),
    CKA.VALUE: Rule(Kind.BYTES, Note.MODIFIABLE, b""),
}

_CERTIFICATE: Rules = {
    **_STORAGE,
    CKA.CERTIFICATE_TYPE: Rule(Kind.NUMBER, Note.MUST_CREATE),
    CKA.TRUSTED: Rule(Kind.BOOL, Note.MODIFIABLE | Note.SO_SETS_TRUE, FALSE),
    CKA.CERTIFICATE_CATEGORY: Rule(Kind.CATEGORY, default=number(0)),
    CKA.CHECK_VALUE: Rule(Kind.BYTES),
    CKA.START_DATE: Rule(Kind.DATE, default=b""),
    CKA.END_DATE: Rule(Kind.DATE, default=b""),
    CKA.PUBLIC_KEY_INFO: Rule(Kind.BYTES, default=b""),
}

_AT_AN_ADDRESS: Rules = {
    CKA.VALUE: Rule(Kind.BYTES, Note.MUST_CREATE),
    CKA.URL: Rule(Kind.TEXT, default=b""),
    CKA.HASH_OF_SUBJECT_PUBLIC_KEY: Rule(Kind.BYTES, default=b""),
    CKA.HASH_OF_ISSUER_PUBLIC_KEY: Rule(Kind.BYTES, default=b""),
    CKA.NAME_HASH_ALGORITHM: Rule(Kind.NUMBER),
}

_X509: Rules = {
    **_CERTIFICATE,
    **_AT_AN_ADDRESS,
    CKA.SUBJECT: Rule(Kind.BYTES, Note.MUST_CREATE),
    CKA.ID: Rule(Kind.BYTES, Note.MODIFIABLE, b""),
    CKA.ISSUER: Rule(Kind.BYTES, Note.MODIFIABLE, b""),
    CKA.SERIAL_NUMBER: Rule(Kind.BYTES, Note.MODIFIABLE, b""),
    CKA.JAVA_MIDP_SECURITY_DOMAIN: Rule(Kind.DOMAIN, default=number(0)),
}

_WTLS: Rules = {
    **_CERTIFICATE,
    **_AT_AN_ADDRESS,
    CKA.SUBJECT: Rule(Kind.BYTES, Note.MUST_CREATE),
    CKA.ISSUER: Rule(Kind.BYTES, Note.MODIFIABLE, b""),
}

_ATTRIBUTE_CERTIFICATE: Rules = {
    **_CERTIFICATE,
    CKA.OWNER: Rule(Kind.BYTES, Note.MUST_CREATE),
    CKA.AC_ISSUER: Rule(Kind.BYTES, Note.MODIFIABLE, b""),
    CKA.SERIAL_NUMBER: Rule(Kind.BYTES, Note.MODIFIABLE, b""),
    CKA.ATTR_TYPES: Rule(Kind.BYTES, Note.MODIFIABLE, b""),
    CKA.VALUE: Rule(Kind.BYTES, Note.MUST_CREATE),
}

TRUSTS = (
    CKA.TRUST_SERVER_AUTH,
    CKA.TRUST_CLIENT_AUTH,
    CKA.TRUST_CODE_SIGNING,
    CKA.TRUST_EMAIL_PROTECTION,
    CKA.TRUST_IPSEC_IKE,
    CKA.TRUST_TIME_STAMPING,
    CKA.TRUST_OCSP_SIGNING,
)
"""What a certificate is trusted for, or not (PKCS#11 3.2 §4.7)."""

_TRUST: Rules = {
    **_STORAGE,
    CKA.ISSUER: Rule(Kind.BYTES, Note.MUST_CREATE),
    CKA.SERIAL_NUMBER: Rule(Kind.BYTES, Note.MUST_CREATE),
    CKA.HASH_OF_CERTIFICATE: Rule(Kind.BYTES, Note.MODIFIABLE, b""),
    CKA.NAME_HASH_ALGORITHM: Rule(Kind.NUMBER, Note.MODIFIABLE),
    **{use: Rule(Kind.TRUST, Note.MODIFIABLE, number(CKT.TRUST_UNKNOWN)) for use in TRUSTS},
}

_KEY: Rules = {
    **_STORAGE,
    CKA.KEY_TYPE: Rule(Kind.NUMBER, Note.MUST_CREATE | Note.MUST_UNWRAP),
    CKA.ID: Rule(Kind.BYTES, Note.MODIFIABLE, b""),
    CKA.START_DATE: Rule(Kind.DATE, Note.MODIFIABLE, b""),
    CKA.END_DATE: Rule(Kind.DATE, Note.MODIFIABLE, b""),
    CKA.DERIVE: _FLAG_OFF,
    CKA.LOCAL: Rule(Kind.BOOL, _READ_ONLY, FALSE),
    CKA.KEY_GEN_MECHANISM: Rule(Kind.NUMBER, _READ_ONLY),
    CKA.ALLOWED_MECHANISMS: Rule(Kind.NUMBERS, default=b""),
    CKA.OBJECT_VALIDATION_FLAGS: Rule(Kind.NUMBER, _READ_ONLY, number(0)),
}

_PUBLIC_KEY: Rules = {
    **_KEY,
    CKA.SUBJECT: Rule(Kind.BYTES, Note.MODIFIABLE, b""),
    CKA.ENCRYPT: _FLAG_OFF,
    CKA.VERIFY: _FLAG_ON,
    CKA.VERIFY_RECOVER: _FLAG_OFF,
    CKA.WRAP: _FLAG_OFF,
    CKA.TRUSTED: Rule(Kind.BOOL, Note.MODIFIABLE | Note.SO_SETS_TRUE, FALSE),
    CKA.WRAP_TEMPLATE: Rule(Kind.TEMPLATE, default=b""),
    CKA.ENCAPSULATE: _FLAG_OFF,
    CKA.ENCAPSULATE_TEMPLATE: Rule(Kind.TEMPLATE, default=b""),
    CKA.PUBLIC_KEY_INFO: Rule(Kind.BYTES),
}

# What a private key and a secret key have alike.
_GUARDED: Rules = {
    CKA.PRIVATE: Rule(Kind.BOOL, default=TRUE),
    CKA.SENSITIVE: Rule(Kind.BOOL, Note.MODIFIABLE | Note.STAYS_TRUE, TRUE),
    CKA.EXTRACTABLE: Rule(Kind.BOOL, Note.MODIFIABLE | Note.STAYS_FALSE, FALSE),
    CKA.ALWAYS_SENSITIVE: Rule(Kind.BOOL, _READ_ONLY, FALSE),
    CKA.NEVER_EXTRACTABLE: Rule(Kind.BOOL, _READ_ONLY, FALSE),
    CKA.WRAP_WITH_TRUSTED: Rule(Kind.BOOL, Note.MODIFIABLE | Note.STAYS_TRUE, FALSE),
    CKA.UNWRAP_TEMPLATE: Rule(Kind.TEMPLATE, default=b""),
    CKA.DERIVE_TEMPLATE: Rule(Kind.TEMPLATE, default=b""),
}

_PRIVATE_KEY: Rules = {
    **_KEY,
    **_GUARDED,
    CKA.SUBJECT: Rule(Kind.BYTES, Note.MODIFIABLE, b""),
    CKA.DECRYPT: _FLAG_OFF,
    CKA.SIGN: _FLAG_ON,
    CKA.SIGN_RECOVER: _FLAG_OFF,
    CKA.UNWRAP: _FLAG_OFF,
    CKA.ALWAYS_AUTHENTICATE: Rule(Kind.BOOL, default=FALSE),
    CKA.DECAPSULATE: _FLAG_OFF,
    CKA.DECAPSULATE_TEMPLATE: Rule(Kind.TEMPLATE, default=b""),
    CKA.PUBLIC_KEY_INFO: Rule(Kind.BYTES),
}

_SECRET_KEY: Rules = {
    **_KEY,
    **_GUARDED,
    CKA.SENSITIVE: Rule(Kind.BOOL, Note.MODIFIABLE | Note.STAYS_TRUE, FALSE),
    CKA.ENCRYPT: _FLAG_OFF,
    CKA.DECRYPT: _FLAG_OFF,
    CKA.SIGN: _FLAG_ON,
    CKA.VERIFY: _FLAG_ON,
    CKA.WRAP: _FLAG_OFF,
    CKA.UNWRAP: _FLAG_OFF,
    CKA.TRUSTED: Rule(Kind.BOOL, Note.MODIFIABLE | Note.SO_SETS_TRUE, FALSE),
    CKA.CHECK_VALUE: Rule(Kind.BYTES),
    CKA.WRAP_TEMPLATE: Rule(Kind.TEMPLATE, default=b""),
    CKA.VALUE: Rule(Kind.BYTES, _SECRET_PART),
    CKA.VALUE_LEN: Rule(Kind.NUMBER, Note.NOT_CREATE | Note.MUST_GENERATE | Note.NOT_UNWRAP),
}

_RSA_PUBLIC: Rules = {
    **_PUBLIC_KEY,
    CKA.ENCRYPT: _FLAG_ON,
    CKA.WRAP: _FLAG_ON,
    CKA.MODULUS: Rule(Kind.BIG_INTEGER, _PUBLIC_PART),
    CKA.MODULUS_BITS: Rule(Kind.NUMBER, Note.NOT_CREATE | Note.MUST_GENERATE),
    CKA.PUBLIC_EXPONENT: Rule(Kind.BIG_INTEGER, Note.MUST_CREATE),
}

_CRT_PART = Rule(Kind.BIG_INTEGER, Note.NOT_GENERATE | Note.NOT_UNWRAP | Note.SECRET)

_RSA_PRIVATE: Rules = {
    **_PRIVATE_KEY,
    CKA.DECRYPT: _FLAG_ON,
    CKA.UNWRAP: _FLAG_ON,
    CKA.MODULUS: Rule(Kind.BIG_INTEGER, _PRIVATE_PART),
    CKA.PUBLIC_EXPONENT: Rule(Kind.BIG_INTEGER, Note.NOT_GENERATE | Note.NOT_UNWRAP),
    CKA.PRIVATE_EXPONENT: Rule(Kind.BIG_INTEGER, _SECRET_PART),
    CKA.PRIME_1: _CRT_PART,
    CKA.PRIME_2: _CRT_PART,
    CKA.EXPONENT_1: _CRT_PART,
    CKA.EXPONENT_2: _CRT_PART,
    CKA.COEFFICIENT: _CRT_PART,
}

_EC_PUBLIC: Rules = {
    **_PUBLIC_KEY,
    CKA.EC_PARAMS: Rule(Kind.BYTES, Note.MUST_CREATE | Note.MUST_GENERATE),
    CKA.EC_POINT: Rule(Kind.BYTES, _PUBLIC_PART),
}

_EC_PRIVATE: Rules = {
    **_PRIVATE_KEY,
    CKA.EC_PARAMS: Rule(Kind.BYTES, _PRIVATE_PART),
    CKA.VALUE: Rule(Kind.BIG_INTEGER, _SECRET_PART),
}

# Curves for agreement alone: these keys sign nothing.
_MONTGOMERY_PUBLIC: Rules = {**_EC_PUBLIC, CKA.VERIFY: _FLAG_OFF}
_MONTGOMERY_PRIVATE: Rules = {**_EC_PRIVATE, CKA.SIGN: _FLAG_OFF}

# DSA domain parameters are no key, but have the type of one (PKCS#11 3.2 §4.12, §6.2).
_DSA_PARAMETERS: Rules = {
    **_STORAGE,
    CKA.KEY_TYPE: Rule(Kind.NUMBER, Note.MUST_CREATE),
    CKA.LOCAL: Rule(Kind.BOOL, _READ_ONLY, FALSE),
    CKA.PRIME: Rule(Kind.BIG_INTEGER, _PUBLIC_PART),
    CKA.SUBPRIME: Rule(Kind.BIG_INTEGER, _PUBLIC_PART),
    CKA.BASE: Rule(Kind.BIG_INTEGER, _PUBLIC_PART),
    CKA.PRIME_BITS: Rule(Kind.NUMBER, Note.NOT_CREATE | Note.MUST_GENERATE),
}
_DSA_PUBLIC: Rules = {
    **_PUBLIC_KEY,
    CKA.PRIME: Rule(Kind.BIG_INTEGER, Note.MUST_CREATE | Note.MUST_GENERATE),
    CKA.SUBPRIME: Rule(Kind.BIG_INTEGER, Note.MUST_CREATE | Note.MUST_GENERATE),
    CKA.BASE: Rule(Kind.BIG_INTEGER, Note.MUST_CREATE | Note.MUST_GENERATE),
    CKA.VALUE: Rule(Kind.BIG_INTEGER, _PUBLIC_PART),
}
_DSA_PRIVATE: Rules = {
    **_PRIVATE_KEY,
    CKA.PRIME: Rule(Kind.BIG_INTEGER, _PRIVATE_PART),
    CKA.SUBPRIME: Rule(Kind.BIG_INTEGER, _PRIVATE_PART),
    CKA.BASE: Rule(Kind.BIG_INTEGER, _PRIVATE_PART),
    CKA.VALUE: Rule(Kind.BIG_INTEGER, _SECRET_PART),
}

# Keys on lattices; a private one is a seed, a value or both (PKCS#11 3.2 §6.66, §6.67).
_LATTICE_PUBLIC: Rules = {
    **_PUBLIC_KEY,
    CKA.PARAMETER_SET: Rule(Kind.NUMBER, Note.MUST_CREATE | Note.MUST_GENERATE),
    CKA.VALUE: Rule(Kind.BYTES, _PUBLIC_PART),
}
_LATTICE_PRIVATE: Rules = {
    **_PRIVATE_KEY,
    CKA.PARAMETER_SET: Rule(Kind.NUMBER, _PRIVATE_PART),
    CKA.SEED: Rule(Kind.BYTES, Note.NOT_GENERATE | Note.NOT_UNWRAP | Note.SECRET),
    CKA.VALUE: Rule(Kind.BYTES, Note.NOT_GENERATE | Note.NOT_UNWRAP | Note.SECRET),
}
_KEM_PUBLIC: Rules = {**_LATTICE_PUBLIC, CKA.VERIFY: _FLAG_OFF, CKA.ENCAPSULATE: _FLAG_ON}
_KEM_PRIVATE: Rules = {**_LATTICE_PRIVATE, CKA.SIGN: _FLAG_OFF, CKA.DECAPSULATE: _FLAG_ON}

_HMAC_KEYS = (
    CKK.MD5_HMAC,
    CKK.SHA_1_HMAC,
    CKK.SHA224_HMAC,
    CKK.SHA256_HMAC,
    CKK.SHA384_HMAC,
    CKK.SHA512_HMAC,
    CKK.SHA512_224_HMAC,
    CKK.SHA512_256_HMAC,
    CKK.SHA3_224_HMAC,
    CKK.SHA3_256_HMAC,
    CKK.SHA3_384_HMAC,
    CKK.SHA3_512_HMAC,
)

_CIPHER_KEY: Rules = {
    **_SECRET_KEY,
    CKA.ENCRYPT: _FLAG_ON,
    CKA.DECRYPT: _FLAG_ON,
    CKA.WRAP: _FLAG_ON,
    CKA.UNWRAP: _FLAG_ON,
}

# A key whose type alone says how long it is (PKCS#11 3.2 §6.18, §6.51, §6.58).
_FIXED_KEY: Rules = {key: rule for key, rule in _CIPHER_KEY.items() if key != CKA.VALUE_LEN}
_CHACHA_KEY: Rules = {**_CIPHER_KEY, CKA.VALUE_LEN: Rule(Kind.NUMBER, Note.NOT_CREATE)}
_POLY1305_KEY: Rules = {**_SECRET_KEY, CKA.VALUE_LEN: Rule(Kind.NUMBER, Note.NOT_CREATE)}

# What the key itself has, and no program creates; the first is found only by who asks for its
# class (PKCS#11 3.2 §4.3, §4.14).
HW_FEATURE = Table({**_OBJECT, CKA.HW_FEATURE_TYPE: Rule(Kind.NUMBER)})
PROFILE = Table({**_STORAGE, CKA.PROFILE_ID: Rule(Kind.NUMBER)})

# Class and certificate type or key type (0 where a class has none) → the table of such an object.
_BY_KIND: dict[tuple[int, int], Rules] = {
    (CKO.DATA, 0): _DATA,
    (CKO.CERTIFICATE, CKC.X_509): _X509,
    (CKO.CERTIFICATE, CKC.WTLS): _WTLS,
    (CKO.CERTIFICATE, CKC.X_509_ATTR_CERT): _ATTRIBUTE_CERTIFICATE,
    (CKO.TRUST, 0): _TRUST,
    (CKO.DOMAIN_PARAMETERS, CKK.DSA): _DSA_PARAMETERS,
    (CKO.PUBLIC_KEY, CKK.RSA): _RSA_PUBLIC,
    (CKO.PRIVATE_KEY, CKK.RSA): _RSA_PRIVATE,
    (CKO.PUBLIC_KEY, CKK.DSA): _DSA_PUBLIC,
    (CKO.PRIVATE_KEY, CKK.DSA): _DSA_PRIVATE,
    (CKO.PUBLIC_KEY, CKK.EC): _EC_PUBLIC,
    (CKO.PRIVATE_KEY, CKK.EC): _EC_PRIVATE,
    (CKO.PUBLIC_KEY, CKK.EC_EDWARDS): _EC_PUBLIC,
    (CKO.PRIVATE_KEY, CKK.EC_EDWARDS): _EC_PRIVATE,
    (CKO.PUBLIC_KEY, CKK.EC_MONTGOMERY): _MONTGOMERY_PUBLIC,
    (CKO.PRIVATE_KEY, CKK.EC_MONTGOMERY): _MONTGOMERY_PRIVATE,
    (CKO.PUBLIC_KEY, CKK.ML_DSA): _LATTICE_PUBLIC,
    (CKO.PRIVATE_KEY, CKK.ML_DSA): _LATTICE_PRIVATE,
    (CKO.PUBLIC_KEY, CKK.ML_KEM): _KEM_PUBLIC,
    (CKO.PRIVATE_KEY, CKK.ML_KEM): _KEM_PRIVATE,
    (CKO.SECRET_KEY, CKK.AES): _CIPHER_KEY,
    (CKO.SECRET_KEY, CKK.AES_XTS): _CIPHER_KEY,
    (CKO.SECRET_KEY, CKK.DES): _FIXED_KEY,
    (CKO.SECRET_KEY, CKK.DES2): _FIXED_KEY,
    (CKO.SECRET_KEY, CKK.DES3): _FIXED_KEY,
    (CKO.SECRET_KEY, CKK.CAMELLIA): _CIPHER_KEY,
    (CKO.SECRET_KEY, CKK.SEED): _FIXED_KEY,
    (CKO.SECRET_KEY, CKK.BLOWFISH): _CIPHER_KEY,
    (CKO.SECRET_KEY, CKK.CHACHA20): _CHACHA_KEY,
    (CKO.SECRET_KEY, CKK.POLY1305): _POLY1305_KEY,
    (CKO.SECRET_KEY, CKK.GENERIC_SECRET): _SECRET_KEY,
    (CKO.SECRET_KEY, CKK.HKDF): _SECRET_KEY,
    **{(CKO.SECRET_KEY, key_type): _SECRET_KEY for key_type in _HMAC_KEYS},
}

TABLES = {kind: Table(rules) for kind, rules in _BY_KIND.items()}

KNOWN = frozenset(int(attribute) for attribute in CKA)
