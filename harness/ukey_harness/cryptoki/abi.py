"""The C side of PKCS#11: types and function tables (§3, §5.4), for cffi's ABI mode.

The tables are those of the interfaces 2.40, 3.0 and 3.2; each begins with the one before it.
"""

from functools import cache

from cffi import FFI  # type: ignore[import-untyped]

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
typedef struct { CK_BYTE *pInterfaceName; void *pFunctionList; CK_ULONG flags; } CK_INTERFACE;
typedef CK_ULONG (*CK_NOTIFY)(CK_ULONG session, CK_ULONG event, void *application);
typedef CK_ULONG (*CK_CREATEMUTEX)(void **mutex);
typedef CK_ULONG (*CK_MUTEXCALL)(void *mutex);
typedef struct {
  CK_BYTE *pIv; CK_ULONG ulIvLen; CK_ULONG ulIvBits; CK_BYTE *pAAD; CK_ULONG ulAADLen;
  CK_ULONG ulTagBits;
} CK_GCM_PARAMS;
typedef struct {
  CK_BYTE *pIv; CK_ULONG ulIvLen; CK_ULONG ulIvFixedBits; CK_ULONG ivGenerator;
  CK_BYTE *pTag; CK_ULONG ulTagBits;
} CK_GCM_MESSAGE_PARAMS;
typedef struct {
  CK_ULONG hashAlg; CK_ULONG mgf; CK_ULONG source; void *pSourceData; CK_ULONG ulSourceDataLen;
} CK_RSA_PKCS_OAEP_PARAMS;
typedef struct { CK_ULONG hashAlg; CK_ULONG mgf; CK_ULONG sLen; } CK_RSA_PKCS_PSS_PARAMS;
typedef struct {
  CK_ULONG kdf; CK_ULONG ulSharedDataLen; CK_BYTE *pSharedData;
  CK_ULONG ulPublicDataLen; CK_BYTE *pPublicData;
} CK_ECDH1_DERIVE_PARAMS;
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
_TABLE_2_40 = """
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
_TABLE_3_0 = """
GetInterfaceList CK_INTERFACE N|GetInterface b CK_VERSION v H|LoginUser H H b n b n
SessionCancel H H|MessageEncryptInit H M H|EncryptMessage H v n b n b n b N
EncryptMessageBegin H v n b n|EncryptMessageNext H v n b n b N H|MessageEncryptFinal H
MessageDecryptInit H M H|DecryptMessage H v n b n b n b N|DecryptMessageBegin H v n b n
DecryptMessageNext H v n b n b N H|MessageDecryptFinal H|MessageSignInit H M H
SignMessage H v n b n b N|SignMessageBegin H v n|SignMessageNext H v n b n b N|MessageSignFinal H
MessageVerifyInit H M H|VerifyMessage H v n b n b n|VerifyMessageBegin H v n
VerifyMessageNext H v n b n b n|MessageVerifyFinal H
"""
_TABLE_3_2 = """
EncapsulateKey H M H T n b N N|DecapsulateKey H M H T n b n N|VerifySignatureInit H M H b n
VerifySignature H b n|VerifySignatureUpdate H b n|VerifySignatureFinal H
GetSessionValidationFlags H H N|AsyncComplete H b v|AsyncGetID H b N|AsyncJoin H b H b n
WrapKeyAuthenticated H M H H b n b N|UnwrapKeyAuthenticated H M H b n T n b n N
"""


def _functions(table: str) -> dict[str, tuple[str, ...]]:
    entries = (entry.split() for entry in table.replace("\n", "|").split("|"))
    return {words[0]: tuple(words[1:]) for words in entries if words}


FUNCTIONS_2_40 = _functions(_TABLE_2_40)
FUNCTIONS_3_0 = FUNCTIONS_2_40 | _functions(_TABLE_3_0)
FUNCTIONS = FUNCTIONS_3_0 | _functions(_TABLE_3_2)

# The structure that a function list of a version is, and the functions in it.
LISTS = {
    (2, 40): ("CK_FUNCTION_LIST", FUNCTIONS_2_40),
    (3, 0): ("CK_FUNCTION_LIST_3_0", FUNCTIONS_3_0),
    (3, 1): ("CK_FUNCTION_LIST_3_0", FUNCTIONS_3_0),
    (3, 2): ("CK_FUNCTION_LIST_3_2", FUNCTIONS),
}


def _declaration(name: str, functions: dict[str, tuple[str, ...]]) -> str:
    rows = []
    for function, arguments in functions.items():
        kinds = ", ".join(_SHORT.get(each, f"{each} *") for each in arguments)
        rows.append(f"  CK_ULONG (*C_{function})({kinds});")
    return f"typedef struct {{\n  CK_VERSION version;\n{chr(10).join(rows)}\n}} {name};\n"


@cache
def declared() -> FFI:
    """Return the cffi interface with everything above declared (the first call costs ~0.1 s)."""
    ffi = FFI()
    lists = "".join(_declaration(name, functions) for name, functions in function_lists())
    ffi.cdef(
        _TYPES
        + lists
        + "CK_ULONG C_GetFunctionList(CK_FUNCTION_LIST **);\n"
        + "CK_ULONG C_GetInterfaceList(CK_INTERFACE *, CK_ULONG *);\n"
        + "CK_ULONG C_GetInterface(CK_BYTE *, CK_VERSION *, CK_INTERFACE **, CK_ULONG);\n"
    )
    return ffi


def function_lists() -> list[tuple[str, dict[str, tuple[str, ...]]]]:
    """Return each function list's structure once, with its functions."""
    return list({name: (name, functions) for name, functions in LISTS.values()}.values())
