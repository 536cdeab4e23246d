"""What cases need of a device.

Each need says in one sentence why a device lacks it, and how that is known; "" when it does not.
"""

from collections.abc import Callable

from ukey_harness.cases.case import Need
from ukey_harness.cases.pkcs11.stand import Stand
from ukey_harness.cases.subject import nobody_can
from ukey_harness.cryptoki.names import CKF, CKM, SlotFlag, TokenFlag


def mechanism(*kinds: CKM, use: int = 0) -> Need:
    """Need mechanisms that the token lists; with use, each must be good for all of that."""

    def missing(stand: Stand) -> str:
        for kind in kinds:
            if kind not in stand.mechanisms:
                return f"The token does not list CKM_{kind.name} (C_GetMechanismList)."
            lacking = CKF(use & ~stand.mechanism_flags(kind) if use else 0)
            if lacking:
                return f"CKM_{kind.name} lacks {_flag_names(lacking)} (C_GetMechanismInfo)."
        return ""

    return missing


def version(major: int, minor: int) -> Need:
    """Need the interface of that version of the standard."""

    def missing(stand: Stand) -> str:
        newest = stand.module.version
        if newest >= (major, minor):
            return ""
        how = (
            "it does not export C_GetInterface"
            if not stand.module.has_interfaces
            else "C_GetInterface gives no newer one"
        )
        return (
            f"The rule came with version {major}.{minor}; the module's newest interface is "
            f"{newest[0]}.{newest[1]}: {how}."
        )

    return missing


def token_flag(flag: TokenFlag) -> Need:
    """Need a token that shows that flag."""

    def missing(stand: Stand) -> str:
        return "" if flag in stand.token_flags() else f"The token does not show CKF_{flag.name}."

    return missing


def acts(*verbs: str) -> Need:
    """Need an operator of the device who can do that during a case."""

    def missing(stand: Stand) -> str:
        for verb in verbs:
            if verb not in stand.subject.acts:
                return nobody_can(verb)
        return ""

    return missing


def removable(stand: Stand) -> str:
    """Need a slot that says that its token can be taken out, and somebody who does it."""
    if SlotFlag.REMOVABLE_DEVICE not in stand.slot_flags():
        return "The token cannot be taken out: C_GetSlotInfo does not show CKF_REMOVABLE_DEVICE."
    return acts("take_out", "plug_in")(stand)


def locks(stand: Stand) -> str:
    """Need a token that locks a PIN after a number of wrong ones."""
    if stand.subject.locks_after:
        return ""
    return "The token does not lock its PIN: a trial with wrong PINs found no limit."


def all_of(*needs: Need) -> Callable[[Stand], str]:
    """Need all of these; the first that is missing speaks."""

    def missing(stand: Stand) -> str:
        return next((reason for need in needs if (reason := need(stand))), "")

    return missing


def _flag_names(flags: CKF) -> str:
    return " and ".join(f"CKF_{each.name}" for each in flags)
