# ruff: noqa: N818 - an error is named by its fault, as in the messages and the interface
"""Faults of the PIN."""

from ukey_client.errors.base import ExitCode, HolderError


class PinError(HolderError):
    """The PIN was not taken."""

    exit_code = ExitCode.PIN


class PinIncorrect(PinError):
    """A wrong PIN, with what is known of the tries left.

    `tries_left` is None where the key does not tell the number; then `low` and `final_try`
    are all that is known (PKCS#11 v3.2 §3.4, CKF_USER_PIN_COUNT_LOW and _FINAL_TRY).
    """

    def __init__(
        self, tries_left: int | None = None, *, low: bool = False, final_try: bool = False
    ) -> None:
        if final_try or tries_left == 1:
            left = "仅剩最后一次机会，再输错证书介质将被锁定！"
        elif tries_left is not None:
            left = f"剩余 {tries_left} 次机会。"
        elif low:
            left = "剩余次数已经减少，连续输错将锁定证书介质。"
        else:
            left = "连续输错将锁定证书介质。"
        super().__init__(f"证书口令错误，{left}")
        self.tries_left = tries_left
        self.low = low
        self.final_try = final_try


class PinLocked(PinError):
    """The PIN is locked; `just_now` if this very try locked it."""

    def __init__(self, *, just_now: bool = False) -> None:
        start = "证书口令错误，证书介质已锁定。" if just_now else "证书介质已锁定（口令连续输错）。"
        super().__init__(f"{start}请携带介质和有效证件到柜台解锁。")
        self.just_now = just_now


class PinNotSet(PinError):
    """The key has no user PIN yet, or it has run out and must be set anew."""

    def __init__(self) -> None:
        super().__init__("证书介质尚未设置证书口令或口令已失效。请到柜台办理。")


class PinUnacceptable(PinError):
    """The new PIN does not keep the rules of the key."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"新口令不符合要求：{reason}。原口令未改变。")
        self.reason = reason


class PinUnavailable(PinError):
    """Nobody can be asked for the PIN: no terminal, no UKEY_PIN, no file."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"无法取得证书口令：{reason}")
        self.reason = reason
