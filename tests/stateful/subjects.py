"""One device and its model side by side: each step is made on both, and they are compared."""

import re
from collections.abc import Callable
from typing import Any

from applications import Fell, Program
from choices import Choices
from deviations import Deviations
from devices import Device
from standard import model
from standard.allowed import Allowed, Difference, require
from standard.sessions import check_session_info
from standard.state import Application, Object, Operation, Session
from standard.tokens import check_token_info
from standard.values import Out, Reply

Build = Callable[[Choices], tuple[Any, ...] | None]
_SINCE_3_0 = ("Message", "SessionCancel", "LoginUser")
_SINCE_3_2 = ("VerifySignature",)
_LONG = re.compile(r"b'(?:[^'\\]|\\.){24,}'|b\"(?:[^\"\\]|\\.){24,}\"")
_PROBED = ("encrypt", "decrypt", "digest", "sign")


class Subject:
    """A device on which a sequence runs, until the model can follow it no more.

    A difference that is no known deviation is raised; `occurred` names those that were known,
    `worked` the functions that succeeded.
    """

    def __init__(self, device: Device, deviations: Deviations | None = None) -> None:
        self.device = device
        self.world = device.fresh()
        self.given_up = ""
        self.log: list[str] = []
        self.occurred: list[str] = []
        self.worked: set[str] = set()
        self._deviations = deviations or Deviations([])

    def step(self, who: int, function: str, build: Build) -> None:
        """Make one call as a program, with arguments that are chosen by what there is."""
        app = self.world.applications[who]
        arguments = None if self.given_up else build(Choices(self.world, app))
        if arguments is None or not self._has(function):
            return
        allowed = model.allowed(self.world, app, function, arguments)
        told = _LONG.sub("...", repr(arguments))
        self.log.append(f"{self.device.name} {who}: C_{function}{told}")
        try:
            reply = self.device.programs[who].ask("call", function, arguments)
            self.log.append(f"    {reply.code} {_LONG.sub('...', repr(reply.written))}")
            allowed.judge(reply)
            if reply.ok:
                self.worked.add(function)
            self._settle()
            for each in range(len(self.world.applications)):
                self._look(each)
        except Difference as difference:
            self._differs(function, difference, allowed)
        except Fell as fell:
            self._differs(function, Difference(fell.what, allowed.codes, str(fell)), allowed)

    def _has(self, function: str) -> bool:
        version = self.world.traits.version
        if any(each in function for each in _SINCE_3_2):
            return version >= (3, 2)
        return version >= (3, 0) or not any(each in function for each in _SINCE_3_0)

    def _differs(self, function: str, difference: Difference, allowed: Allowed) -> None:
        """Go on after a known deviation as its entry says, or raise."""
        known = self._deviations.find(function, difference)
        if known is None:
            raise AssertionError(f"{self.device.name}: C_{function}: {difference}") from difference
        self.occurred.append(known.id)
        self.log.append(f"    known: {known.id}")
        if known.means is None:
            self.given_up = known.id
            return
        if known.means not in {"alive", "unchanged"}:
            follow = allowed.granted if known.means == "OK" else allowed.refused
            if follow is not None:
                follow(Reply(known.means))
        try:
            self._settle()
        except Difference as another:
            self._differs(function, another, allowed)

    def _settle(self) -> None:
        """Ask the module of operations of which the standard leaves open whether they live.

        Difference where one lives on after a fault that ends it.
        """
        for program, app in zip(self.device.programs, self.world.applications, strict=True):
            for session in app.sessions.values():
                while session.ended:
                    kind, operation = session.ended.popitem()
                    if kind in session.operations or not _lives(program, session, kind, operation):
                        continue
                    session.operations[kind] = operation
                    raise Difference("alive", ["OPERATION_NOT_INITIALIZED"], kind)
                while session.doubtful:
                    kind = session.doubtful.pop()
                    operation = session.operations.pop(kind, None)
                    if operation is not None and _lives(program, session, kind, operation):
                        session.operations[kind] = operation

    def _look(self, who: int) -> None:
        """Compare the whole state that can be seen with the model's."""
        app = self.world.applications[who]
        sessions = list(app.sessions.values())
        handles = [session.handle for session in sessions]
        seen = self.device.programs[who].ask("look", self.world.traits.slot, handles)
        for session, reply in zip(sessions, seen["sessions"], strict=True):
            require(reply.ok, "session", reply.code)
            check_session_info(self.world, app, session, reply.written[0])
        require(seen["token"].ok, "token", seen["token"].code)
        check_token_info(self.world, app, seen["token"].written[0])
        if seen["objects"] is not None:
            require(set(seen["codes"]) == {"OK"}, "look", seen["codes"])
            self._compare_objects(app, seen["objects"])

    def _compare_objects(self, app: Application, seen: list[tuple[int, list[Any]]]) -> None:
        visible = self.world.visible(app)
        found: list[Object] = []
        for handle, (label, kind) in seen:
            obj = app.handles.get(handle)
            if obj is None:
                obj = next(
                    (
                        each
                        for each in visible
                        if app.handle_of(each) is None
                        and (each.attributes.get("LABEL"), each.kind) == (label, kind)
                    ),
                    None,
                )
                require(obj is not None, "extra object", f"{handle}: {kind} {label!r}")
                app.handles[handle] = obj  # type: ignore[assignment]
            require(obj in visible and obj not in found, "extra object", f"{kind} {label!r}")
            known = obj.attributes["LABEL"]  # type: ignore[union-attr]
            require(label == known, "label", f"{label!r} of an object with {known!r}")
            found.append(obj)  # type: ignore[arg-type]
        lost = [each.attributes.get("LABEL") for each in visible if each not in found]
        require(not lost, "lost object", lost)


def _lives(program: Program, session: Session, kind: str, operation: Operation) -> bool:
    """Tell whether an operation is active, by a question for a length, or else end it.

    What is asked leaves the operation as it is; C_VerifyUpdate with nothing makes it one in parts.
    """
    name = kind.title().replace(" ", "")
    if kind in _PROBED:
        if operation.parts is False:
            call: tuple[Any, ...] = (name, (session.handle, bytes(32), Out(None)))
        else:
            call = (f"{name}Final", (session.handle, Out(None)))
        return bool(program.ask("call", *call).ok)
    if kind == "verify":
        operation.parts = True
        return bool(program.ask("call", "VerifyUpdate", (session.handle, b"")).ok)
    if kind == "find":
        program.ask("call", "FindObjectsFinal", (session.handle,))
    else:
        more = (b"",) if kind == "verify signature" else ()
        program.ask("call", f"{name}Init", (session.handle, None, 0, *more))
    return False
