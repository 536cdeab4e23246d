"""Camellia (PKCS#11 3.2 §6.47, §6.48)."""

from cryptography.hazmat.decrepit.ciphers.algorithms import Camellia

from ukey_emulator.chip.keys import secret
from ukey_emulator.terms import CKK, CKM

from .blockciphers import Cbc, CbcPad, Ecb, EncryptData, Family, KeyGeneration

_SIZES = (min(secret.AES_SIZES), max(secret.AES_SIZES))

CAMELLIA = Family((CKK.CAMELLIA,), _SIZES, 16, Camellia)

MECHANISMS = (
    KeyGeneration(CKM.CAMELLIA_KEY_GEN, CKK.CAMELLIA, _SIZES),
    Ecb(CKM.CAMELLIA_ECB, CAMELLIA),
    Cbc(CKM.CAMELLIA_CBC, CAMELLIA),
    CbcPad(CKM.CAMELLIA_CBC_PAD, CAMELLIA),
    EncryptData(CKM.CAMELLIA_ECB_ENCRYPT_DATA, CAMELLIA),
    EncryptData(CKM.CAMELLIA_CBC_ENCRYPT_DATA, CAMELLIA),
)
