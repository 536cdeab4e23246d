"""What a token shows of itself that explains an answer no case expects of a usual one."""

from typing import Any

from ukey_harness.cases.case import Unprepared
from ukey_harness.cases.pkcs11.stand import Stand
from ukey_harness.cryptoki.names import TokenFlag

TAKING_PINS = {"C_Login", "C_LoginUser", "C_SetPIN", "C_InitPIN", "C_InitToken"}


def excuse(stand: Stand) -> str:
    """Return why the case does not fit the token, in one sentence; "" if nothing shows that.

    That a token claims something is not enough: one of the case's calls must have met it.
    """
    met = {call.rv for call in stand.calls}
    refused_pin = any(
        call.function in TAKING_PINS
        and call.rv == "CKR_ARGUMENTS_BAD"
        and "bytes" in call.arguments["given"]
        for call in stand.calls
    )
    if not refused_pin and met.isdisjoint({"CKR_TOKEN_WRITE_PROTECTED", "CKR_SESSION_COUNT"}):
        return ""
    try:
        stand.rv("Initialize", None)  # the case may have ended what it began
        stand.initialized = True
        info = stand.token_info()
    except Unprepared:
        return ""
    flags = TokenFlag(int(info.flags))
    if "CKR_TOKEN_WRITE_PROTECTED" in met and TokenFlag.WRITE_PROTECTED in flags:
        return "The case writes, and the token shows CKF_WRITE_PROTECTED."
    if refused_pin and TokenFlag.PROTECTED_AUTHENTICATION_PATH in flags:
        return (
            "The case gives a PIN to a call, and the token takes them from its own pad alone: it "
            "shows CKF_PROTECTED_AUTHENTICATION_PATH."
        )
    return _most_sessions(info) if "CKR_SESSION_COUNT" in met else ""


def _most_sessions(info: Any) -> str:  # noqa: ANN401 - a C struct
    limits = (
        (info.ulMaxSessionCount, info.ulSessionCount),
        (info.ulMaxRwSessionCount, info.ulRwSessionCount),
    )
    for most, there in limits:
        if 0 < most == there:
            return f"The case needs more sessions than the {most} that the token says it can have."
    return ""
