"""How the chip says no: one exception that carries the standard's code and its facts."""

from ukey_emulator.terms import CKR


class Refusal(Exception):  # noqa: N818 - a chip refuses, which is no fault of its own
    """A call that the chip does not carry out.

    `code` is the return value that names the fault (PKCS#11 3.2 §5.1), `why` a sentence
    for the trace, `results` what a face hands out together with the code, such as the length
    that would have been enough.
    """

    def __init__(self, code: CKR, why: str = "", results: tuple[object, ...] = ()) -> None:
        super().__init__(f"{code.name}: {why}" if why else code.name)
        self.code = code
        self.why = why
        self.results = results


class PowerCut(Refusal):
    """The power went off in a change: the key is dead until it is plugged in again."""


class PinRefusal(Refusal):
    """A PIN that was not accepted; `tries_left` is what the counter now stands at."""

    def __init__(self, code: CKR, tries_left: int) -> None:
        super().__init__(code, f"{tries_left} tries left")
        self.tries_left = tries_left
