"""The policies of a new key, as Yubico's AA and AB tell them."""

from ukey_emulator.card.status import SW, CardRefusal

from .held import PinPolicy, TouchPolicy

_PIN, _TOUCH = 0xAA, 0xAB
_DEFAULT = b"\x00"


def take(slot: int, members: dict[int, bytes]) -> tuple[PinPolicy, TouchPolicy]:
    """Take the policies out of the data objects of a command, the slot's own where it says none.

    6A80 for numbers that name no policy.
    """
    pin, touch = (members.pop(tag, _DEFAULT) for tag in (_PIN, _TOUCH))
    try:
        return (
            PinPolicy.of(slot) if pin == _DEFAULT else PinPolicy(_number(pin)),
            TouchPolicy.NEVER if touch == _DEFAULT else TouchPolicy(_number(touch)),
        )
    except ValueError as error:
        raise CardRefusal(SW.INCORRECT_DATA, str(error)) from None


def _number(value: bytes) -> int:
    if len(value) != 1:
        raise CardRefusal(SW.INCORRECT_DATA, "a policy has one byte")
    return value[0]
