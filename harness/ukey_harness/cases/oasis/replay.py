"""The calls of a test case, made one after the other, each with what it gave beside what is shown.

The functions are those of the interface of the version that the case is written for, where the
module has that. A return value that is not as shown ends the replay, for what follows rests on it;
a value that is not, does not.
"""

import os
from collections.abc import Callable
from typing import Any

from ukey_harness.cases.case import Seen
from ukey_harness.cases.oasis import judging
from ukey_harness.cases.oasis.judging import Level, Row
from ukey_harness.cases.oasis.script import PIN, Item, Script, Step, Symbol
from ukey_harness.cases.pkcs11.stand import Stand
from ukey_harness.cryptoki.arguments import (
    Cell,
    Mechanism,
    Numbers,
    Query,
    Record,
    Room,
    Template,
)
from ukey_harness.cryptoki.module import padded_text
from ukey_harness.cryptoki.names import CKA
from ukey_harness.verdicts.record import StepRecord
from ukey_harness.verdicts.verdict import Verdict

AS_SHOWN = "as shown"
OPEN = "as shown but for what each token has of its own"
STRUCTURES = {
    "GetInfo": ("Info", "CK_INFO"),
    "GetSlotInfo": ("SlotInfo", "CK_SLOT_INFO"),
    "GetTokenInfo": ("TokenInfo", "CK_TOKEN_INFO"),
    "GetMechanismInfo": ("MechanismInfo", "CK_MECHANISM_INFO"),
}
LISTS = {"GetSlotList": "SlotList", "GetMechanismList": "MechanismList"}

MOST = 1_000_000  # entries or bytes; a module that tells of more is not taken at its word
NULL_ONLY = {"Initialize", "Finalize"}  # their one argument, which the cases do not give

Answer = tuple[str, list[Row]]


class _Unbound(Exception):  # noqa: N818 - ends a replay whose fault is known by then
    """A call needs what an earlier one should have given."""


class Replay:
    """One run of a test case on a stand."""

    def __init__(self, stand: Stand, script: Script) -> None:
        self._stand = stand
        self._script = script
        self._bound: dict[str, int] = {}
        # Of an object's attribute: the length that the case shows, and the one that was given.
        self._lengths: dict[tuple[str, int], tuple[int, int]] = {}
        self._public: dict[int, bytes] = {}

    def run(self) -> Seen:
        """Make the calls; return one fact when all is well, else one for each difference."""
        if self._script.logs_in:
            self._stand.pin()  # without one nothing is begun
        wrong: list[str] = []
        is_open = False
        for index, step in enumerate(self._script.steps):
            say(f"{self._script.id}: C_{step.function}, line {step.line}")
            begun = len(self._stand.calls)
            place = f"line {step.line}, C_{step.function}"
            try:
                rv, rows = self._call(step)
            except _Unbound as lack:
                wrong.append(f"{place}: not called, for nothing gave {lack}")
                self._leave_out(index)
                break
            self._take_down(step, rv, rows, begun)
            if rv != step.rv:
                wrong.append(f"{place}: {rv}, not {step.rv}")
                self._leave_out(index + 1)
                break
            wrong += [f"{place}: {row}" for row in rows if row.level is Level.WRONG]
            for row in rows:
                if row.level is Level.OPEN:
                    is_open = True
                    self._stand.note(f"{place}: {row}")
        return tuple(wrong) or (OPEN if is_open else AS_SHOWN)

    def _call(self, step: Step) -> Answer:
        if step.function in STRUCTURES:
            return self._structure(step)
        if step.function in LISTS:
            return self._list(step)
        special: dict[str, Callable[[Step], Answer]] = {
            "OpenSession": self._open_session,
            "Login": self._login,
            "FindObjects": self._find_objects,
            "GetAttributeValue": self._get_attribute_value,
            "Sign": self._sign,
        }
        if step.function in special:
            return special[step.function](step)
        arguments = [self._argument(item) for item in step.given.values()]
        rv = self._stand.rv(step.function, *(arguments or [None]))
        if rv == "OK" and step.function in NULL_ONLY:
            self._stand.initialized = step.function == "Initialize"
        return rv, []

    def _argument(self, item: Item) -> Any:  # noqa: ANN401 - an argument of any kind
        """Return what stands for an element in a raw call."""
        if item.name == "Template":
            return Template({each.kind: judging.encoded(each) for each in item})
        if item.name == "Mechanism":
            return Mechanism(self._number(item.items[0].value))
        return self._number(item.value)

    def _number(self, value: object) -> int:
        if isinstance(value, Symbol):
            if value.path not in self._bound:
                raise _Unbound(str(value))
            return self._bound[value.path]
        assert isinstance(value, int)  # noqa: S101 - the reader has seen to it
        return value

    def _bind(self, value: object, number: int) -> None:
        if isinstance(value, Symbol):
            self._bound[value.path] = number

    # What gives something

    def _structure(self, step: Step) -> Answer:
        name, kind = STRUCTURES[step.function]
        record = Record(kind)
        before = [self._argument(item) for item in step.given.values()]
        rv = self._stand.rv(step.function, *before, record)
        if rv != "OK" or name not in step.told:
            return rv, []
        return rv, judging.structure(step.told[name], record.structure)

    def _list(self, step: Step) -> Answer:
        name = LISTS[step.function]
        wanted = step.given[name].length
        size = None if wanted is None else min(self._number(wanted), MOST)
        entries = Numbers(size)
        first = next(self._argument(item) for key, item in step.given.items() if key != name)
        rv = self._stand.rv(step.function, int(first), entries)
        told = step.told.get(name)
        if rv != "OK" or told is None:
            return rv, []
        self._bind(told.length, entries.count)
        if size is None or entries.count > size:
            return rv, [judging.counted(name, entries.count, MOST if size is None else size)]
        given = entries.values
        if name == "MechanismList":
            kinds = [self._number(item.value) for item in told]
            return rv, [judging.listed(name, kinds, given)]
        return rv, [self._slots(told, given)]

    def _slots(self, told: Item, given: list[int]) -> Row:
        """Give the first symbol the slot of the token under test, the others what is left."""
        mine = [slot for slot in given if self._is_mine(slot)]
        ordered = mine + [slot for slot in given if slot not in mine]
        for item, slot in zip(told, ordered, strict=False):
            self._bind(item.value, slot)
        if not mine:
            why = "the token under test is in none of them"
            return Row(told.name, "its slot", f"{len(given)} slots", Level.WRONG, why)
        return judging.slots(len(told.items), given)

    def _is_mine(self, slot: int) -> bool:
        record = Record("CK_TOKEN_INFO")
        if self._stand.rv("GetTokenInfo", slot, record) != "OK":  # a call beside those of the case
            return False
        token = record.structure
        names = padded_text(token.label), padded_text(token.serialNumber)
        wanted = self._stand.subject.label, self._stand.subject.serial
        return all(not want or want == name for want, name in zip(wanted, names, strict=True))

    def _open_session(self, step: Step) -> Answer:
        cell = Cell()
        slot, flags = (self._argument(step.given[name]) for name in ("SlotID", "Flags"))
        rv = self._stand.rv("OpenSession", slot, flags, None, None, cell)
        if rv != "OK" or "Session" not in step.told:
            return rv, []
        self._bind(step.told["Session"].value, cell.value)
        return rv, [judging.handles("Session", 1, 1, [cell.value])]

    def _login(self, step: Step) -> Answer:
        session, user = (self._argument(step.given[name]) for name in ("Session", "UserType"))
        written = step.given["Pin"].value
        pin = self._stand.pin(user) if written == PIN else str(written)
        return self._stand.rv("Login", session, user, pin.encode()), []

    def _find_objects(self, step: Step) -> Answer:
        most = self._number(step.given["Object"].length)
        found = Numbers(most, apart=True)
        rv = self._stand.rv("FindObjects", self._argument(step.given["Session"]), found)
        if rv != "OK" or "Object" not in step.told:
            return rv, []
        given = found.values
        told = step.told["Object"].items
        for item, handle in zip(told, given, strict=False):
            self._bind(item.value, handle)
        if found.count > most:
            return rv, [Row("Object", f"{len(told)}", f"{found.count}", Level.WRONG)]
        return rv, [judging.handles("Object", len(told), most, given)]

    def _get_attribute_value(self, step: Step) -> Answer:
        target = str(step.given["Object"].value)
        asked = [(each.kind, self._room(target, each)) for each in step.given["Template"]]
        query = Query(asked)
        session, handle = (self._argument(step.given[name]) for name in ("Session", "Object"))
        rv = self._stand.rv("GetAttributeValue", session, handle, query)
        rows: list[Row] = []
        for index, told in enumerate(step.told.get("Template", ())):
            if told.value is None:
                rows.append(judging.length(told, query.length(index)))
                self._bind(told.length, query.length(index))
                if isinstance(told.length, int):
                    self._lengths[target, told.kind] = told.length, query.length(index)
            else:
                given = query.value(index)
                rows.append(judging.value(told, given))
                self._public[told.kind] = given or b""
        return rv, rows if rv == step.rv else []

    def _room(self, target: str, asked: Item) -> int | None:
        """Return the size of an attribute's buffer: what the token told, where the case tells it.

        A length in a request is the one that the response before has shown, or one chosen freely.
        """
        if asked.length is None:
            return None
        size = self._number(asked.length)
        shown, given = self._lengths.get((target, asked.kind), (size, size))
        return given if size == shown and given <= MOST else size

    def _sign(self, step: Step) -> Answer:
        data = step.given["Data"].value
        assert isinstance(data, bytes)  # noqa: S101 - the reader has seen to it
        room = Room(self._number(step.given["Signature"].length))
        rv = self._stand.rv("Sign", self._argument(step.given["Session"]), data, room)
        if rv != "OK" or "Signature" not in step.told:
            return rv, []
        return rv, [judging.signature(step.told["Signature"], room.data, data, self._public)]

    # What is written down

    def _take_down(self, step: Step, rv: str, rows: list[Row], begun: int) -> None:
        bad = rv != step.rv or any(row.level is Level.WRONG for row in rows)
        record = StepRecord(
            keyword=f"C_{step.function}",
            text=_written(step),
            line=step.line,
            verdict=Verdict.UNMET if bad else Verdict.MET,
            expected="; ".join([step.rv, *(f"{row.name} {row.shown}" for row in rows)]),
            actual="; ".join([rv, *(f"{row.name} {row.given}" for row in rows)]),
            calls=self._stand.calls[begun:],
            notes=[f"{row.level.name.lower()}: {row}" for row in rows if row.level],
        )
        self._stand.steps.append(record)

    def _leave_out(self, index: int) -> None:
        self._stand.steps += [
            StepRecord(f"C_{step.function}", _written(step), step.line, expected=step.rv)
            for step in self._script.steps[index:]
        ]


def say(text: str) -> None:
    """Write to what is kept of a process that the module ends: where it was."""
    os.write(1, f"{text}\n".encode())


def _written(step: Step) -> str:
    texts = []
    for item in step.given.values():
        inner = ", ".join(
            part
            for each in item
            if (part := each.written or (CKA(each.kind).name if each.kind else ""))
        )
        secret = item.name == "Pin" and item.value != PIN
        texts.append(item.name if secret else f"{item.name} {item.written or inner}".strip())
    return "; ".join(texts)
