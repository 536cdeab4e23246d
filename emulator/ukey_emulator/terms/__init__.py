"""The words of PKCS#11 3.2 with their numbers: the vocabulary that the chip and its faces share."""

from .attributes import CKA
from .kinds import CKC, CKD, CKF, CKG, CKH, CKK, CKN, CKO, CKP, CKS, CKT, CKU, CKV, CKZ
from .mechanisms import CKM
from .returns import CKR

__all__ = [
    "CKA",
    "CKC",
    "CKD",
    "CKF",
    "CKG",
    "CKH",
    "CKK",
    "CKM",
    "CKN",
    "CKO",
    "CKP",
    "CKR",
    "CKS",
    "CKT",
    "CKU",
    "CKV",
    "CKZ",
]
