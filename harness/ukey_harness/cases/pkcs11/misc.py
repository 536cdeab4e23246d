"""What holds for every function with a session (PKCS#11 3.2 §5.1.2), and C_SessionCancel: MI."""

from ukey_harness.cases.case import Section
from ukey_harness.cases.pkcs11.digest import SHA256, right
from ukey_harness.cases.pkcs11.every import answers
from ukey_harness.cases.pkcs11.keys import MESSAGE
from ukey_harness.cases.pkcs11.needs import version
from ukey_harness.cases.pkcs11.stand import Stand
from ukey_harness.cryptoki.arguments import Mechanism, Room
from ukey_harness.cryptoki.names import CKF, CKM, CKU, NOBODY

misc = Section("PKCS#11 3.2", "Session handles")


@misc.case(
    "MI-01",
    "5.1.2",
    "Every function that takes a session refuses a handle that is none.",
    "SESSION_HANDLE_INVALID",
)
def _mi_01(stand: Stand) -> str:
    stand.session()
    return answers(stand, NOBODY, "SESSION_HANDLE_INVALID", stand.pin().encode())


@misc.case(
    "MI-02",
    "5.6.5",
    "C_SessionCancel without a flag does nothing; with a digest's flag it ends the digest.",
    "OK, good, OK, OPERATION_NOT_INITIALIZED, OK",
    needs=(version(3, 0), SHA256),
)
def _mi_02(stand: Stand) -> tuple[str, ...]:
    session = stand.session()
    stand.must("DigestInit", session, Mechanism(CKM.SHA256))
    first = stand.rv("SessionCancel", session, 0)
    value = right(stand.made("Digest", session, MESSAGE), MESSAGE)
    stand.must("DigestInit", session, Mechanism(CKM.SHA256))
    second = stand.rv("SessionCancel", session, CKF.DIGEST)
    after = stand.rv("Digest", session, MESSAGE, Room())
    return first, value, second, after, stand.rv("DigestInit", session, Mechanism(CKM.SHA256))


@misc.case(
    "MI-03",
    "5.6.9",
    "C_LoginUser without a user name logs the user in, or is not supported.",
    "OK, 3",
    allow=("FUNCTION_NOT_SUPPORTED, 2",),
    needs=(version(3, 0),),
)
def _mi_03(stand: Stand) -> tuple[str | int, ...]:
    session = stand.session()
    name = stand.rv("LoginUser", session, CKU.USER, stand.pin().encode(), None, 0)
    return name, stand.state(session)


@misc.case(
    "MI-04",
    "5.1.2",
    "Every function of 3.0 and 3.2 that takes a session refuses a handle that is none, or is not "
    "supported.",
    "SESSION_HANDLE_INVALID",
    needs=(version(3, 0),),
)
def _mi_04(stand: Stand) -> str:
    stand.session()
    pin = stand.pin().encode()
    return answers(stand, NOBODY, "SESSION_HANDLE_INVALID", pin, newer=True)
