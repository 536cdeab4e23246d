"""What came with PKCS#11 3.2: encapsulation, C_VerifySignature, asynchronous sessions: V32."""

from ukey_harness.cases.case import NotApplicable, Section
from ukey_harness.cases.pkcs11.digest import SHA256
from ukey_harness.cases.pkcs11.keys import MESSAGE, More, rsa
from ukey_harness.cases.pkcs11.needs import all_of, mechanism, version
from ukey_harness.cases.pkcs11.sessions import opened
from ukey_harness.cases.pkcs11.sign import HASHED_RSA
from ukey_harness.cases.pkcs11.stand import MARK, Stand
from ukey_harness.cases.pkcs11.verify import flipped
from ukey_harness.cryptoki.arguments import Cell, Mechanism, Room, Template
from ukey_harness.cryptoki.names import (
    CKA,
    CKF,
    CKF_ASYNC_SESSION,
    CKF_SERIAL_SESSION,
    CKK,
    CKM,
    CKO,
    CKP_ML_KEM_768,
    NOBODY,
    TokenFlag,
)

version32 = Section("PKCS#11 3.2", "Version 3.2")

VERSION_32 = version(3, 2)
KEM = all_of(
    VERSION_32,
    mechanism(CKM.ML_KEM_KEY_PAIR_GEN, use=CKF.GENERATE_KEY_PAIR),
    mechanism(CKM.ML_KEM, use=CKF.ENCAPSULATE | CKF.DECAPSULATE),
)
SHARED = "ukeylab-case shared"


def kem_pair(
    stand: Stand, session: int, *, may: bool = True, forced: More | None = None
) -> tuple[int, int]:
    """Generate an ML-KEM-768 pair, whose offspring is to be as `forced` says."""
    bound: tuple[More, More] = {}, {}
    if forced is not None:
        bound = {CKA.ENCAPSULATE_TEMPLATE: forced}, {CKA.DECAPSULATE_TEMPLATE: forced}
    both: More = {CKA.TOKEN: False, CKA.LABEL: MARK}
    return stand.pair(
        session,
        CKM.ML_KEM_KEY_PAIR_GEN,
        {
            **both,
            CKA.PRIVATE: False,
            CKA.PARAMETER_SET: CKP_ML_KEM_768,
            CKA.ENCAPSULATE: may,
            **bound[0],
        },
        {**both, CKA.PRIVATE: True, CKA.SENSITIVE: True, CKA.DECAPSULATE: may, **bound[1]},
    )


def shared() -> Template:
    """Return the template of a shared key whose value can be read."""
    return Template(
        {
            CKA.CLASS: CKO.SECRET_KEY,
            CKA.KEY_TYPE: CKK.GENERIC_SECRET,
            CKA.TOKEN: False,
            CKA.PRIVATE: False,
            CKA.LABEL: SHARED,
            CKA.SENSITIVE: False,
            CKA.EXTRACTABLE: True,
        }
    )


def encapsulated(stand: Stand, session: int, key: int, room: Room) -> tuple[str, int]:
    """C_EncapsulateKey; return its name and the shared key's handle."""
    made = Cell()
    how = Mechanism(CKM.ML_KEM)
    return stand.rv("EncapsulateKey", session, how, key, shared(), room, made), made.value


def decapsulated(stand: Stand, session: int, key: int, text: bytes) -> tuple[str, int]:
    """C_DecapsulateKey; return its name and the shared key's handle."""
    made = Cell()
    how = Mechanism(CKM.ML_KEM)
    return stand.rv("DecapsulateKey", session, how, key, shared(), text, made), made.value


@version32.case(
    "V32-1",
    "5.18.8",
    "Keys encapsulate and decapsulate what they may, both sides have the same key, and lengths are "
    "told and checked.",
    "KEY_FUNCTION_NOT_PERMITTED, KEY_FUNCTION_NOT_PERMITTED, OK, BUFFER_TOO_SMALL, OK, OK, same, "
    "length refused, 2",
    needs=(KEM,),
)
def _v32_1(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user()
    barred = kem_pair(stand, session, may=False)
    public, private = kem_pair(stand, session)
    asked, short, room = Room(None), Room(1), Room()
    refused = encapsulated(stand, session, barred[0], Room())[0]
    first = encapsulated(stand, session, public, asked)[0]
    second = encapsulated(stand, session, public, short)[0]
    third, ours = encapsulated(stand, session, public, room)
    closed = decapsulated(stand, session, barred[1], room.data)[0]
    fourth, theirs = decapsulated(stand, session, private, room.data)
    values = [stand.attribute(session, each, CKA.VALUE) for each in (ours, theirs)]
    wrong = decapsulated(stand, session, private, room.data[:-1])[0]
    if not asked.length == short.length == room.length:
        first = f"{first} {asked.length}, {short.length}, {room.length}"
    return (
        refused,
        closed,
        first,
        second,
        third,
        fourth,
        "same" if values[0] == values[1] and values[0] else "differ",
        "length refused" if wrong.endswith("LEN_RANGE") else wrong,
        stand.labelled(session, SHARED),
    )


@version32.case(
    "V32-2",
    "5.15.7",
    "C_VerifySignature says of a signature what C_Verify says of it, in one part and in several.",
    "OK, OK, SIGNATURE_INVALID, SIGNATURE_INVALID, OPERATION_NOT_INITIALIZED",
    needs=(VERSION_32, HASHED_RSA),
)
def _v32_2(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    public, private = rsa(stand, session)
    how = Mechanism(CKM.SHA256_RSA_PKCS)
    right = stand.done("Sign", session, how, private, MESSAGE)
    seen = []
    for signature in (right, flipped(right)):
        stand.must("VerifySignatureInit", session, how, public, signature)
        seen.append(stand.rv("VerifySignature", session, MESSAGE))
        stand.must("VerifySignatureInit", session, how, public, signature)
        for part in (MESSAGE[:7], MESSAGE[7:]):
            stand.must("VerifySignatureUpdate", session, part)
        seen.append(stand.rv("VerifySignatureFinal", session))
    return *seen, stand.rv("VerifySignature", session, MESSAGE)


@version32.case(
    "V32-3",
    "5.6.1",
    "A token without asynchronous sessions refuses one as such.",
    "SESSION_ASYNC_NOT_SUPPORTED",
    needs=(VERSION_32,),
)
def _v32_3(stand: Stand) -> str:
    if TokenFlag.ASYNC_SESSION_SUPPORTED in stand.token_flags():
        raise NotApplicable("The token has asynchronous sessions: CKF_ASYNC_SESSION_SUPPORTED.")
    return opened(stand, stand.slot, CKF_SERIAL_SESSION | CKF_ASYNC_SESSION)


@version32.case(
    "V32-4",
    "5.6.11",
    "A session tells its validation flags; without a validation there are none.",
    "OK, 0, SESSION_HANDLE_INVALID",
    needs=(VERSION_32, SHA256),
)
def _v32_4(stand: Stand) -> tuple[str | int, ...]:
    session, flags = stand.session(), Cell(1)
    if stand.find(session, {CKA.CLASS: 0xA}):  # CKO_VALIDATION
        raise NotApplicable("The token has validation objects (CKO_VALIDATION).")
    last = 1  # CKS_LAST_VALIDATION_OK
    name = stand.rv("GetSessionValidationFlags", session, last, flags)
    return name, flags.value, stand.rv("GetSessionValidationFlags", NOBODY, last, Cell())


@version32.case(
    "V32-5",
    "5.18.8",
    "A shared key that contradicts what its parent's template says of such keys is refused, on "
    "both sides.",
    "TEMPLATE_INCONSISTENT, TEMPLATE_INCONSISTENT, 0",
    needs=(KEM,),
)
def _v32_5(stand: Stand) -> tuple[str | int, ...]:
    session, room = stand.user(), Room()
    public, _ = kem_pair(stand, session)
    first = encapsulated(stand, session, public, room)[1]
    stand.must("DestroyObject", session, first)
    public, private = kem_pair(stand, session, forced={CKA.EXTRACTABLE: False})
    return (
        encapsulated(stand, session, public, Room())[0],
        decapsulated(stand, session, private, room.data)[0],
        stand.labelled(session, SHARED),
    )
