"""The OASIS profiles that a key meets, as objects that it shows (PKCS#11 3.2 §4.14)."""

from collections.abc import Container, Iterator

from ukey_emulator.terms import CKA, CKM, CKO, CKP

from .kinds import FALSE, TRUE, number
from .object import Object
from .rules import PROFILE

# Profile → its name, and the mechanisms that its clause or its official test case calls for
# (PKCS#11 Profiles 3.2 §5). What else the clauses want, functions and objects, every key has.
#
# Two profiles for providers are not here. A Complete Provider has every function and mechanism of
# the standard, which this key has not. On a Public Certificates Token *all* certificates are found
# without a login, and each shares its CKA_ID with the private key that it belongs to. That is in
# the hands of programs, which may store a private certificate, or a certificate without an
# identifier; and before a login the key cannot even tell whether there is such a private key.
_PROFILES: dict[CKP, tuple[str, frozenset[CKM]]] = {
    CKP.BASELINE_PROVIDER: ("Baseline Provider", frozenset()),
    CKP.EXTENDED_PROVIDER: (
        "Extended Provider",
        frozenset({CKM.SHA512, CKM.RSA_PKCS_KEY_PAIR_GEN, CKM.RSA_PKCS}),
    ),
    CKP.AUTHENTICATION_TOKEN: ("Authentication Token", frozenset({CKM.SHA256_RSA_PKCS})),
    CKP.HKDF_TLS_TOKEN: ("HKDF TLS Token", frozenset({CKM.HKDF_DATA})),
}

# Keys share these: no program changes them.
_ATTRIBUTES: dict[CKP, dict[int, bytes]] = {
    profile: {
        CKA.CLASS: number(CKO.PROFILE),
        CKA.UNIQUE_ID: f"profile {profile:d}".encode(),
        CKA.TOKEN: TRUE,
        CKA.PRIVATE: FALSE,
        CKA.MODIFIABLE: FALSE,
        CKA.LABEL: name.encode(),
        CKA.COPYABLE: FALSE,
        CKA.DESTROYABLE: FALSE,
        CKA.PROFILE_ID: number(profile),
    }
    for profile, (name, _) in _PROFILES.items()
}


def profiles(without: Container[int]) -> Iterator[Object]:
    """Make the profile objects of a key that is without these mechanisms."""
    for profile, (_, needed) in _PROFILES.items():
        if not any(mechanism in without for mechanism in needed):
            yield Object(_ATTRIBUTES[profile], PROFILE)
