"""Write protection, limits, injected errors and callbacks (PKCS#11 3.2 §5.1, §5.6.1, §5.21)."""

from typing import Any

from ukey_harness.cases.case import NotApplicable, Section
from ukey_harness.cases.pkcs11.keys import MESSAGE, data, rsa_templates
from ukey_harness.cases.pkcs11.needs import acts, mechanism, token_flag, version
from ukey_harness.cases.pkcs11.sessions import opened
from ukey_harness.cases.pkcs11.stand import Stand
from ukey_harness.cryptoki.arguments import Cell, Mechanism, Template
from ukey_harness.cryptoki.names import (
    CKA,
    CKF,
    CKF_RW_SESSION,
    CKF_SERIAL_SESSION,
    CKM,
    CKN_SURRENDER,
    UNAVAILABLE,
    TokenFlag,
)

limits = Section("PKCS#11 3.2", "Limits, faults and callbacks")

RSA_PAIR = mechanism(CKM.RSA_PKCS_KEY_PAIR_GEN, use=CKF.GENERATE_KEY_PAIR)
CANCEL = 1  # CKR_CANCEL
MOST_SESSIONS = 20_000  # a limit beyond this is none to a case
INJECTED = ("DEVICE_ERROR", "DEVICE_MEMORY", "HOST_MEMORY", "FUNCTION_FAILED")


@limits.case(
    "WP-01",
    "5.6.1",
    "A token that is write-protected has read-only sessions alone.",
    "TOKEN_WRITE_PROTECTED, OK",
    needs=(token_flag(TokenFlag.WRITE_PROTECTED),),
)
def _wp_01(stand: Stand) -> tuple[str, str]:
    both = CKF_SERIAL_SESSION | CKF_RW_SESSION
    return opened(stand, stand.slot, both), opened(stand, stand.slot, CKF_SERIAL_SESSION)


@limits.case(
    "WP-02",
    "5.6.1",
    "As many sessions can be opened as the token says, and one more is refused.",
    "as many, SESSION_COUNT",
    limit=60.0,
)
def _wp_02(stand: Stand) -> tuple[str, str]:
    info = stand.token_info()
    told = {
        CKF_SERIAL_SESSION: int(info.ulMaxSessionCount),
        CKF_SERIAL_SESSION | CKF_RW_SESSION: int(info.ulMaxRwSessionCount),
    }
    counted = {flags: most for flags, most in told.items() if most not in {0, UNAVAILABLE}}
    if not counted:
        raise NotApplicable(
            "C_GetTokenInfo gives no limit of sessions: ulMaxSessionCount and ulMaxRwSessionCount "
            "are infinite or not told."
        )
    flags, most = min(counted.items(), key=lambda each: each[1])
    if most > MOST_SESSIONS:
        raise NotApplicable(f"{most} sessions, the token's limit, are more than a case opens.")
    for count in range(most):
        name = opened(stand, stand.slot, flags)
        if name != "OK":
            return f"{count} of {most}: {name}", opened(stand, stand.slot, flags)
    return "as many", opened(stand, stand.slot, flags)


@limits.case(
    "FI-20",
    "5.1.3",
    "An error of the device is told as it is, and nothing else is touched by it: other sessions, "
    "objects, the login.",
    "told, as before",
    needs=(acts("fault"),),
)
def _fi_20(stand: Stand) -> tuple[str, str]:
    session, other = stand.user(), stand.session()
    stand.create(other, data({CKA.TOKEN: True}))
    digest = stand.digest(other, MESSAGE)
    odd: list[str] = []
    for code in INJECTED:
        for function, call in _calls(stand, session).items():
            stand.act("fault", function=f"C_{function}", rv=f"CKR_{code}")
            name = call()
            if name != code:
                odd.append(f"C_{function} {name} for {code}")
            stand.rv("SessionCancel", session, 0xFFFFFFFF) if stand.module.has(
                "SessionCancel"
            ) else None
            stand.rv("FindObjectsFinal", session)
    untouched = (
        stand.state(session) == stand.state(other) == 3  # noqa: PLR2004 - CKS_RW_USER_FUNCTIONS
        and stand.labelled(other) == 1
        and stand.digest(other, MESSAGE) == digest
    )
    for handle in stand.find(other, {CKA.TOKEN: True, CKA.CLASS: 0}):
        stand.rv("DestroyObject", other, handle)
    return "; ".join(odd) or "told", "as before" if untouched else "changed"


def _calls(stand: Stand, session: int) -> dict[str, Any]:
    return {
        "GetSessionInfo": lambda: stand.rv(
            "GetSessionInfo", session, stand.module.ffi.new("CK_SESSION_INFO *")
        ),
        "FindObjectsInit": lambda: stand.rv("FindObjectsInit", session, Template()),
        "DigestInit": lambda: stand.rv("DigestInit", session, Mechanism(CKM.SHA256)),
        "CreateObject": lambda: stand.rv("CreateObject", session, Template(data()), Cell()),
        "GenerateRandom": lambda: stand.rv("GenerateRandom", session, b"12345678"),
    }


class Notified:
    """A session with a callback of ours: how often it was called to surrender, and its answers."""

    def __init__(self, stand: Stand, answer: int = CANCEL) -> None:
        self.surrenders = 0
        self.cancelled = ""
        self._answer = answer
        self._stand = stand
        callback = stand.module.ffi.callback("CK_NOTIFY", self._notify)
        stand.keep(callback)
        pointer = stand.module.ffi.cast("void *", callback)
        flags = CKF_SERIAL_SESSION | CKF_RW_SESSION
        self.session = stand.handle("OpenSession", stand.slot, flags, None, pointer)

    def _notify(self, session: int, event: int, application: Any) -> int:  # noqa: ANN401 - C
        del application
        if event != CKN_SURRENDER:
            return 0
        self.surrenders += 1
        if self._stand.module.has("SessionCancel") and not self.cancelled:
            self.cancelled = self._stand.rv("SessionCancel", session, CKF.SIGN)
        return self._answer

    def work(self) -> str:
        """Let the module do what takes long: make a key pair; return the name of its answer."""
        public, private = rsa_templates(self._stand, public={CKA.MODULUS_BITS: 2048})
        how = Mechanism(CKM.RSA_PKCS_KEY_PAIR_GEN)
        handles = Cell(), Cell()
        return self._stand.rv(
            "GenerateKeyPair", self.session, how, Template(public), Template(private), *handles
        )


def _surrendered(stand: Stand, answer: int) -> tuple[Notified, str]:
    notified = Notified(stand, answer)
    stand.enter(notified.session)
    name = notified.work()
    if not notified.surrenders:
        raise NotApplicable(
            "The module makes no surrender callback while it makes a key pair, and need not "
            "(§5.21.1)."
        )
    return notified, name


@limits.case(
    "CB-01",
    "5.21.1",
    "A surrender callback that answers CKR_CANCEL ends the function.",
    "FUNCTION_CANCELED",
    needs=(RSA_PAIR,),
)
def _cb_01(stand: Stand) -> str:
    return _surrendered(stand, CANCEL)[1]


@limits.case(
    "V3-01",
    "5.6.5",
    "C_SessionCancel is refused inside a callback.",
    "FUNCTION_FAILED, OK",
    needs=(version(3, 0), RSA_PAIR),
)
def _v3_01(stand: Stand) -> tuple[str, str]:
    notified, name = _surrendered(stand, 0)
    return notified.cancelled, name
