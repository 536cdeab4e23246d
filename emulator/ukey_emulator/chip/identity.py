"""What a key is, as its file keeps it: serial number and profile. No copy brings it to another."""

from collections.abc import Mapping
from dataclasses import replace

from ukey_emulator.profiles import Identity, ProfileError, kept
from ukey_emulator.terms import CKR

from .refusal import Refusal

_SERIAL, _PROFILE = "serial", "profile"
# What files from before there were whole profiles have instead.
_WITHOUT, _READER, _ATR, _MANAGEMENT, _BARE = "without", "reader", "atr", "management", "bare"
NAMES = (_SERIAL, _PROFILE, _WITHOUT, _READER, _ATR, _MANAGEMENT, _BARE)
"""The facts of a file that belong to the device, and not to what is on it."""

_USUAL = Identity()


def facts_of(serial: str, profile: bytes = b"") -> dict[str, bytes]:
    """Give the facts for the file of a key with this serial number and of this profile."""
    facts = {_SERIAL: serial.encode()}
    return {**facts, _PROFILE: profile} if profile else facts


def identity_of(facts: Mapping[str, bytes]) -> Identity:
    """Read them; CKR_DEVICE_ERROR for what another release has written and this cannot read."""
    serial = facts.get(_SERIAL, b"").decode()
    profile = facts.get(_PROFILE)
    if profile is not None:
        try:
            return replace(kept(profile), serial=serial)
        except (ProfileError, ValueError) as error:
            raise Refusal(CKR.DEVICE_ERROR, f"the profile cannot be read: {error}") from error
    return replace(
        _USUAL,
        serial=serial,
        without=frozenset(map(int, facts.get(_WITHOUT, b"").split())),
        reader=facts.get(_READER, b"").decode(),
        atr=facts.get(_ATR, b""),
        management=int(facts.get(_MANAGEMENT, b"3")),
        filled=_BARE not in facts,
    )
