"""Tokens for cases, out of a device: each case finds one as it comes from the factory."""

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ukey_harness.cases.case import Case, Changes
from ukey_harness.cases.subject import Subject, nobody_can
from ukey_harness.device.emulated import EmulatedDevice
from ukey_harness.device.port import Device
from ukey_harness.device.reader import ReaderDevice
from ukey_harness.device.softhsm import SoftHsmDevice

TRIES_WANTED = 2  # of a card's PIN, before a case may spend one
TRIES_SPENT = tuple(
    f"CKF_{user}_PIN_{state}"
    for user in ("USER", "SO")
    for state in ("COUNT_LOW", "FINAL_TRY", "LOCKED")
)


class Barred(Exception):  # noqa: N818 - a verdict's reason, not an error
    """The case must not be put to this device; the sentence says why."""


class Supply(ABC):
    """Hands out the token for each case, and is its operator while the case runs."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self._acts: dict[str, Callable[..., dict[str, Any] | None]] = {}

    @abstractmethod
    def ready(self, case: Case) -> Subject:
        """Return the token for a case; Barred when the case must not be run."""

    def after(self, case: Case) -> None:  # noqa: B027 - most tokens are thrown away
        """Set right what the case has changed."""

    def act(self, verb: str, more: dict[str, Any]) -> dict[str, Any]:
        """Do what a case asks of the device's operator."""
        doing = self._acts.get(verb)
        if doing is None:
            return {"refused": nobody_can(verb)}
        try:
            return {"did": doing(**more) or {}}
        except Exception as error:  # noqa: BLE001 - the case is told, the run goes on
            return {"failed": f"{verb}: {error}"}

    def subject(self) -> Subject:
        """Return the token that is there now."""
        device = self.device
        return Subject(
            module=device.file.module or device.module,
            label=device.label,
            serial=device.serial,
            pin=device.pin,
            so_pin=device.so_pin,
            locks_after=self._locks_after(),
            renewable=device.renewable,
            erasable=device.renewable or device.file.may_erase,
            acts=tuple(self._acts),
            environment=dict(device.environment),
            reader=device.reader,
            management=device.management,
        )

    def _locks_after(self) -> int:
        trial = self.device.measured.get("lock_trial")
        if trial is None:
            return self.device.file.claims.locks_after
        return int(trial["locked_after"] or 0)


class EmulatedSupply(Supply):
    """A new key of the device's rack for each case."""

    def __init__(self, device: EmulatedDevice) -> None:
        super().__init__(device)
        self._rack = device
        self._others: list[str] = []
        self._acts = {
            "take_out": self._take_out,
            "plug_in": device.plug_in,
            "add_token": self._add_token,
            "swap_token": device.fresh,
            "fault": device.fail,
            "enter_pin": device.enter_pin,
            "cancel_pin": device.cancel_pin,
        }

    def ready(self, case: Case) -> Subject:
        """Throw the last key away and plug a new one in."""
        del case
        for name in self._others:
            self._rack.remote.remove(name)
        self._others.clear()
        self._rack.fresh()
        return self.subject()

    def _add_token(self, *, initialized: bool = True, plugged: bool = True) -> dict[str, Any]:
        made = self._rack.new_key(initialized=initialized)
        self._others.append(made.name)
        if not plugged:
            self._rack.remote.unplug(made.name)
        return {"name": made.name, "serial": made.serial, "slot": made.slot}

    def _take_out(self, *, name: str = "") -> None:
        if name:
            self._rack.remote.unplug(name)
        else:
            self._rack.take_out()


class SoftHsmSupply(Supply):
    """SoftHSM2's folder, put back for each case as it was when its token was new."""

    def __init__(self, device: SoftHsmDevice) -> None:
        super().__init__(device)
        self._kept = Path(device.home) / "kept"
        self._tokens = Path(device.home) / "softhsm-tokens"

    def ready(self, case: Case) -> Subject:
        """Restore the folder."""
        del case
        if not self._kept.is_dir():
            self.device.fresh()
            shutil.copytree(self._tokens, self._kept)
        shutil.rmtree(self._tokens, ignore_errors=True)
        shutil.copytree(self._kept, self._tokens)
        return self.subject()


class ForeignSupply(Supply):
    """A key that nobody can make anew: what a case may do to it depends on its owner's consent.

    Without consent only cases that change nothing are run; with it the key is initialised anew
    after each case that changed the token. A case that locks a PIN is never run, nor one that
    spends a try when a try is missing already.
    """

    def __init__(self, device: Device) -> None:
        super().__init__(device)
        self._acts = (
            {"take_out": device.take_out, "plug_in": device.plug_in} if device.has_operator else {}
        )
        self._spoilt = False  # a case has changed the token, and it could not be made anew

    def ready(self, case: Case) -> Subject:
        """Return the key, where the case may have it."""
        file = self.device.file
        if case.locks:
            raise Barred("It would spend the last PIN try of a key that cannot be made anew.")
        if case.changes in {Changes.PIN, Changes.TOKEN} and not file.may_erase:
            raise Barred(
                f"It changes the {case.changes.value}, and the device file does not consent: "
                f"consent.erase must read {file.consent_wanted!r}."
            )
        if self._spoilt:
            self.device.fresh()
            self._spoilt = False
        if case.changes is Changes.PIN:
            flags = self.device.ask("examine")["token"]["flags"]
            spent = [flag for flag in TRIES_SPENT if flag in flags]
            if spent:
                raise Barred(f"A PIN try is missing already ({spent[0]}), and none is risked.")
        # Only PINs that its owner has handed over: a guess would cost a try.
        pins = file.pins
        return replace(
            self.subject(),
            pin=os.environ.get(pins.user_env, "") if pins.user_env else "",
            so_pin=os.environ.get(pins.so_env, "") if pins.so_env else "",
        )

    def after(self, case: Case) -> None:
        """Initialise the key anew when its token was changed."""
        if case.changes in {Changes.TOKEN, Changes.OBJECTS} and self.device.file.may_erase:
            self._spoilt = True
            self.device.fresh()
            self._spoilt = False


class ReaderSupply(Supply):
    """A card that nobody can make anew: what a case may do to it depends on its owner's consent.

    A case that blocks a PIN is never run. One that spends a try or changes more than a data object
    is run with consent only, and not when fewer than two tries are left.
    """

    def __init__(self, device: ReaderDevice) -> None:
        super().__init__(device)
        self._card = device
        if device.has_operator:
            self._acts = {"take_out": device.take_out, "plug_in": device.plug_in}

    def ready(self, case: Case) -> Subject:
        """Return the card, where the case may have it."""
        file = self.device.file
        if case.locks:
            raise Barred("It would spend the last PIN try of a card that cannot be made anew.")
        if case.changes in {Changes.PIN, Changes.TOKEN}:
            if not file.may_erase:
                raise Barred(
                    f"It changes the {case.changes.value}, and the device file does not consent: "
                    f"consent.erase must read {file.consent_wanted!r}."
                )
            left = self._card.tries_left()
            if left is None or left < TRIES_WANTED:
                told = "does not tell how many" if left is None else f"has {left}"
                raise Barred(f"The card {told} PIN tries left; two are wanted before one is spent.")
        return self.subject()


def supply_of(device: Device) -> Supply:
    """Return the supply of tokens that fits a device."""
    if isinstance(device, EmulatedDevice):
        return EmulatedSupply(device)
    if isinstance(device, SoftHsmDevice):
        return SoftHsmSupply(device)
    if isinstance(device, ReaderDevice):
        return ReaderSupply(device)
    return ForeignSupply(device)
