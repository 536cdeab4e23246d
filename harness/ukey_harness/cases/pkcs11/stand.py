"""The stand on which a case works: a module, the token in it, and what the case opens there."""

import threading
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

from ukey_harness.cases.case import NotApplicable, Unprepared
from ukey_harness.cases.subject import Subject, nobody_can
from ukey_harness.cryptoki import Module
from ukey_harness.cryptoki.arguments import (
    Argument,
    Cell,
    Mechanism,
    Numbers,
    Pairs,
    Query,
    Record,
    Room,
    Template,
    Value,
)
from ukey_harness.cryptoki.module import padded_text
from ukey_harness.cryptoki.names import (
    CKA,
    CKF_OS_LOCKING_OK,
    CKF_RW_SESSION,
    CKF_SERIAL_SESSION,
    CKM,
    CKO,
    CKU,
    SlotFlag,
    TokenFlag,
)
from ukey_harness.cryptoki.returns import return_name
from ukey_harness.verdicts.record import Call, StepRecord

MARK = "ukeylab-case"  # begins the label of all that cases put onto a token, to sweep it away
CALLS_KEPT = 200
MOST_LISTED = 1_000_000  # a count beyond this is none of slots or mechanisms
MOST_FOUND = 100_000  # handles, after which a search is taken for one without an end
# What C_CreateObject says of an object that the token does not have (§5.7.1).
NO_SUCH_OBJECT = {"ATTRIBUTE_VALUE_INVALID", "TEMPLATE_INCONSISTENT", "FUNCTION_NOT_SUPPORTED"}
# With these C_GetAttributeValue has gone through the whole template (§5.7.5).
GIVING = {"OK", "ATTRIBUTE_SENSITIVE", "ATTRIBUTE_TYPE_INVALID", "BUFFER_TOO_SMALL"}

Act = Callable[..., dict[str, Any]]


class Stand:
    """What a case has at hand. Return values come as the standard's names without CKR_.

    Arguments of calls: bytes stand for pointer and length, None is NULL, whole numbers are
    themselves, the classes of ukey_harness.cryptoki.arguments are what they say.
    """

    def __init__(self, subject: Subject, act: Act | None = None) -> None:
        self.subject = subject
        self.calls: list[Call] = []
        self.notes: list[str] = []
        self.trespasses: list[str] = []  # what no call of any case may do: to write too far
        self.steps: list[StepRecord] = []  # of a case that is judged call by call
        self.initialized = False
        self._act = act
        self._module: Module | None = None
        self._slot: int | None = None
        self._mechanisms: list[int] = []
        self._lock = threading.Lock()
        self._kept: list[object] = []

    def keep(self, *memory: object) -> None:
        """Keep C memory and callbacks alive as long as the module may use them."""
        self._kept.extend(memory)

    # The module

    @property
    def module(self) -> Module:
        """The module, loaded on first use."""
        if self._module is None:
            self._module = Module(self.subject.module)
        return self._module

    @property
    def loaded(self) -> bool:
        """Whether the module is in this process yet."""
        return self._module is not None

    def rv(self, function: str, *arguments: Any) -> str:  # noqa: ANN401 - C values of any kind
        """Call C_<function>; return the name of what it returned."""
        flat: list[Any] = []
        for each in arguments:
            flat.extend(_parts(each))
        module = self.module
        begun = time.perf_counter_ns()
        name = return_name(module.call(function, *flat))
        spent = (time.perf_counter_ns() - begun) // 1000
        with self._lock:
            if len(self.calls) < CALLS_KEPT:
                told = ", ".join(_told(each) for each in arguments)
                self.calls.append(Call(f"C_{function}", name, spent, {"given": told}))
        self._watch(function, name.removeprefix("CKR_"), arguments)
        return name.removeprefix("CKR_")

    def _watch(self, function: str, name: str, arguments: tuple[Any, ...]) -> None:
        """Note what a call wrote where nobody had given it room."""
        for each in arguments:
            wrong = each.trespass(name) if isinstance(each, Argument) else ""
            told = f"C_{function} {wrong}"
            if wrong and told not in self.trespasses:
                self.trespasses.append(told)

    def must(self, function: str, *arguments: Any) -> None:  # noqa: ANN401 - as above
        """Call C_<function>, which the case needs to succeed; Unprepared otherwise."""
        name = self.rv(function, *arguments)
        if name != "OK":
            raise Unprepared(_told_failure(function, name))

    def handle(self, function: str, *arguments: Any) -> int:  # noqa: ANN401 - as above
        """Call C_<function>, whose last argument receives a handle or number; return that."""
        cell = Cell()
        self.must(function, *arguments, cell)
        return cell.value

    def output(self, function: str, *arguments: Any) -> tuple[str, bytes]:  # noqa: ANN401 - above
        """Call C_<function> with plenty of room for its output; return name and output."""
        room = Room()
        name = self.rv(function, *arguments, room)
        return name, room.data if name == "OK" else b""

    def made(self, function: str, *arguments: Any) -> bytes:  # noqa: ANN401 - as above
        """Return the output of a call that must succeed."""
        room = Room()
        self.must(function, *arguments, room)
        return room.data

    def initialize(self) -> None:
        """C_Initialize with the system's locks; nothing happens when that was done before."""
        if not self.initialized:
            arguments = self.module.ffi.new("CK_C_INITIALIZE_ARGS *")
            arguments.flags = CKF_OS_LOCKING_OK
            self.must("Initialize", arguments)
            self.initialized = True

    def finalize(self) -> None:
        """C_Finalize."""
        self.must("Finalize", None)
        self.initialized = False

    def structure(self, function: str, kind: str, *before: int) -> Any:  # noqa: ANN401 - a C struct
        """Return what C_<function> writes into a structure of that kind; it must succeed."""
        record = Record(kind)
        self.must(function, *before, record)
        self.keep(record)
        return record.structure

    def act(self, verb: str, **more: object) -> dict[str, Any]:
        """Have the device's operator do something; NotApplicable when nobody can."""
        if self._act is None or verb not in self.subject.acts:
            raise NotApplicable(nobody_can(verb))
        return self._act(verb, **more)

    def note(self, text: str) -> None:
        """Leave a remark beside the verdict."""
        self.notes.append(text)

    # Slot and token

    def slots(self, *, present: bool = True) -> list[int]:
        """C_GetSlotList."""
        self.initialize()
        return self._listed("GetSlotList", int(present))

    def _listed(self, function: str, *before: int) -> list[int]:
        """Return a list of numbers that is asked for twice: for its length, and for itself."""
        asked = Numbers(None)
        self.must(function, *before, asked)
        if asked.count > MOST_LISTED:
            raise Unprepared(f"C_{function} gives a count of {asked.count}")
        given = Numbers(asked.count)
        self.must(function, *before, given)
        return given.values

    @property
    def slot(self) -> int:
        """The slot in which the token is, found by its label and serial number."""
        if self._slot is None:
            for slot in self.slots():
                token = self.token_info(slot)
                names = padded_text(token.label), padded_text(token.serialNumber)
                wanted = self.subject.label, self.subject.serial
                if all(not want or want == name for want, name in zip(wanted, names, strict=True)):
                    self._slot = slot
                    break
            else:
                raise Unprepared(f"no slot shows the token {self.subject.label!r}")
        return self._slot

    def forget_slot(self) -> None:
        """Look for the token again."""
        self._slot = None

    def token_info(self, slot: int | None = None) -> Any:  # noqa: ANN401 - a C struct
        """C_GetTokenInfo."""
        where = self.slot if slot is None else slot
        return self.structure("GetTokenInfo", "CK_TOKEN_INFO", where)

    def token_flags(self) -> TokenFlag:
        """Return the flags of the token."""
        return TokenFlag(int(self.token_info().flags))

    def slot_flags(self, slot: int | None = None) -> SlotFlag:
        """Return the flags of a slot."""
        where = self.slot if slot is None else slot
        return SlotFlag(int(self.structure("GetSlotInfo", "CK_SLOT_INFO", where).flags))

    @property
    def mechanisms(self) -> list[int]:
        """The mechanisms that the token lists."""
        if not self._mechanisms:
            self._mechanisms = self._listed("GetMechanismList", self.slot)
        return self._mechanisms

    def mechanism_flags(self, kind: int) -> int:
        """Return what a mechanism is good for; 0 when C_GetMechanismInfo refuses."""
        info = Record("CK_MECHANISM_INFO")
        name = self.rv("GetMechanismInfo", self.slot, kind, info)
        return int(info.structure.flags) if name == "OK" else 0

    # Sessions

    def session(self, *, write: bool = True, slot: int | None = None) -> int:
        """C_OpenSession; return its handle."""
        flags = CKF_SERIAL_SESSION | (CKF_RW_SESSION if write else 0)
        where = self.slot if slot is None else slot
        return self.handle("OpenSession", where, flags, None, None)

    def pin(self, user: int = CKU.USER) -> str:
        """Return the right PIN of a user; NotApplicable when the run was not given it.

        None is ever guessed: on a real key a wrong one costs a try.
        """
        right = self.subject.so_pin if user == CKU.SO else self.subject.pin
        if not right:
            who = "security officer's" if user == CKU.SO else "user's"
            raise NotApplicable(f"The run was not given the {who} PIN of this key.")
        return right

    def login(self, session: int, user: int = CKU.USER, pin: str | None = None) -> str:
        """C_Login with the right PIN unless another is given; return the name of its value.

        It is entered on the token where that has a pad and somebody can.
        """
        pin = self.pin(user) if pin is None else pin
        if self._pad:
            self.act("enter_pin", pin=pin)
            return self.rv("Login", session, user, None, 0)
        return self.rv("Login", session, user, pin.encode())

    @cached_property
    def _pad(self) -> bool:
        """Whether PINs are entered on the token, by an operator who can."""
        flag = TokenFlag.PROTECTED_AUTHENTICATION_PATH
        return "enter_pin" in self.subject.acts and flag in self.token_flags()

    def enter(self, session: int, user: int = CKU.USER, pin: str | None = None) -> int:
        """Log in, which must succeed; return the session."""
        name = self.login(session, user, pin)
        if name != "OK":
            raise Unprepared(_told_failure("Login", name))
        return session

    def user(self, *, write: bool = True) -> int:
        """Return a new session with the user logged in."""
        return self.enter(self.session(write=write))

    def so(self) -> int:
        """Return a new session with the security officer logged in."""
        return self.enter(self.session(), CKU.SO)

    def wrong_pin(self, pin: str | None = None) -> str:
        """Return a PIN as long as that one (default: the user's) and not equal to it."""
        right = pin or self.pin()
        return ("0" if right[0] != "0" else "1") * len(right)

    def state(self, session: int) -> int:
        """Return the state that C_GetSessionInfo shows."""
        return int(self.structure("GetSessionInfo", "CK_SESSION_INFO", session).state)

    # Objects

    def create(self, session: int, pairs: Pairs) -> int:
        """C_CreateObject; return the handle.

        NotApplicable where the token has no data objects of that kind: which classes it keeps, and
        of them which are private, is left to it (§4.1.1).
        """
        cell = Cell()
        name = self.rv("CreateObject", session, Template(pairs), cell)
        if name in NO_SUCH_OBJECT and _is_kept_data(dict(pairs)):
            raise NotApplicable(
                f"The token takes no such data object: C_CreateObject returned CKR_{name}."
            )
        if name != "OK":
            raise Unprepared(_told_failure("CreateObject", name))
        return cell.value

    def generate(self, session: int, mechanism: int, pairs: Pairs) -> int:
        """C_GenerateKey; return the handle."""
        return self.handle("GenerateKey", session, Mechanism(mechanism), Template(pairs))

    def pair(self, session: int, mechanism: int, public: Pairs, private: Pairs) -> tuple[int, int]:
        """C_GenerateKeyPair; return the handles of the public and the private key."""
        handles = Cell(), Cell()
        templates = Template(public), Template(private)
        self.must("GenerateKeyPair", session, Mechanism(mechanism), *templates, *handles)
        return handles[0].value, handles[1].value

    def attributes(self, session: int, handle: int, *kinds: int) -> tuple[str, list[bytes | None]]:
        """C_GetAttributeValue; return its name and the values, None where there is none."""
        query = Query(kinds)
        name = self.rv("GetAttributeValue", session, handle, query)
        if name not in GIVING:
            return name, [None] * len(kinds)
        return name, [query.value(index) for index in range(len(kinds))]

    def attribute(self, session: int, handle: int, kind: int) -> bytes | None:
        """Return one attribute, None where the module gives none."""
        return self.attributes(session, handle, kind)[1][0]

    def truths(self, session: int, handle: int, *kinds: int) -> tuple[str, ...]:
        """Return truth attributes as yes, no or none."""
        return tuple(truth(self.attribute(session, handle, kind)) for kind in kinds)

    def find(self, session: int, pairs: Pairs = (), most: int = 100) -> list[int]:
        """C_FindObjectsInit, C_FindObjects until it gives no more, C_FindObjectsFinal."""
        self.must("FindObjectsInit", session, Template(pairs))
        found: list[int] = []
        while batch := self.next_found(session, most):
            found += batch
            if len(found) > MOST_FOUND:
                raise Unprepared(f"C_FindObjects has given {len(found)} handles and does not end")
        self.must("FindObjectsFinal", session)
        return found

    def next_found(self, session: int, most: int) -> list[int]:
        """C_FindObjects once, for at most so many handles."""
        handles = Numbers(most, apart=True)
        self.must("FindObjects", session, handles)
        return handles.values

    def labelled(self, session: int, label: str = MARK) -> int:
        """Return how many objects bear that label."""
        return len(self.find(session, {CKA.LABEL: label}))

    # Operations

    def begin(self, operation: str, session: int, mechanism: Mechanism | int, key: int) -> None:
        """C_<operation>Init, which must succeed."""
        what = mechanism if isinstance(mechanism, Mechanism) else Mechanism(mechanism)
        self.must(f"{operation}Init", session, what, key)

    def done(
        self, operation: str, session: int, mechanism: Mechanism | int, key: int, data: bytes
    ) -> bytes:
        """Carry out C_<operation>Init and C_<operation> on data; both must succeed."""
        self.begin(operation, session, mechanism, key)
        return self.made(operation, session, data)

    def digest(self, session: int, data: bytes, mechanism: int = CKM.SHA256) -> bytes:
        """Return the token's digest of data."""
        self.must("DigestInit", session, Mechanism(mechanism))
        return self.made("Digest", session, data)


def _told_failure(function: str, name: str) -> str:
    return f"C_{function} returned CKR_{name} where the case needs it to succeed"


def _is_kept_data(pairs: dict[int, Value]) -> bool:
    """Tell whether that is a data object beyond those that are public and end with their session.

    Of these every case may ask, so that a module that takes no objects at all is found out.
    """
    kept = bool(pairs.get(CKA.TOKEN)) or bool(pairs.get(CKA.PRIVATE))
    return kept and pairs.get(CKA.CLASS) == CKO.DATA


def truth(value: bytes | None) -> str:
    """Return a CK_BBOOL as yes or no; none when there is no value, its bytes otherwise."""
    return {None: "none", b"\0": "no", b"\1": "yes"}.get(value) or f"0x{(value or b'').hex()}"


def number(value: bytes | None) -> int | None:
    """Return a CK_ULONG, None when there is no value or it has another length."""
    return None if value is None or len(value) != 8 else int.from_bytes(value, "little")  # noqa: PLR2004


def _parts(argument: Any) -> tuple[Any, ...]:  # noqa: ANN401 - C values of any kind
    if isinstance(argument, Argument):
        return argument.parts
    if isinstance(argument, bytes):
        return argument, len(argument)
    return (argument,)


def _told(argument: Any) -> str:  # noqa: ANN401 - as above
    """Describe an argument without what is in it: PINs and keys pass here."""
    match argument:
        case None:
            return "NULL"
        case bool() | int():
            return hex(argument)
        case bytes():
            return f"{len(argument)} bytes"
        case Mechanism():
            return f"mechanism 0x{argument.kind:X}"
        case Template() | Query():
            return f"{argument.parts[1]} attributes"
        case _:
            return "*"
