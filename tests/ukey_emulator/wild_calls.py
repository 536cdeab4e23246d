"""Calls with arguments that fit the tables of the wire and hardly anything else, made by dice.

Half of what is picked is what a program could mean (a handle that exists, a mechanism with a
parameter of its own layout), the rest is not.
"""

import random
import struct
from collections import deque
from collections.abc import Callable
from typing import Any

from program import attributes

from ukey_emulator.cryptoki.wire import (
    FUNCTIONS,
    LAYOUTS,
    MESSAGES,
    NULL,
    PARAMETERS,
    SEALED,
    TEMPLATE_ATTRIBUTES,
    Attribute,
    Function,
    Layout,
    Mechanism,
    Misfit,
    Out,
    Parameter,
    Query,
)
from ukey_emulator.terms import CKA, CKC, CKD, CKF, CKG, CKK, CKM, CKO, CKP, CKU, CKZ

ANSWERED = [function for function in FUNCTIONS.values() if not function.local]

_MECHANISMS = [int(mechanism) for mechanism in CKM]
# What would end everything else is seldom called.
_ENDINGS = {
    "C_Logout",
    "C_CloseSession",
    "C_CloseAllSessions",
    "C_DestroyObject",
    "C_SessionCancel",
}

_BEGINNINGS = [
    function
    for function in ANSWERED
    if {argument.kind for argument in function.arguments}
    & {"MECHANISM", "WRAP_MECHANISM", "SEAL_MECHANISM", "OPEN_MECHANISM", "TEMPLATE", "QUERY"}
]

# Numbers that mean something somewhere, and those at the edges of what numbers can be.
MEANT = [int(n) for terms in (CKC, CKD, CKF, CKG, CKK, CKO, CKP, CKU, CKZ) for n in terms]
EDGES = [
    0,
    1,
    2,
    7,
    8,
    16,
    31,
    32,
    127,
    128,
    255,
    256,
    1000,
    4096,
    65537,
    *(2**n for n in (31, 32)),
]
HUGE = [2**63 - 1, 2**63, NULL - 24, NULL - 2, NULL - 1]
LENGTHS = [0, 1, 7, 8, 12, 15, 16, 17, 20, 24, 28, 32, 48, 64, 65, 100, 128, 256, 300, 1000]
CURVES = [
    bytes.fromhex(text)
    for text in (
        "06082a8648ce3d030107",
        "06052b8104000a",
        "06032b6570",
        "06032b656e",
        "06052b81040022",
    )
]
PINS = [b"123456", b"12345678", b"", b"654321"]
_PARAMETER_SETS = [1, 2, 3]
# Templates that make a key or an object somewhere, to be spoilt by what is drawn besides.
_SOUND: list[dict[str, Any]] = [
    {"VALUE_LEN": 16},
    {"EC_PARAMS": CURVES[0]},
    {"EC_PARAMS": CURVES[2]},
    {"PARAMETER_SET": 1},
    {"CLASS": int(CKO.DATA), "VALUE": b"data"},
    {"CLASS": int(CKO.SECRET_KEY), "KEY_TYPE": int(CKK.AES)},
    {"CLASS": int(CKO.SECRET_KEY), "KEY_TYPE": int(CKK.GENERIC_SECRET), "VALUE_LEN": 20},
    {"CLASS": int(CKO.SECRET_KEY), "KEY_TYPE": int(CKK.AES), "VALUE_LEN": 32, "SENSITIVE": False},
    {"CLASS": int(CKO.SECRET_KEY), "KEY_TYPE": int(CKK.AES), "VALUE": bytes(16)},
    {"CLASS": int(CKO.PRIVATE_KEY), "KEY_TYPE": int(CKK.RSA)},
    {"CLASS": int(CKO.PRIVATE_KEY), "KEY_TYPE": int(CKK.EC), "EC_PARAMS": CURVES[0]},
    {"CLASS": int(CKO.PUBLIC_KEY), "KEY_TYPE": int(CKK.EC), "EC_PARAMS": CURVES[0]},
]
_WORD = struct.Struct("<Q")
_SLOW = {CKA.MODULUS_BITS: [0, 1, 512, 1023, NULL]}  # an RSA pair is made beforehand


class WildCalls:
    """Draws calls.

    What there is to pick from is the caller's to keep: the handles of `sessions` and `objects`, the
    keys `suiting` each mechanism, the mechanisms `offered` for each function.
    """

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)  # noqa: S311 - the same calls for the same seed
        self.sessions: list[int] = []
        self.objects: list[int] = []
        self.suiting: dict[int, list[int]] = {}
        self.offered: dict[str, list[int]] = {}
        self._taken: list[bytes] = []
        self._done: dict[str, deque[tuple[Any, ...]]] = {}
        self._going_on: list[Function] = []
        self._function = ANSWERED[0]
        self._session = 0
        kinds: dict[str, Callable[[], Any]] = {
            "SLOT": lambda: self._rarely(0.05, self.number, lambda: 0),
            "SESSION": lambda: self._rarely(0.03, self.number, self._one_session),
            "ULONG": self.number,
            "LABEL": lambda: self._rarely(0.1, lambda: None, lambda: self.dice.randbytes(32)),
            "PIN": lambda: self._rarely(0.2, self.maybe_data, lambda: self.dice.choice(PINS)),
            "NAME": lambda: self._rarely(0.2, lambda: None, lambda: b"C_Sign"),
            "TEMPLATE": lambda: self._rarely(0.05, lambda: None, self.template),
            "QUERY": lambda: self._rarely(0.05, lambda: None, self.queries),
            "FILL": lambda: self._rarely(0.1, self.number, lambda: self.dice.choice(LENGTHS)),
            **dict.fromkeys(["DATA", "OPTIONAL_DATA"], self.maybe_data),
            **dict.fromkeys(["DATA_OUT", "LIST_OUT", "FOUND_OUT"], self.out),
            **dict.fromkeys(["MECHANISM", "WRAP_MECHANISM"], lambda: self.mechanism(PARAMETERS)),
            **dict.fromkeys(
                ["SEAL_MECHANISM", "OPEN_MECHANISM"],
                lambda: self.mechanism({**PARAMETERS, **SEALED}),
            ),
            **dict.fromkeys(["SEAL_PARAMETER", "OPEN_PARAMETER"], self.message),
            **dict.fromkeys(["BOOL", "RESERVED"], lambda: self.dice.random() < 0.5),
        }
        self._kinds = kinds

    def call(self) -> tuple[Function, tuple[Any, ...]]:
        """Draw a function and its arguments."""
        pool = self._going_on or _BEGINNINGS
        pool = self._rarely(0.3, lambda: ANSWERED, lambda: pool)
        function = self.dice.choice(pool)
        if function.name in _ENDINGS and self.dice.random() < 0.95:
            return self.call()
        self._function = function
        done = self._done.get(function.name)
        if done and self.dice.random() < 0.5:
            arguments = list(self.dice.choice(done))
            place = self.dice.randrange(len(arguments))
            arguments[place] = self._draw(function.arguments[place].kind)
            return function, tuple(arguments)
        arguments = []
        for argument in function.arguments:
            drawn = self._draw(argument.kind)
            before = arguments[-1] if arguments else None
            if argument.kind == "ULONG" and isinstance(before, Mechanism):
                suiting = self.suiting.get(before.type) or self.objects
                drawn = drawn if self.dice.random() < 0.2 else self.one(suiting)
            arguments.append(drawn)
        return function, tuple(arguments)

    def _draw(self, kind: str) -> Any:
        return self._kinds.get(kind, lambda: self.dice.random() < 0.97)()

    def begin(self, sessions: list[int], objects: list[int]) -> None:
        """Start with these handles; the old ones are gone."""
        self.sessions[:], self.objects[:] = sessions, objects
        self._session = sessions[0]
        self._done.clear()
        self._going_on = []

    def succeeded(self, function: Function, arguments: tuple[Any, ...]) -> None:
        """Keep what gave CKR_OK; what has begun there is gone on with."""
        self._done.setdefault(function.name, deque(maxlen=6)).append(arguments)
        if function.name.endswith(("Init", "Begin")):
            root = function.name.removeprefix("C_").removesuffix("Init").replace("Message", "")
            self._going_on = [other for other in ANSWERED if root in other.name]
            self._session = arguments[0]

    def failed(self) -> None:
        """Begin something else: what was under way has mostly come to an end."""
        if self.dice.random() < 0.5:
            self._going_on = []

    def _one_session(self) -> int:
        return self._rarely(0.1, lambda: self.one(self.sessions), lambda: self._session)

    def take(self, data: bytes) -> None:
        """Keep what a call has given: it is what others may want (signatures, wrapped keys)."""
        self._taken = [*self._taken[-30:], data]

    def one(self, handles: list[int]) -> int:
        return self.dice.choice(handles) if handles else 0

    def number(self) -> int:
        pick = self.dice.random()
        if pick < 0.45:
            return self.one(self.objects)
        pool = MEANT if pick < 0.65 else EDGES if pick < 0.9 else HUGE
        return self.dice.choice(pool)

    def data(self) -> bytes:
        if self._taken and self.dice.random() < 0.4:
            data = self.dice.choice(self._taken)
            return self._rarely(0.2, lambda: data[:-1], lambda: data)
        return self.dice.randbytes(self.dice.choice(LENGTHS))

    def maybe_data(self) -> bytes | None:
        return self._rarely(0.04, lambda: None, self.data)

    def out(self) -> Out:
        pick = self.dice.random()
        if pick < 0.03:
            return Out(asked=False, capacity=None)
        if pick < 0.12:
            return Out(asked=True, capacity=None)
        return Out(asked=True, capacity=self.dice.choice([*LENGTHS, 8192, 8192, 8192, HUGE[-3]]))

    # Templates

    def template(self) -> list[Attribute]:
        sound = attributes(**self.dice.choice(_SOUND)) if self.dice.random() < 0.6 else []
        more = [self._attribute(1) for _ in range(self.dice.choice([0, 0, 1, 2, 3, 8]))]
        return sound + more

    def _attribute(self, depth: int) -> Attribute:
        kind = int(self.dice.choice(list(CKA)))
        if kind in TEMPLATE_ATTRIBUTES and depth < 3 and self.dice.random() < 0.8:
            inner = [self._attribute(depth + 1) for _ in range(self.dice.choice([0, 1, 3]))]
            return Attribute(kind, inner, 24 * len(inner))
        if self.dice.random() < 0.03:
            return Attribute(kind, None, self.dice.choice(HUGE))
        if kind in TEMPLATE_ATTRIBUTES:  # bytes that are no array of CK_ATTRIBUTE
            return Attribute(kind, bytes(25), 25)
        value = self._value(kind)
        return Attribute(kind, value, len(value))

    def _value(self, kind: int) -> bytes:
        if kind in _SLOW:
            return _WORD.pack(self.dice.choice(_SLOW[CKA(kind)]))
        match self.dice.randrange(8):
            case 0 | 1 | 2:
                return self.dice.choice([b"\0", b"\1"])
            case 3 | 4:
                return _WORD.pack(self.dice.choice([*MEANT, *EDGES, *_PARAMETER_SETS * 20]))
            case 5:
                return self.dice.choice(CURVES)
            case _:
                return self.data()

    def queries(self) -> list[Query]:
        return [self._query(1) for _ in range(self.dice.choice([0, 1, 2, 5]))]

    def _query(self, depth: int) -> Query:
        kind = int(self.dice.choice(list(CKA)))
        if kind in TEMPLATE_ATTRIBUTES and depth < 3 and self.dice.random() < 0.8:
            inner = [self._query(depth + 1) for _ in range(self.dice.choice([0, 1, 3]))]
            return Query(kind, 24 * len(inner), inner)
        return Query(kind, self.dice.choice([None, 0, 1, 8, 32, 4096, HUGE[0]]), None)

    # Mechanisms

    def mechanism(self, layouts: dict[tuple[int, int], Layout]) -> Mechanism | None:
        if self.dice.random() < 0.02:
            return None
        offered = self.offered.get(self._function.name) or _MECHANISMS
        kind = self._rarely(
            0.2, lambda: self.dice.choice(_MECHANISMS), lambda: self.dice.choice(offered)
        )
        own = [layout for (known, _), layout in layouts.items() if known == kind]
        if self.dice.random() < 0.05:
            return Mechanism(kind, Misfit(self.dice.choice([1, *HUGE])))
        if own and self.dice.random() < 0.9:
            return Mechanism(kind, self.parameter(self.dice.choice(own)))
        if own or self.dice.random() < 0.5:
            return Mechanism(kind, None)
        if self.dice.random() < 0.4:
            words = [
                self.dice.choice([self.number(), int(self.dice.choice(list(CKM)))]) for _ in "123"
            ]
            return Mechanism(kind, b"".join(map(_WORD.pack, words[: self.dice.choice([1, 3])])))
        return Mechanism(kind, self.dice.randbytes(self.dice.choice([1, 4, 8, 12, 16, 16, 24, 32])))

    def message(self) -> bytes | Parameter | Misfit | None:
        pick = self.dice.random()
        if pick < 0.05:
            return self.dice.choice([None, Misfit(5), Misfit(NULL), b"flat"])
        return self.parameter(self.dice.choice(list(MESSAGES.values())))

    def parameter(self, layout: Layout) -> Parameter:
        """Draw the fields of a layout, as decode gives them."""
        fields: list[Any] = []
        for member in layout.members:
            match member.kind:
                case "NUMBER":
                    fields.append(self._field_number())
                case "BYTE":
                    fields.append(self.dice.choice([0, 1, 1, 2, 255]))
                case "BITS" | "TAG" | "TAG_BITS":
                    size = self.dice.choice([0, 1, 4, 8, 12, 16, 16, 16])
                    data = self._rarely(0.05, lambda: None, lambda s=size: self.dice.randbytes(s))
                    stated = size if member.kind == "TAG" else 8 * size
                    fields += [data, self._rarely(0.1, self.number, lambda n=stated: n)]
                case "BYTES_8" | "POINTER_8":
                    fields.append(self.dice.randbytes(8))
                case "BYTES_16" | "TAG_16":
                    fields.append(self._rarely(0.05, lambda: None, lambda: self.dice.randbytes(16)))
                case "ITEMS":
                    fields.append(self._rarely(0.05, lambda: None, self._items))
                case "OAEP_POINTER":
                    oaep = LAYOUTS["OAEP"]
                    fields.append(self._rarely(0.1, lambda: None, lambda o=oaep: self.parameter(o)))
                case "SKIPPED":
                    pass
                case _:
                    fields.append(self._rarely(0.05, lambda: None, self.data))
        return Parameter(layout.name, tuple(fields))

    def _field_number(self) -> int:
        pick = self.dice.random()
        if pick < 0.35:
            return int(self.dice.choice(list(CKM)))
        return self.dice.choice([1, 2, 12, 16]) if pick < 0.7 else self.number()

    def _items(self) -> list[Attribute]:
        """Draw CK_PRF_DATA_PARAM: their types are small numbers, their values counters or bytes."""
        items = []
        for _ in range(self.dice.choice([0, 1, 2, 3])):
            value = self.dice.choice(
                [b"", bytes([1, 32]), bytes(16), bytes([0] * 8 + [32]), self.data()]
            )
            items.append(Attribute(self.dice.randrange(6), value, len(value)))
        return items

    def _rarely(self, chance: float, seldom: Callable[[], Any], mostly: Callable[[], Any]) -> Any:
        return seldom() if self.dice.random() < chance else mostly()
