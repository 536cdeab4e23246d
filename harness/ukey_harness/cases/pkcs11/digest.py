"""Digests (PKCS#11 3.2 §5.12): DG."""

import hashlib

from ukey_harness.cases.case import Section
from ukey_harness.cases.pkcs11.keys import MESSAGE, imported_aes
from ukey_harness.cases.pkcs11.needs import mechanism, version
from ukey_harness.cases.pkcs11.stand import Stand
from ukey_harness.cryptoki.arguments import Mechanism, Room
from ukey_harness.cryptoki.names import CKF, CKM

digest = Section("PKCS#11 3.2", "Digests")

SHA256 = mechanism(CKM.SHA256, use=CKF.DIGEST)


def init(stand: Stand, session: int) -> str:
    """C_DigestInit with SHA-256; return its name."""
    return stand.rv("DigestInit", session, Mechanism(CKM.SHA256))


def right(value: bytes, data: bytes) -> str:
    """Return "good" when the value is the SHA-256 digest of data."""
    return "good" if value == hashlib.sha256(data).digest() else "another digest"


@digest.case(
    "DG-01",
    "5.12.1",
    "A session has one digest at a time, and the first one goes on.",
    "OK, OPERATION_ACTIVE, good",
    needs=(SHA256,),
)
def _dg_01(stand: Stand) -> tuple[str, ...]:
    session = stand.session()
    names = init(stand, session), init(stand, session)
    return *names, right(stand.made("Digest", session, MESSAGE), MESSAGE)


@digest.case(
    "DG-02",
    "5.12.2",
    "Nothing is digested without C_DigestInit.",
    "OPERATION_NOT_INITIALIZED, OPERATION_NOT_INITIALIZED, OPERATION_NOT_INITIALIZED",
)
def _dg_02(stand: Stand) -> tuple[str, ...]:
    session = stand.session()
    return (
        stand.rv("Digest", session, MESSAGE, Room()),
        stand.rv("DigestUpdate", session, MESSAGE),
        stand.rv("DigestFinal", session, Room()),
    )


@digest.case(
    "DG-03",
    "5.2",
    "Asking for the length and a buffer that is too short leave the digest as it was.",
    "OK, BUFFER_TOO_SMALL, OK, good, OPERATION_NOT_INITIALIZED",
    needs=(SHA256,),
)
def _dg_03(stand: Stand) -> tuple[str, ...]:
    session, room = stand.session(), Room(32)
    stand.must("DigestInit", session, Mechanism(CKM.SHA256))
    return (
        stand.rv("Digest", session, MESSAGE, Room(None)),
        stand.rv("Digest", session, MESSAGE, Room(1)),
        stand.rv("Digest", session, MESSAGE, room),
        right(room.data, MESSAGE),
        stand.rv("Digest", session, MESSAGE, Room()),
    )


@digest.case(
    "DG-04",
    "5.12.2",
    "C_Digest does not finish what C_DigestUpdate has begun.",
    "OPERATION_ACTIVE",
    allow=("OPERATION_NOT_INITIALIZED | FUNCTION_FAILED",),
    needs=(SHA256,),
)
def _dg_04(stand: Stand) -> str:
    session = stand.session()
    stand.must("DigestInit", session, Mechanism(CKM.SHA256))
    stand.must("DigestUpdate", session, MESSAGE)
    return stand.rv("Digest", session, MESSAGE, Room())


@digest.case(
    "DG-05",
    "5.12.2",
    "A NULL length ends the digest.",
    "ARGUMENTS_BAD, OK",
    needs=(SHA256,),
)
def _dg_05(stand: Stand) -> tuple[str, str]:
    session = stand.session()
    stand.must("DigestInit", session, Mechanism(CKM.SHA256))
    name = stand.rv("Digest", session, MESSAGE, Room().pointer, None)
    return name, init(stand, session)


@digest.case(
    "DG-06",
    "5.12.4",
    "C_DigestKey digests the value of a secret key, or says that it cannot.",
    "OK, good",
    allow=("KEY_INDIGESTIBLE", "FUNCTION_NOT_SUPPORTED"),
    needs=(SHA256,),
)
def _dg_06(stand: Stand) -> tuple[str, ...]:
    session, value = stand.user(), bytes(range(16))
    key = stand.create(session, imported_aes(value=value))
    stand.must("DigestInit", session, Mechanism(CKM.SHA256))
    stand.must("DigestUpdate", session, MESSAGE)
    name = stand.rv("DigestKey", session, key)
    if name != "OK":
        return (name,)
    return name, right(stand.made("DigestFinal", session), MESSAGE + value)


@digest.case(
    "DG-07",
    "5.12.1",
    "C_DigestInit with a NULL mechanism ends the digest.",
    "OK, OPERATION_NOT_INITIALIZED, OK",
    allow=("OPERATION_CANCEL_FAILED, OK, OK",),
    needs=(version(3, 0), SHA256),
)
def _dg_07(stand: Stand) -> tuple[str, ...]:
    session = stand.session()
    stand.must("DigestInit", session, Mechanism(CKM.SHA256))
    return (
        stand.rv("DigestInit", session, None),
        stand.rv("Digest", session, MESSAGE, Room()),
        init(stand, session),
    )


@digest.case(
    "DG-08",
    "5.12.2",
    "No data has a digest too, in one part and in none.",
    "good, good",
    needs=(SHA256,),
)
def _dg_08(stand: Stand) -> tuple[str, str]:
    session = stand.session()
    first = right(stand.digest(session, b""), b"")
    stand.must("DigestInit", session, Mechanism(CKM.SHA256))
    return first, right(stand.made("DigestFinal", session), b"")


@digest.case(
    "DG-09",
    "5.12.1",
    "A mechanism without parameters refuses one; the standard lets a token overlook it.",
    "MECHANISM_PARAM_INVALID",
    allow=("OK",),
    needs=(SHA256,),
)
def _dg_09(stand: Stand) -> str:
    return stand.rv("DigestInit", stand.session(), Mechanism(CKM.SHA256, bytes(16)))


@digest.case(
    "DG-10",
    "5.12",
    "The digests of two sessions know nothing of each other.",
    "good, good",
    needs=(SHA256,),
)
def _dg_10(stand: Stand) -> tuple[str, str]:
    first, second = stand.session(), stand.session()
    for session, part in ((first, b"one"), (second, b"two")):
        stand.must("DigestInit", session, Mechanism(CKM.SHA256))
        stand.must("DigestUpdate", session, part)
    stand.must("DigestUpdate", first, b"more")
    return (
        right(stand.made("DigestFinal", first), b"onemore"),
        right(stand.made("DigestFinal", second), b"two"),
    )
