"""DES of one, two and three keys, for old programs (PKCS#11 3.2 §6.18; 2.40 Hist §2.7)."""

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES

from ukey_emulator.chip.keys import secret
from ukey_emulator.terms import CKK, CKM

from .blockciphers import Cbc, CbcPad, Ecb, EncryptData, Family, KeyGeneration

DES = Family(
    (CKK.DES3, CKK.DES2),
    (0, 0),
    8,
    lambda key: TripleDES(secret.triple(key)),
)

SINGLE = Family((CKK.DES,), (0, 0), 8, lambda key: TripleDES(secret.triple(key)))

MECHANISMS = (
    KeyGeneration(CKM.DES_KEY_GEN, CKK.DES),
    Ecb(CKM.DES_ECB, SINGLE),
    Cbc(CKM.DES_CBC, SINGLE),
    CbcPad(CKM.DES_CBC_PAD, SINGLE),
    EncryptData(CKM.DES_ECB_ENCRYPT_DATA, SINGLE),
    EncryptData(CKM.DES_CBC_ENCRYPT_DATA, SINGLE),
    KeyGeneration(CKM.DES2_KEY_GEN, CKK.DES2),
    KeyGeneration(CKM.DES3_KEY_GEN, CKK.DES3),
    Ecb(CKM.DES3_ECB, DES),
    Cbc(CKM.DES3_CBC, DES),
    CbcPad(CKM.DES3_CBC_PAD, DES),
    EncryptData(CKM.DES3_ECB_ENCRYPT_DATA, DES),
    EncryptData(CKM.DES3_CBC_ENCRYPT_DATA, DES),
)
