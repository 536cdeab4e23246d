"""One application: a process that loads a module and makes the calls it is told to, raw.

argv: the module's path and the descriptor of a connection. A request is ("call", function,
arguments), ("look", slot, session handles), ("slots",), ("mechanisms", slot, names), ("version",),
("begin",) or ("end",).
"""

import sys
from multiprocessing.connection import Connection
from typing import Any

from standard import values
from standard.values import words

from ukey_harness.cryptoki import Module
from ukey_harness.cryptoki.abi import declared
from ukey_harness.cryptoki.arguments import Argument, Mechanism, Room, ecdh, memory
from ukey_harness.cryptoki.arguments import Cell as CellOf
from ukey_harness.cryptoki.arguments import Query as QueryOf
from ukey_harness.cryptoki.arguments import Template as TemplateOf
from ukey_harness.cryptoki.names import CKA, CKC, CKK, CKM, CKO, NOBODY
from ukey_harness.cryptoki.returns import return_name

_MORE_ATTRIBUTES = {
    "BOGUS": 0x7FFFFFF0,
    "PRIME_1": 0x124,
    "PRIME_2": 0x125,
    "EXPONENT_1": 0x126,
    "EXPONENT_2": 0x127,
    "COEFFICIENT": 0x128,
}
_ENUMERATIONS: dict[str, Any] = {"CLASS": CKO, "KEY_TYPE": CKK, "CERTIFICATE_TYPE": CKC}
_MOST = 500


def attribute(name: str) -> int:
    return _MORE_ATTRIBUTES[name] if name in _MORE_ATTRIBUTES else CKA[name]


def value_of(name: str, value: Any) -> Any:
    return _ENUMERATIONS[name][value] if isinstance(value, str) else value


def read_value(name: str, data: bytes | None) -> Any:
    """Give the bytes of an attribute as the model writes it."""
    if data is None:
        return None
    if name in _ENUMERATIONS and len(data) == 8:
        number = int.from_bytes(data, "little")
        kinds = _ENUMERATIONS[name]
        return kinds(number).name if number in set(kinds) else number
    if name in {"VALUE_LEN", "MODULUS_BITS"} and len(data) == 8:
        return int.from_bytes(data, "little")
    if name in _TRUTHS and len(data) == 1:
        return {0: False, 1: True}.get(data[0], data)
    return data


_TRUTHS = {
    *(words("TOKEN PRIVATE MODIFIABLE COPYABLE DESTROYABLE SENSITIVE EXTRACTABLE LOCAL TRUSTED")),
    *(words("ALWAYS_SENSITIVE NEVER_EXTRACTABLE WRAP_WITH_TRUSTED ALWAYS_AUTHENTICATE DERIVE")),
    *(words("ENCRYPT DECRYPT SIGN VERIFY SIGN_RECOVER VERIFY_RECOVER WRAP UNWRAP")),
}


class Raw(Argument):
    """C arguments as they are."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts


class Seal(Argument):
    """CK_GCM_MESSAGE_PARAMS with memory of its own."""

    def __init__(self, given: values.GcmMessage) -> None:
        ffi = declared()
        self._iv, self._tag = memory(given.iv), memory(given.tag)
        fields = [self._iv, len(given.iv), 0, 0, self._tag, 8 * len(given.tag)]
        self._held = ffi.new("CK_GCM_MESSAGE_PARAMS *", fields)
        self._length = len(given.tag)
        self.parts = (self._held, ffi.sizeof("CK_GCM_MESSAGE_PARAMS"))

    @property
    def tag(self) -> bytes:
        return bytes(declared().buffer(self._tag, self._length))


class Listing(Argument):
    """Room for handles, and behind it words that must stay."""

    FILL = 0xA5A5A5A5

    def __init__(self, room: int) -> None:
        self._room = room
        self._handles = declared().new("CK_ULONG[]", [self.FILL] * (room + 2))
        self._count = declared().new("CK_ULONG *")
        self.parts = (self._handles, room, self._count)

    @property
    def found(self) -> list[int]:
        return [int(each) for each in list(self._handles)[: min(self._count[0], self._room)]]

    @property
    def overrun(self) -> bool:
        return self._count[0] > self._room or self._handles[self._room] != self.FILL


def argument(given: Any) -> Argument:  # noqa: C901, PLR0911, PLR0912 - a line for each kind
    """Make C arguments of a value of the model."""
    match given:
        case None:
            return Raw(None)
        case bool() | int():
            return Raw(NOBODY if given == -1 else int(given))
        case bytes():
            held = memory(given)
            return Raw(held, len(given))
        case values.Null():
            return Raw(None, given.length)
        case values.Out():
            room = Room(given.capacity)
            return room if given.asked else Raw(room.parts[0], None)
        case values.Cell():
            return CellOf() if given.asked else Raw(None)
        case values.Handles():
            return Listing(given.room)
        case values.Template():
            return TemplateOf([(attribute(k), value_of(k, v)) for k, v in given.pairs])
        case values.Query():
            return QueryOf([(attribute(k), room) for k, room in given.kinds])
        case values.Ecdh():
            return ecdh(given.point)
        case values.GcmMessage():
            return Seal(given)
        case values.Info():
            return Raw(declared().new(f"{given.kind} *") if given.asked else None)
        case values.Mech():
            return Mechanism(_mechanism(given.name), given.parameter)
    raise TypeError(given)


def _mechanism(name: str) -> int:
    return {"BOGUS": NOBODY}.get(name) or CKM[name]


def structure(kind: str, held: Any) -> dict[str, Any]:
    """Give the members of a C structure that the model looks at."""
    if kind == "CK_SESSION_INFO":
        return {name: int(getattr(held, name)) for name in ("slotID", "state", "flags")}
    label = bytes(held.label).decode(errors="replace")
    names = ("flags", "ulSessionCount", "ulRwSessionCount", "ulMinPinLen", "ulMaxPinLen")
    return {"label": label, **{name: int(getattr(held, name)) for name in names}}


class Caller:
    """The module in this process."""

    def __init__(self, path: str) -> None:
        self.module = Module(path)

    def call(self, function: str, arguments: tuple[Any, ...]) -> values.Reply:
        """Make one call; give its code and what it wrote."""
        made = [argument(each) for each in arguments]
        if function == "InitToken":  # the label is 32 bytes without a length
            made[2] = Raw(None if arguments[2] is None else memory(arguments[2].ljust(32)))
        if function == "FindObjects" and isinstance(arguments[1], values.Null):
            made[1] = Raw(None, arguments[1].length, None)
        flat = [part for each in made for part in each.parts]
        reply = values.Reply(return_name(self.module.call(function, *flat)).removeprefix("CKR_"))
        for given, each in zip(arguments, made, strict=True):
            self._read(reply, given, each)
        return reply

    @staticmethod
    def _read(reply: values.Reply, given: Any, made: Any) -> None:
        match given, made:
            case values.Out(), Room():
                reply.written.append((made.length, made.data))
                if made.overrun:
                    reply.faults.append("a byte behind the buffer was written")
                if reply.code != "OK" and not made.untouched:
                    reply.faults.append("output came with a refusal")
            case values.Cell(), CellOf():
                reply.written.append(made.value)
            case values.Handles(), Listing():
                reply.written.append(made.found)
                if made.overrun:
                    reply.faults.append("handles behind the array were written")
            case values.Query(), QueryOf():
                kinds = enumerate(given.kinds)
                read = [(made.length(i), read_value(k, made.value(i))) for i, (k, _) in kinds]
                reply.written.append(read)
            case values.GcmMessage(), Seal():
                reply.written.append(made.tag)
            case values.Info(asked=True), Raw():
                reply.written.append(structure(given.kind, made.parts[0]))

    def look(self, slot: int, sessions: list[int]) -> dict[str, Any]:
        """Look at everything: sessions, the token, and all objects, in a session for that alone."""
        info = values.Info("CK_SESSION_INFO")
        seen: dict[str, Any] = {
            "sessions": [self.call("GetSessionInfo", (each, info)) for each in sessions],
            "token": self.call("GetTokenInfo", (slot, values.Info("CK_TOKEN_INFO"))),
            "objects": None,
        }
        if sessions:
            opened = self.call("OpenSession", (slot, 6, None, None, values.Cell()))
            session = opened.written[0]
            replies = [opened, self.call("FindObjectsInit", (session, values.Template()))]
            found = self.call("FindObjects", (session, values.Handles(_MOST)))
            replies += [found, self.call("FindObjectsFinal", (session,))]
            query = values.Query((("LABEL", 64), ("CLASS", 8)))
            labels = [
                self.call("GetAttributeValue", (session, each, query)) for each in found.written[0]
            ]
            replies += [*labels, self.call("CloseSession", (session,))]
            names = [[value for _, value in each.written[0]] for each in labels]
            seen["objects"] = list(zip(found.written[0], names, strict=True))
            seen["codes"] = [reply.code for reply in replies]
        return seen

    def slots(self) -> list[tuple[int, dict[str, Any]]]:
        """Tell the slots and their tokens."""
        numbers = self.module.slots()
        info = values.Info("CK_TOKEN_INFO")
        return [(each, self.call("GetTokenInfo", (each, info)).written[0]) for each in numbers]

    def mechanisms(self, slot: int, names: list[str]) -> dict[str, int]:
        """Tell the flags of those of these mechanisms that are there."""
        there = set(self.module.mechanisms(slot))
        kinds = {name: CKM[name] for name in names}
        return {
            name: int(self.module.structure("GetMechanismInfo", "CK_MECHANISM_INFO", slot, k).flags)
            for name, k in kinds.items()
            if k in there
        }


def main() -> None:
    caller = Caller(sys.argv[1])
    connection = Connection(int(sys.argv[2]))
    begun = False
    while True:
        try:
            verb, *more = connection.recv()
        except EOFError:
            return
        match verb:
            case "call":
                answer: Any = caller.call(*more)
            case "begin":
                answer = caller.module.initialize()
                begun = True
            case "end":
                answer = caller.module.finalize() if begun else None
                begun = False
            case "version":
                answer = caller.module.version
            case _:
                answer = getattr(caller, verb)(*more)
        connection.send(answer)


if __name__ == "__main__":
    main()
