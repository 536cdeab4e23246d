"""Blowfish (PKCS#11 3.2 §6.45)."""

from cryptography.hazmat.decrepit.ciphers.algorithms import Blowfish

from ukey_emulator.chip.keys import secret
from ukey_emulator.terms import CKK, CKM

from .blockciphers import Cbc, CbcPad, Family, KeyGeneration

_SIZES = (min(secret.BLOWFISH_SIZES), max(secret.BLOWFISH_SIZES))

BLOWFISH = Family((CKK.BLOWFISH,), _SIZES, 8, Blowfish)

MECHANISMS = (
    KeyGeneration(CKM.BLOWFISH_KEY_GEN, CKK.BLOWFISH, _SIZES),
    Cbc(CKM.BLOWFISH_CBC, BLOWFISH),
    CbcPad(CKM.BLOWFISH_CBC_PAD, BLOWFISH),
)
