"""The C side of PKCS#11 2.40: types and the function table (§3, §5.4.4), for cffi's ABI mode."""

from functools import cache

from cffi import FFI

_TYPES = """
typedef unsigned char CK_BYTE;
typedef unsigned char CK_BBOOL;
typedef unsigned long CK_ULONG;
typedef struct { CK_BYTE major; CK_BYTE minor; } CK_VERSION;
typedef struct {
  CK_VERSION cryptokiVersion; CK_BYTE manufacturerID[32]; CK_ULONG flags;
  CK_BYTE libraryDescription[32]; CK_VERSION libraryVersion;
} CK_INFO;
typedef struct {
  CK_BYTE slotDescription[64]; CK_BYTE manufacturerID[32]; CK_ULONG flags;
  CK_VERSION hardwareVersion; CK_VERSION firmwareVersion;
} CK_SLOT_INFO;
typedef struct {
  CK_BYTE label[32]; CK_BYTE manufacturerID[32]; CK_BYTE model[16]; CK_BYTE serialNumber[16];
  CK_ULONG flags; CK_ULONG ulMaxSessionCount; CK_ULONG ulSessionCount; CK_ULONG ulMaxRwSessionCount;
  CK_ULONG ulRwSessionCount; CK_ULONG ulMaxPinLen; CK_ULONG ulMinPinLen;
  CK_ULONG ulTotalPublicMemory; CK_ULONG ulFreePublicMemory;
  CK_ULONG ulTotalPrivateMemory; CK_ULONG ulFreePrivateMemory;
  CK_VERSION hardwareVersion; CK_VERSION firmwareVersion; CK_BYTE utcTime[16];
} CK_TOKEN_INFO;
typedef struct { CK_ULONG slotID; CK_ULONG state; CK_ULONG flags; CK_ULONG ulDeviceError; }
  CK_SESSION_INFO;
typedef struct { CK_ULONG type; void *pValue; CK_ULONG ulValueLen; } CK_ATTRIBUTE;
typedef struct { CK_ULONG mechanism; void *pParameter; CK_ULONG ulParameterLen; } CK_MECHANISM;
typedef struct { CK_ULONG ulMinKeySize; CK_ULONG ulMaxKeySize; CK_ULONG flags; } CK_MECHANISM_INFO;
typedef struct {
  void *CreateMutex; void *DestroyMutex; void *LockMutex; void *UnlockMutex;
  CK_ULONG flags; void *pReserved;
} CK_C_INITIALIZE_ARGS;
"""

# In the order of the table (§5.4.4): a shift by one would call another function.
# H: a handle or number, b: bytes in or out, n: a length in, N: a length in and out.
_SHORT = {
    "H": "CK_ULONG",
    "b": "CK_BYTE *",
    "n": "CK_ULONG",
    "N": "CK_ULONG *",
    "M": "CK_MECHANISM *",
    "T": "CK_ATTRIBUTE *",
    "v": "void *",
    "B": "CK_BBOOL",
}
_TABLE = """
Initialize v|Finalize v|GetInfo CK_INFO|GetFunctionList v|GetSlotList B N N
GetSlotInfo H CK_SLOT_INFO|GetTokenInfo H CK_TOKEN_INFO|GetMechanismList H N N
GetMechanismInfo H H CK_MECHANISM_INFO|InitToken H b n b|InitPIN H b n|SetPIN H b n b n
OpenSession H H v v N|CloseSession H|CloseAllSessions H|GetSessionInfo H CK_SESSION_INFO
GetOperationState H b N|SetOperationState H b n H H|Login H H b n|Logout H|CreateObject H T n N
CopyObject H H T n N|DestroyObject H H|GetObjectSize H H N|GetAttributeValue H H T n
SetAttributeValue H H T n|FindObjectsInit H T n|FindObjects H N n N|FindObjectsFinal H
EncryptInit H M H|Encrypt H b n b N|EncryptUpdate H b n b N|EncryptFinal H b N|DecryptInit H M H
Decrypt H b n b N|DecryptUpdate H b n b N|DecryptFinal H b N|DigestInit H M|Digest H b n b N
DigestUpdate H b n|DigestKey H H|DigestFinal H b N|SignInit H M H|Sign H b n b N|SignUpdate H b n
SignFinal H b N|SignRecoverInit H M H|SignRecover H b n b N|VerifyInit H M H|Verify H b n b n
VerifyUpdate H b n|VerifyFinal H b n|VerifyRecoverInit H M H|VerifyRecover H b n b N
DigestEncryptUpdate H b n b N|DecryptDigestUpdate H b n b N|SignEncryptUpdate H b n b N
DecryptVerifyUpdate H b n b N|GenerateKey H M T n N|GenerateKeyPair H M T n T n N N
WrapKey H M H H b N|UnwrapKey H M H b n T n N|DeriveKey H M H T n N|SeedRandom H b n
GenerateRandom H b n|GetFunctionStatus H|CancelFunction H|WaitForSlotEvent H N v
"""
FUNCTIONS: dict[str, tuple[str, ...]] = {
    words[0]: tuple(words[1:])
    for words in (entry.split() for entry in _TABLE.replace("\n", "|").split("|"))
    if words
}


def _declaration() -> str:
    rows = []
    for name, arguments in FUNCTIONS.items():
        kinds = ", ".join(_SHORT.get(each, f"{each} *") for each in arguments)
        rows.append(f"  CK_ULONG (*C_{name})({kinds});")
    return "typedef struct {\n  CK_VERSION version;\n" + "\n".join(rows) + "\n} CK_FUNCTION_LIST;"


@cache
def declared() -> FFI:
    """Return the cffi interface with everything above declared (the first call costs ~0.1 s)."""
    ffi = FFI()
    ffi.cdef(_TYPES + _declaration() + "\nCK_ULONG C_GetFunctionList(CK_FUNCTION_LIST **);")
    return ffi
