"""A call of every function with a session that can be made without knowing the token."""

from ukey_harness.cases.pkcs11.keys import MESSAGE
from ukey_harness.cases.pkcs11.stand import Stand
from ukey_harness.cryptoki.arguments import Cell, Mechanism, Query, Raw, Room, Template
from ukey_harness.cryptoki.names import CKA, CKM, CKU

# What the standard lets a token leave out: these may say so before they look at anything.
OPTIONAL = frozenset(
    {
        "GetOperationState",
        "SetOperationState",
        "CopyObject",
        "GetObjectSize",
        "DigestKey",
        "SignRecoverInit",
        "SignRecover",
        "VerifyRecoverInit",
        "VerifyRecover",
        "DigestEncryptUpdate",
        "DecryptDigestUpdate",
        "SignEncryptUpdate",
        "DecryptVerifyUpdate",
        "SeedRandom",
        "GetFunctionStatus",
        "CancelFunction",
    }
)


def calls(stand: Stand, pin: bytes) -> dict[str, tuple[object, ...]]:
    """Return the functions of 2.40 that take a session, with arguments that come after that.

    pin: what C_Login, C_SetPIN and C_InitPIN are given; the right one, should a handle pass.
    """
    how = Mechanism(CKM.SHA256)
    new = stand.module.ffi.new
    handles, buffer = new("CK_ULONG[2]"), new("CK_BYTE[8]")
    arguments: dict[str, tuple[object, ...]] = {
        "CloseSession": (),
        "GetSessionInfo": (new("CK_SESSION_INFO *"),),
        "GetOperationState": (Room(),),
        "SetOperationState": (MESSAGE, 0, 0),
        "Login": (CKU.USER, pin),
        "Logout": (),
        "SetPIN": (pin, pin),
        "InitPIN": (pin,),
        "CreateObject": (Template({CKA.CLASS: 0}), Cell()),
        "CopyObject": (1, Template({CKA.LABEL: "x"}), Cell()),
        "DestroyObject": (1,),
        "GetObjectSize": (1, Cell()),
        "GetAttributeValue": (1, Query([CKA.LABEL])),
        "SetAttributeValue": (1, Template({CKA.LABEL: "x"})),
        "FindObjectsInit": (Template(),),
        "FindObjects": (handles, 2, Cell()),
        "FindObjectsFinal": (),
        "DigestInit": (how,),
        "DigestKey": (1,),
        "GenerateKey": (how, Template(), Cell()),
        "GenerateKeyPair": (how, Template(), Template(), Cell(), Cell()),
        "WrapKey": (how, 1, 1, Room()),
        "UnwrapKey": (how, 1, MESSAGE, Template(), Cell()),
        "DeriveKey": (how, 1, Template(), Cell()),
        "SeedRandom": (MESSAGE,),
        "GenerateRandom": (Raw(buffer), 8),
        "GetFunctionStatus": (),
        "CancelFunction": (),
    }
    for operation in ("Encrypt", "Decrypt", "Sign", "SignRecover", "Verify", "VerifyRecover"):
        arguments[f"{operation}Init"] = (how, 1)
    for one in ("Encrypt", "Decrypt", "Digest", "Sign", "SignRecover", "VerifyRecover"):
        arguments[one] = (MESSAGE, Room())
    for part in ("Encrypt", "Decrypt", "DigestEncrypt", "DecryptDigest", "SignEncrypt"):
        arguments[f"{part}Update"] = (MESSAGE, Room())
    arguments["DecryptVerifyUpdate"] = (MESSAGE, Room())
    for part in ("Digest", "Sign", "Verify"):
        arguments[f"{part}Update"] = (MESSAGE,)
    for last in ("Encrypt", "Decrypt", "Digest", "Sign"):
        arguments[f"{last}Final"] = (Room(),)
    arguments["Verify"], arguments["VerifyFinal"] = (MESSAGE, MESSAGE), (MESSAGE,)
    return arguments


def newer_calls(stand: Stand, pin: bytes) -> dict[str, tuple[object, ...]]:
    """Return the functions of 3.0 and 3.2 that take a session, as far as the module has them.

    A module may refuse each of them as not supported.
    """
    how, name = Mechanism(CKM.SHA256), Raw(b"C_Sign\0")
    arguments: dict[str, tuple[object, ...]] = {
        "LoginUser": (CKU.USER, pin, b"name"),
        "SessionCancel": (0,),
        "VerifySignatureInit": (how, 1, MESSAGE),
        "VerifySignature": (MESSAGE,),
        "VerifySignatureUpdate": (MESSAGE,),
        "VerifySignatureFinal": (),
        "GetSessionValidationFlags": (1, Cell()),
        "EncapsulateKey": (how, 1, Template(), Room(), Cell()),
        "DecapsulateKey": (how, 1, Template(), MESSAGE, Cell()),
        "AsyncGetID": (name, Cell()),
        "WrapKeyAuthenticated": (how, 1, 1, MESSAGE, Room()),
        "UnwrapKeyAuthenticated": (how, 1, MESSAGE, Template(), MESSAGE, Cell()),
    }
    for operation in ("Encrypt", "Decrypt", "Sign", "Verify"):
        arguments[f"Message{operation}Init"] = (how, 1)
        arguments[f"Message{operation}Final"] = ()
    for operation in ("Encrypt", "Decrypt"):
        arguments[f"{operation}Message"] = (None, 0, b"", MESSAGE, Room())
        arguments[f"{operation}MessageBegin"] = (None, 0, b"")
        arguments[f"{operation}MessageNext"] = (None, 0, MESSAGE, Room(), 0)
    arguments["SignMessage"] = (None, 0, MESSAGE, Room())
    arguments["SignMessageBegin"] = arguments["VerifyMessageBegin"] = (None, 0)
    arguments["SignMessageNext"] = (None, 0, MESSAGE, Room())
    arguments["VerifyMessage"] = arguments["VerifyMessageNext"] = (None, 0, MESSAGE, MESSAGE)
    return {name: given for name, given in arguments.items() if stand.module.has(name)}


def answers(stand: Stand, session: int, wanted: str, pin: bytes, *, newer: bool = False) -> str:
    """Call each function with that session; return the wanted name, or who says something else."""
    odd = []
    some = newer_calls(stand, pin) if newer else calls(stand, pin)
    for function, arguments in some.items():
        name = stand.rv(function, session, *arguments)
        if name == wanted:
            continue
        optional = newer or function in OPTIONAL
        if optional and name in {"FUNCTION_NOT_SUPPORTED", "FUNCTION_NOT_PARALLEL"}:
            continue
        odd.append(f"C_{function} {name}")
    return "; ".join(odd) or wanted
