"""SEED (PKCS#11 3.2 §6.51, §6.52)."""

from cryptography.hazmat.decrepit.ciphers.algorithms import SEED as ALGORITHM

from ukey_emulator.terms import CKK, CKM

from .blockciphers import Cbc, CbcPad, Ecb, EncryptData, Family, KeyGeneration

_SIZES = (16, 16)

SEED = Family((CKK.SEED,), _SIZES, 16, ALGORITHM)

MECHANISMS = (
    KeyGeneration(CKM.SEED_KEY_GEN, CKK.SEED, _SIZES),
    Ecb(CKM.SEED_ECB, SEED),
    Cbc(CKM.SEED_CBC, SEED),
    CbcPad(CKM.SEED_CBC_PAD, SEED),
    EncryptData(CKM.SEED_ECB_ENCRYPT_DATA, SEED),
    EncryptData(CKM.SEED_CBC_ENCRYPT_DATA, SEED),
)
