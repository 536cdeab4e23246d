"""Encryption (PKCS#11 3.2 §5.8) and the convention of output (§5.2): EN."""

from ukey_harness.cases.case import Section
from ukey_harness.cases.pkcs11.keys import IV, aes
from ukey_harness.cases.pkcs11.needs import all_of, mechanism, version
from ukey_harness.cases.pkcs11.stand import Stand
from ukey_harness.cryptoki.arguments import Mechanism, Raw, Room
from ukey_harness.cryptoki.names import CKA, CKF, CKM, NOBODY

encrypt = Section("PKCS#11 3.2", "Encryption")

BOTH = CKF.ENCRYPT | CKF.DECRYPT
GENERATED = mechanism(CKM.AES_KEY_GEN, use=CKF.GENERATE)
ECB = all_of(GENERATED, mechanism(CKM.AES_ECB, use=BOTH))
CBC = all_of(GENERATED, mechanism(CKM.AES_CBC, use=BOTH))
PAD = all_of(GENERATED, mechanism(CKM.AES_CBC_PAD, use=BOTH))
BLOCK = 16
TEXT = bytes(range(32))
ODD = bytes(range(25))


def init(stand: Stand, session: int, how: Mechanism | None, key: int) -> str:
    """C_EncryptInit; return its name."""
    return stand.rv("EncryptInit", session, how, key)


def padded_cbc() -> Mechanism:
    """CKM_AES_CBC_PAD with the IV of these cases."""
    return Mechanism(CKM.AES_CBC_PAD, IV)


@encrypt.case(
    "EN-01",
    "5.8.1",
    "A key that must not encrypt does not begin to.",
    "KEY_FUNCTION_NOT_PERMITTED",
    needs=(ECB,),
)
def _en_01(stand: Stand) -> str:
    session = stand.user()
    key = aes(stand, session, {CKA.ENCRYPT: False})
    return init(stand, session, Mechanism(CKM.AES_ECB), key)


@encrypt.case(
    "EN-02",
    "5.8.1",
    "A handle that is no key is refused as a key handle.",
    "KEY_HANDLE_INVALID, KEY_HANDLE_INVALID",
    needs=(ECB,),
)
def _en_02(stand: Stand) -> tuple[str, str]:
    session = stand.user()
    return (
        init(stand, session, Mechanism(CKM.AES_ECB), NOBODY),
        init(stand, session, Mechanism(CKM.AES_ECB), 0),
    )


@encrypt.case(
    "EN-03",
    "5.8.1",
    "A mechanism that the token does not have is refused.",
    "MECHANISM_INVALID",
    needs=(GENERATED,),
)
def _en_03(stand: Stand) -> str:
    session = stand.user()
    return init(stand, session, Mechanism(NOBODY), aes(stand, session))


@encrypt.case(
    "EN-04",
    "5.8.1",
    "A key of another type than the mechanism's is refused.",
    "KEY_TYPE_INCONSISTENT",
    needs=(GENERATED, mechanism(CKM.RSA_PKCS, use=CKF.ENCRYPT)),
)
def _en_04(stand: Stand) -> str:
    session = stand.user()
    return init(stand, session, Mechanism(CKM.RSA_PKCS), aes(stand, session))


@encrypt.case(
    "EN-05",
    "5.8.1",
    "An IV of another length than the block's is refused.",
    "MECHANISM_PARAM_INVALID",
    needs=(CBC,),
)
def _en_05(stand: Stand) -> str:
    session = stand.user()
    return init(stand, session, Mechanism(CKM.AES_CBC, IV[:-1]), aes(stand, session))


@encrypt.case(
    "EN-06",
    "5.8.1",
    "A mechanism that wants a parameter is refused without it.",
    "MECHANISM_PARAM_INVALID",
    needs=(CBC,),
)
def _en_06(stand: Stand) -> str:
    session = stand.user()
    return init(stand, session, Mechanism(CKM.AES_CBC), aes(stand, session))


@encrypt.case(
    "EN-07",
    "5.8.1",
    "A session has one encryption at a time, and the first one goes on.",
    "OK, OPERATION_ACTIVE, OK",
    needs=(ECB,),
)
def _en_07(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    key = aes(stand, session)
    names = [init(stand, session, Mechanism(CKM.AES_ECB), key) for _ in range(2)]
    return *names, stand.output("Encrypt", session, TEXT)[0]


@encrypt.case(
    "EN-08",
    "5.8.2",
    "Nothing is encrypted without C_EncryptInit.",
    "OPERATION_NOT_INITIALIZED, OPERATION_NOT_INITIALIZED, OPERATION_NOT_INITIALIZED",
)
def _en_08(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    return (
        stand.rv("Encrypt", session, TEXT, Room()),
        stand.rv("EncryptUpdate", session, TEXT, Room()),
        stand.rv("EncryptFinal", session, Room()),
    )


@encrypt.case(
    "EN-09",
    "5.2",
    "Asking for the length and a buffer that is too short leave the encryption as it was.",
    "OK, BUFFER_TOO_SMALL, OK, same, untouched",
    needs=(PAD,),
)
def _en_09(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    key = aes(stand, session)
    whole = stand.done("Encrypt", session, padded_cbc(), key, ODD)
    stand.begin("Encrypt", session, padded_cbc(), key)
    short, enough = Room(1), Room(64)
    names = (
        stand.rv("Encrypt", session, ODD, Room(None)),
        stand.rv("Encrypt", session, ODD, short),
        stand.rv("Encrypt", session, ODD, enough),
    )
    written = "untouched" if not short.overrun else "written behind the buffer"
    return *names, "same" if enough.data == whole else "another ciphertext", written


@encrypt.case(
    "EN-10",
    "5.2",
    "The length that is told beforehand suffices, and does not exceed what is needed by much.",
    "OK, enough, BUFFER_TOO_SMALL, enough, 32",
    needs=(PAD,),
)
def _en_10(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user()
    stand.begin("Encrypt", session, padded_cbc(), aes(stand, session))
    asked, short, done = Room(None), Room(1), Room(64)
    first = stand.rv("Encrypt", session, ODD, asked)
    second = stand.rv("Encrypt", session, ODD, short)
    stand.must("Encrypt", session, ODD, done)
    told = [
        "enough" if done.length <= each.length <= done.length + 2 * BLOCK else str(each.length)
        for each in (asked, short)
    ]
    return first, told[0], second, told[1], done.length


@encrypt.case(
    "EN-11",
    "5.8.2",
    "A ciphertext that was given ends the encryption.",
    "OK, OPERATION_NOT_INITIALIZED",
    needs=(ECB,),
)
def _en_11(stand: Stand) -> tuple[str, str]:
    session = stand.user()
    stand.begin("Encrypt", session, CKM.AES_ECB, aes(stand, session))
    return (
        stand.rv("Encrypt", session, TEXT, Room()),
        stand.rv("Encrypt", session, TEXT, Room()),
    )


@encrypt.case(
    "EN-12",
    "5.8.2",
    "A mode without padding refuses data that is no whole number of blocks.",
    "DATA_LEN_RANGE",
    needs=(ECB,),
)
def _en_12(stand: Stand) -> str:
    session = stand.user()
    stand.begin("Encrypt", session, CKM.AES_ECB, aes(stand, session))
    return stand.rv("Encrypt", session, TEXT[:15], Room())


@encrypt.case(
    "EN-13",
    "5.8.2",
    "Data that is refused ends the encryption.",
    "refused, OK",
    needs=(ECB,),
)
def _en_13(stand: Stand) -> tuple[str, str]:
    session = stand.user()
    key = aes(stand, session)
    stand.begin("Encrypt", session, CKM.AES_ECB, key)
    name = stand.rv("Encrypt", session, TEXT[:15], Room())
    again = init(stand, session, Mechanism(CKM.AES_ECB), key)
    return "refused" if name not in {"OK", "BUFFER_TOO_SMALL"} else name, again


@encrypt.case(
    "EN-14",
    "5.8.2",
    "A NULL length ends the encryption.",
    "ARGUMENTS_BAD, OK",
    needs=(ECB,),
)
def _en_14(stand: Stand) -> tuple[str, str]:
    session = stand.user()
    key = aes(stand, session)
    stand.begin("Encrypt", session, CKM.AES_ECB, key)
    name = stand.rv("Encrypt", session, TEXT, Room().pointer, None)
    return name, init(stand, session, Mechanism(CKM.AES_ECB), key)


@encrypt.case(
    "EN-15",
    "5.8.2",
    "C_Encrypt does not finish what C_EncryptUpdate has begun.",
    "OPERATION_ACTIVE",
    allow=("OPERATION_NOT_INITIALIZED | FUNCTION_FAILED",),
    needs=(ECB,),
)
def _en_15(stand: Stand) -> str:
    session = stand.user()
    stand.begin("Encrypt", session, CKM.AES_ECB, aes(stand, session))
    stand.must("EncryptUpdate", session, TEXT, Room())
    return stand.rv("Encrypt", session, TEXT, Room())


@encrypt.case(
    "EN-16",
    "5.8.1",
    "C_EncryptInit with a NULL mechanism ends the encryption.",
    "OK, OPERATION_NOT_INITIALIZED, OK",
    allow=("OPERATION_CANCEL_FAILED, OK, OK",),
    needs=(version(3, 0), ECB),
)
def _en_16(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    key = aes(stand, session)
    stand.begin("Encrypt", session, CKM.AES_ECB, key)
    return (
        init(stand, session, None, key),
        stand.rv("Encrypt", session, TEXT, Room()),
        init(stand, session, Mechanism(CKM.AES_ECB), key),
    )


@encrypt.case(
    "EN-17",
    "5.8.3",
    "Data encrypted in parts gives the ciphertext of the whole.",
    "same, 32",
    needs=(PAD,),
)
def _en_17(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user()
    key = aes(stand, session)
    whole = stand.done("Encrypt", session, padded_cbc(), key, ODD)
    stand.begin("Encrypt", session, padded_cbc(), key)
    parts = [stand.made("EncryptUpdate", session, each) for each in (ODD[:5], ODD[5:])]
    parts.append(stand.made("EncryptFinal", session))
    return "same" if b"".join(parts) == whole else "another ciphertext", len(whole)


@encrypt.case(
    "EN-18",
    "5.8.2",
    "Data can be encrypted where it stands.",
    "OK, same",
    needs=(CBC,),
)
def _en_18(stand: Stand) -> tuple[str, str]:
    session = stand.user()
    key = aes(stand, session)
    whole = stand.done("Encrypt", session, Mechanism(CKM.AES_CBC, IV), key, TEXT)
    stand.begin("Encrypt", session, Mechanism(CKM.AES_CBC, IV), key)
    place = Room(len(TEXT), content=TEXT)
    name = stand.rv("Encrypt", session, Raw(place.pointer), len(TEXT), place)
    return name, "same" if place.data == whole else "another ciphertext"


@encrypt.case(
    "EN-19",
    "5.8.4",
    "A mode without padding cannot finish in the middle of a block.",
    "OK, DATA_LEN_RANGE, OPERATION_NOT_INITIALIZED",
    allow=("DATA_LEN_RANGE, OPERATION_NOT_INITIALIZED, OPERATION_NOT_INITIALIZED",),
    needs=(ECB,),
)
def _en_19(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    stand.begin("Encrypt", session, CKM.AES_ECB, aes(stand, session))
    return (
        stand.rv("EncryptUpdate", session, TEXT[:20], Room()),
        stand.rv("EncryptFinal", session, Room()),
        stand.rv("EncryptFinal", session, Room()),
    )


@encrypt.case(
    "EN-20",
    "5.8.2",
    "A mode with padding makes a whole block of no data, and gives no data back.",
    "OK, 16, OK, 0",
    needs=(PAD,),
)
def _en_20(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user()
    key = aes(stand, session)
    stand.begin("Encrypt", session, padded_cbc(), key)
    name, block = stand.output("Encrypt", session, b"")
    if name != "OK":
        return (name,)
    stand.begin("Decrypt", session, padded_cbc(), key)
    back, nothing = stand.output("Decrypt", session, block)
    return name, len(block), back, len(nothing)


@encrypt.case(
    "EN-21",
    "5.8.3",
    "A buffer that is too short for a part leaves the encryption as it was.",
    "BUFFER_TOO_SMALL, OK, same",
    needs=(CBC,),
)
def _en_21(stand: Stand) -> tuple[str, ...]:
    session, how = stand.user(), Mechanism(CKM.AES_CBC, IV)
    key = aes(stand, session)
    whole = stand.done("Encrypt", session, how, key, TEXT)
    stand.begin("Encrypt", session, how, key)
    first = stand.rv("EncryptUpdate", session, TEXT, Room(1))
    second, part = stand.output("EncryptUpdate", session, TEXT)
    part += stand.made("EncryptFinal", session)
    return first, second, "same" if part == whole else "another ciphertext"
