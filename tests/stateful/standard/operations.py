"""Encryption, decryption, digests, signatures and their verification (§5.8 to §5.17)."""

from functools import partial
from typing import Any

from . import algorithms
from .algorithms import SIGNATURE_BYTES, Result
from .allowed import SLACK, Allowed, Follow, length_suffices, refused, require
from .sessions import key_of
from .state import Application, Object, Operation, Session, World
from .values import Mech, Null, Out, Reply, words

PERMISSION = {  # operation → attribute of the key, and its flag in CK_MECHANISM_INFO
    "encrypt": ("ENCRYPT", 0x100),
    "decrypt": ("DECRYPT", 0x200),
    "digest": (None, 0x400),
    "sign": ("SIGN", 0x800),
    "sign recover": ("SIGN_RECOVER", 0x1000),
    "verify": ("VERIFY", 0x2000),
    "verify recover": ("VERIFY_RECOVER", 0x4000),
    "verify signature": ("VERIFY", 0x2000),
    "message encrypt": ("ENCRYPT", 0x2),
    "message decrypt": ("DECRYPT", 0x4),
}
_PRIVATE_SIDE = {"decrypt", "sign", "sign recover"}
KEYS = {  # mechanism → key type
    "AES_ECB": "AES",
    "AES_CBC": "AES",
    "AES_CBC_PAD": "AES",
    "AES_GCM": "AES",
    "AES_KEY_WRAP": "AES",
    "SHA256_HMAC": "GENERIC_SECRET",
    "RSA_PKCS": "RSA",
    "SHA256_RSA_PKCS": "RSA",
    "ECDSA": "EC",
    "ECDH1_DERIVE": "EC",
}
IVS = {"AES_CBC": 16, "AES_CBC_PAD": 16}
PAIRS = {  # what one session can do at once where CKF_DUAL_CRYPTO_OPERATIONS is set (§5.17)
    frozenset({"digest", "encrypt"}),
    frozenset({"digest", "decrypt"}),
    frozenset({"sign", "encrypt"}),
    frozenset({"verify", "decrypt"}),
}
# What may be said of an operation whose key was destroyed or hidden meanwhile: no clause says.
KEY_GONE = {
    *(words("KEY_HANDLE_INVALID OBJECT_HANDLE_INVALID OPERATION_NOT_INITIALIZED")),
    *(words("USER_NOT_LOGGED_IN FUNCTION_FAILED")),
}


def key_faults(world: World, kind: str, mechanism: str, key: Object | None) -> set[str]:
    """Tell what is wrong with a key for an operation.

    CKR_KEY_TYPE_INCONSISTENT goes before CKR_KEY_FUNCTION_NOT_PERMITTED (§5.1.6), but a key of the
    wrong class, which has no such attribute, may be told either way.
    """
    del world
    if key is None:
        return {"KEY_HANDLE_INVALID"}
    permission, _ = PERMISSION[kind]
    wanted = KEYS.get(mechanism)
    if wanted is None:
        return set() if key.flag(permission or "") else {"KEY_FUNCTION_NOT_PERMITTED"}
    side = "SECRET_KEY"
    if wanted in {"RSA", "EC"}:
        side = "PRIVATE_KEY" if kind in _PRIVATE_SIDE else "PUBLIC_KEY"
    if key.key_type != wanted:
        return {"KEY_TYPE_INCONSISTENT"}
    if key.kind != side:
        return {"KEY_TYPE_INCONSISTENT", "KEY_FUNCTION_NOT_PERMITTED", "KEY_HANDLE_INVALID"}
    return set() if key.flag(permission or "") else {"KEY_FUNCTION_NOT_PERMITTED"}


def mechanism_faults(world: World, flag: int, mechanism: Any) -> set[str]:
    """Tell what is wrong with a mechanism: not there or not for this (§5.1.6), or its parameter."""
    if not world.traits.mechanisms.get(mechanism.name, 0) & flag:
        return {"MECHANISM_INVALID"}
    if isinstance(mechanism, Mech):
        given = mechanism.parameter
        if len(given or b"") != IVS.get(mechanism.name, 0):
            return {"MECHANISM_PARAM_INVALID"}
    return set()


def begin(
    kind: str,
    world: World,
    app: Application,
    handle: int,
    mechanism: Any,
    key: int | None = None,
    signature: object = b"",
) -> Allowed:
    """C_EncryptInit and its kin (§5.8.1, §5.10.1, §5.12.1, §5.13.1, §5.15.1).

    A NULL mechanism ends the operation that is active (since 3.0); where none is, that may be told.
    Another active operation may stand in the way unless the token does such pairs (§5.1.6,
    CKR_OPERATION_ACTIVE). A key with CKA_ALWAYS_AUTHENTICATE waits for its login (§4.9).
    """
    session = app.sessions.get(handle)
    if session is None:
        return refused("SESSION_HANDLE_INVALID")
    active = session.operations
    if mechanism is None:
        if world.traits.version < (3, 0):
            return refused("ARGUMENTS_BAD", *(["OPERATION_ACTIVE"] if active else []))
        faults = set() if kind in active else {"OPERATION_NOT_INITIALIZED", "ARGUMENTS_BAD"}
        return Allowed(faults, lambda _: active.pop(kind, None))
    permission, flag = PERMISSION[kind]
    faults = mechanism_faults(world, flag, mechanism)
    obj = None
    if key is not None:
        obj = key_of(app, key)
        faults |= key_faults(world, kind, mechanism.name, obj)
    if kind in active:
        faults.add("OPERATION_ACTIVE")
    if isinstance(signature, Null):
        faults.add("ARGUMENTS_BAD")
    others = set(active) - {kind}
    pair = len(others) == 1 and frozenset({kind, *others}) in PAIRS and world.traits.dual
    optional = {"OPERATION_ACTIVE"} if others and not pair else set()
    length = SIGNATURE_BYTES.get(mechanism.name)
    if kind == "verify signature" and isinstance(signature, bytes) and len(signature) != length:
        optional.add("SIGNATURE_LEN_RANGE")

    def follow(reply: Reply) -> None:
        del reply
        operation = Operation(mechanism, obj)
        operation.waiting = obj is not None and obj.flag("ALWAYS_AUTHENTICATE")
        operation.signature = signature if isinstance(signature, bytes) else None
        active[kind] = operation

    del permission
    return Allowed(faults | optional, None if faults else follow)


def compute(kind: str, operation: Operation, data: bytes) -> Result:
    """Return what an operation makes of all its data."""
    mechanism, key = operation.mechanism, operation.key
    if kind == "digest":
        return algorithms.digest(None if operation.unknown else data)
    if key is None:
        raise ValueError("an operation with keys has one")
    if kind == "encrypt":
        return algorithms.encrypt(mechanism.name, key, mechanism.parameter, data)
    if kind == "decrypt":
        return algorithms.decrypt(mechanism.name, key, mechanism.parameter, data)
    if kind == "verify recover":
        return algorithms.recover(key, data)
    return algorithms.sign(mechanism.name, key, data)


def ending(session: Session, kind: str) -> Follow:
    """Return what follows from a fault: it ends the operation, but for CKR_BUFFER_TOO_SMALL (§5.2).

    Of CKR_OPERATION_ACTIVE the standard says both that the call "always terminates the active
    operation" and that it "cannot be used to terminate a multi-part operation": doubtful.
    """

    def follow(reply: Reply) -> None:
        if reply.code == "OPERATION_ACTIVE":
            session.doubtful.add(kind)
        elif reply.code != "BUFFER_TOO_SMALL" and kind in session.operations:
            session.ended[kind] = session.operations.pop(kind)

    return follow


def hindrances(operation: Operation, data: object, out: Out | None = None) -> set[str]:
    """Tell what keeps any call from going on with an operation."""
    faults = set()
    if isinstance(data, Null) or (out is not None and not out.asked):
        faults.add("ARGUMENTS_BAD")
    if operation.waiting:
        faults.add("USER_NOT_LOGGED_IN")
    return faults


def _deliver(
    session: Session, kind: str, operation: Operation, out: Out, result: Result, done: bytes
) -> Allowed:
    """Give the last of an output by the convention of §5.2; `done` went out before.

    With a NULL buffer the length that suffices, and bad data may be told or not yet; with a buffer
    that is too small the exact length, and the operation stays as it is; else the output, and the
    operation is over.
    """
    fail = ending(session, kind)
    optional = KEY_GONE if operation.unknown and kind != "digest" else set()
    rest = None if result.length is None else result.length - len(done)
    if out.capacity is None:

        def told(reply: Reply) -> None:
            if rest is not None and not result.faults:
                length_suffices(reply.written[-1][0], rest, _slack(kind, operation))

        return Allowed(result.faults | optional, told, fail)
    if result.faults:
        return Allowed(result.faults | optional | {"BUFFER_TOO_SMALL"}, None, fail)

    def short(reply: Reply) -> None:
        if reply.code == "BUFFER_TOO_SMALL" and rest is not None:
            require(reply.written[-1][0] == rest, "length", f"{reply.written[-1][0]}, not {rest}")
        fail(reply)

    def follow(reply: Reply) -> None:
        length, data = reply.written[-1]
        require(length == len(data), "length", length)
        require(rest is None or length == rest, "length", f"{length}, not {rest}")
        require(operation.unknown or result.accepts(done + data), "data", data.hex())
        session.operations.pop(kind, None)

    if rest is None:
        return Allowed({"BUFFER_TOO_SMALL"} | optional, follow, short)
    if out.capacity < rest:
        return Allowed({"BUFFER_TOO_SMALL"} | optional, None, short)
    return Allowed(optional, follow, short)


def _slack(kind: str, operation: Operation) -> int:
    """Return how much more may be announced: what RSA hides is known only when it is opened."""
    hidden = kind == "decrypt" and operation.mechanism.name == "RSA_PKCS"
    return algorithms.RSA_BYTES if hidden else SLACK


def whole(
    kind: str, world: World, app: Application, handle: int, data: object, out: Out
) -> Allowed:
    """C_Encrypt, C_Decrypt, C_Digest, C_Sign, C_SignRecover, C_VerifyRecover: all in one part."""
    del world
    session = app.sessions.get(handle)
    if session is None:
        return refused("SESSION_HANDLE_INVALID")
    operation = session.operations.get(kind)
    faults = {"ARGUMENTS_BAD"} if isinstance(data, Null) or not out.asked else set()
    if operation is None:
        return refused("OPERATION_NOT_INITIALIZED", *faults)
    faults = hindrances(operation, data, out)
    if operation.parts:
        faults |= {"OPERATION_ACTIVE", "OPERATION_NOT_INITIALIZED"}
    if faults:
        return or_active(operation, Allowed(faults, None, ending(session, kind)))
    allowed = _deliver(session, kind, operation, out, compute(kind, operation, data), b"")
    return or_active(operation, allowed)


def or_active(operation: Operation, allowed: Allowed) -> Allowed:
    """Allow CKR_OPERATION_ACTIVE as well where only the length of a part was asked for before."""
    if operation.parts is None:
        allowed.faults.add("OPERATION_ACTIVE")
    return allowed


def part(kind: str, world: World, app: Application, handle: int, data: object, out: Out) -> Allowed:
    """C_EncryptUpdate, C_DecryptUpdate (§5.8.3, §5.10.3): how much comes out is the token's affair.

    What has come out so far is the beginning of the whole output.
    """
    del world
    session = app.sessions.get(handle)
    if session is None:
        return refused("SESSION_HANDLE_INVALID")
    operation = session.operations.get(kind)
    faults = {"ARGUMENTS_BAD"} if isinstance(data, Null) or not out.asked else set()
    if operation is None:
        return refused("OPERATION_NOT_INITIALIZED", *faults)
    faults = hindrances(operation, data, out)
    fail = ending(session, kind)
    if faults:
        return Allowed(faults, None, fail)
    come = operation.data + data
    most = len(come) // 16 * 16 - operation.given
    optional = set(KEY_GONE) if operation.unknown else set()
    if out.capacity is None:
        return Allowed(optional, partial(_part_asked, operation, most), fail)
    if out.capacity < most:
        optional.add("BUFFER_TOO_SMALL")

    def follow(reply: Reply) -> None:
        length, given = reply.written[-1]
        require(length == len(given), "length", length)
        require(length <= most, "length", f"{length} of {most} bytes that can be known")
        operation.parts = True
        known = None if operation.unknown else _beginning(kind, operation, come)
        if known is not None:
            seen = known[operation.given : operation.given + length]
            require(given == seen, "data", given.hex())
        operation.data, operation.given = come, operation.given + length

    return Allowed(optional, follow, fail)


def _part_asked(operation: Operation, most: int, reply: Reply) -> None:
    """Check a length that was only asked for; C_Encrypt may take that for an update or not."""
    length = reply.written[-1][0]
    require(length <= most + SLACK, "length", f"{length} announced, {most} can come")
    operation.parts = operation.parts or None  # type: ignore[assignment]


def _beginning(kind: str, operation: Operation, data: bytes) -> bytes | None:
    """Return what an operation makes of the whole blocks so far, None where that is not known."""
    name, iv, key = operation.mechanism.name, operation.mechanism.parameter, operation.key
    if key is None or not isinstance(key.secret, bytes):
        return None
    plain = "AES_ECB" if name == "AES_ECB" else "AES_CBC"
    make = algorithms.encrypt if kind == "encrypt" else algorithms.decrypt
    return make(plain, key, iv, data[: len(data) // 16 * 16]).data


def take(kind: str, world: World, app: Application, handle: int, data: object) -> Allowed:
    """C_DigestUpdate, C_SignUpdate, C_VerifyUpdate (§5.12.3, §5.13.3, §5.15.3)."""
    del world
    session = app.sessions.get(handle)
    if session is None:
        return refused("SESSION_HANDLE_INVALID")
    operation = session.operations.get(kind)
    if operation is None:
        faults = {"ARGUMENTS_BAD"} if isinstance(data, Null) else set()
        return refused("OPERATION_NOT_INITIALIZED", *faults)
    faults = hindrances(operation, data)
    optional = KEY_GONE if operation.unknown and kind != "digest" else set()

    def follow(reply: Reply) -> None:
        del reply
        operation.data += data
        operation.parts = True

    return Allowed(faults | optional, None if faults else follow, ending(session, kind))


def digest_key(world: World, app: Application, handle: int, key: int) -> Allowed:
    """C_DigestKey (§5.12.4): of a secret key; a token may find any key indigestible.

    Other than of C_DigestUpdate, the standard does not say that a fault ends the digest.
    """
    del world
    session = app.sessions.get(handle)
    if session is None:
        return refused("SESSION_HANDLE_INVALID")
    operation = session.operations.get("digest")
    obj = key_of(app, key)
    faults = set() if operation else {"OPERATION_NOT_INITIALIZED"}
    if obj is None:
        faults.add("KEY_HANDLE_INVALID")
    elif obj.kind != "SECRET_KEY":
        faults.add("KEY_INDIGESTIBLE")

    def doubt(reply: Reply) -> None:
        del reply
        session.doubtful.add("digest")

    if operation is None or obj is None or faults:
        return Allowed(faults, None, doubt)

    def follow(reply: Reply) -> None:
        del reply
        operation.parts = True
        if isinstance(obj.secret, bytes):
            operation.data += obj.secret
        else:
            operation.unknown = True

    return Allowed({"KEY_INDIGESTIBLE"}, follow, doubt)


def final(kind: str, world: World, app: Application, handle: int, out: Out) -> Allowed:
    """C_EncryptFinal, C_DecryptFinal, C_DigestFinal, C_SignFinal: the rest of the output."""
    del world
    session = app.sessions.get(handle)
    if session is None:
        return refused("SESSION_HANDLE_INVALID")
    operation = session.operations.get(kind)
    if operation is None:
        faults = set() if out.asked else {"ARGUMENTS_BAD"}
        return refused("OPERATION_NOT_INITIALIZED", *faults)
    faults = hindrances(operation, b"", out)
    if faults:
        return Allowed(faults, None, ending(session, kind))
    result = compute(kind, operation, operation.data)
    done = b""
    if operation.given:
        done = (result.data or bytes(operation.given))[: operation.given]
    return _deliver(session, kind, operation, out, result, done)


def dual(
    out_of: str, into: str, world: World, app: Application, handle: int, data: object, out: Out
) -> Allowed:
    """C_DigestEncryptUpdate and its kin (§5.17): one operation's update feeds the other.

    A token that can do so says it by CKF_DUAL_CRYPTO_OPERATIONS (§3.2).
    `out_of` gives the output; `into` takes the plain data, which for a decryption is what comes
    out. What a fault leaves of the two is not said.
    """
    session = app.sessions.get(handle)
    if session is None:
        return refused("SESSION_HANDLE_INVALID")
    missing = {out_of, into} - set(session.operations)
    faults = {"ARGUMENTS_BAD"} if isinstance(data, Null) or not out.asked else set()

    def fail(reply: Reply) -> None:
        if reply.code != "BUFFER_TOO_SMALL":
            session.doubtful |= {out_of, into} & set(session.operations)

    if missing:
        return Allowed(faults | {"OPERATION_NOT_INITIALIZED"}, None, fail)
    taker = session.operations[into]
    allowed = part(out_of, world, app, handle, data, out)
    faults |= allowed.faults | hindrances(taker, data)
    if taker.unknown:
        faults |= KEY_GONE
    if taker.waiting or allowed.granted is None:
        return Allowed(faults, None, fail)

    def follow(reply: Reply) -> None:
        require(world.traits.dual, "flags", "CKF_DUAL_CRYPTO_OPERATIONS is not set")
        if allowed.granted is not None:
            allowed.granted(reply)
        if out.capacity is None:
            taker.parts = taker.parts or None  # type: ignore[assignment]
            return
        taker.parts = True
        taker.data += data if out_of == "encrypt" else reply.written[-1][1]

    return Allowed(faults, follow, fail)


CHAPTER: dict[str, Any] = {
    "DigestKey": digest_key,
    "VerifySignatureUpdate": partial(take, "verify signature"),
    "DigestEncryptUpdate": partial(dual, "encrypt", "digest"),
    "DecryptDigestUpdate": partial(dual, "decrypt", "digest"),
    "SignEncryptUpdate": partial(dual, "encrypt", "sign"),
    "DecryptVerifyUpdate": partial(dual, "decrypt", "verify"),
}
for _kind in PERMISSION:
    _name = _kind.title().replace(" ", "")
    if not _name.startswith("Message"):
        CHAPTER[f"{_name}Init"] = partial(begin, _kind)
for _kind in ("encrypt", "decrypt", "digest", "sign", "sign recover", "verify recover"):
    CHAPTER[_kind.title().replace(" ", "")] = partial(whole, _kind)
for _kind in ("encrypt", "decrypt"):
    CHAPTER[f"{_kind.title()}Update"] = partial(part, _kind)
for _kind in ("digest", "sign", "verify"):
    CHAPTER[f"{_kind.title()}Update"] = partial(take, _kind)
for _kind in ("encrypt", "decrypt", "digest", "sign"):
    CHAPTER[f"{_kind.title()}Final"] = partial(final, _kind)
