"""Fuzzes the face with a real key behind it: calls made by dice, judged by what must always hold.

    fuzz_face.py SECONDS [SEED]    runs one seed after the other until the time is over

A call ends in a return value of the standard and in results that fit what was asked. Whatever else
comes out of the face would be CKR_GENERAL_ERROR to the program and a traceback in the rack's log.
"""

import itertools
import json
import re
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

from program import P256, PIN, SO_PIN, Program, attributes
from wild_calls import ANSWERED, WildCalls
from wire_client import request

from ukey_emulator.cryptoki.face import Face
from ukey_emulator.cryptoki.wire import (
    FUNCTIONS,
    Function,
    Mechanism,
    Query,
    decode,
    encode,
)
from ukey_emulator.rack.keyring import Keyring
from ukey_emulator.rack.trace import Trace
from ukey_emulator.slots import Slots
from ukey_emulator.terms import CKF, CKK, CKM, CKO, CKR, CKU

CALLS = 1500
SECONDS = 10.0
"""No call takes longer, however it is made: the dice ask for nothing that is dear by itself."""

_NAMES = {function.name: function for function in FUNCTIONS.values()}
_ENDLESS = _NAMES["C_WaitForSlotEvent"]
_SYMMETRIC = {CKK.AES: 16, CKK.GENERIC_SECRET: 32, CKK.DES3: 24, CKK.CHACHA20: 32, CKK.HKDF: 32}
_NEW_OBJECTS = {"object", "copy", "key", "public_key", "private_key"}
_ODD = b"\1" * 8 + b"\2" * 8 + b"\4" * 16  # the parity that DES asks for
_PAIRS = {
    CKM.EC_KEY_PAIR_GEN: {"EC_PARAMS": P256},
    CKM.EC_EDWARDS_KEY_PAIR_GEN: {"EC_PARAMS": bytes.fromhex("06032b6570")},
    CKM.EC_MONTGOMERY_KEY_PAIR_GEN: {"EC_PARAMS": bytes.fromhex("06032b656e")},
    CKM.RSA_PKCS_KEY_PAIR_GEN: {"MODULUS_BITS": 2048},
    CKM.ML_DSA_KEY_PAIR_GEN: {"PARAMETER_SET": 1},
    CKM.ML_KEM_KEY_PAIR_GEN: {"PARAMETER_SET": 1},
}
_USES = (
    *("ENCRYPT", "DECRYPT", "SIGN", "VERIFY", "WRAP", "UNWRAP", "DERIVE"),
    *("SIGN_RECOVER", "VERIFY_RECOVER", "ENCAPSULATE", "DECAPSULATE"),
)
_PUBLIC = {"ENCRYPT", "VERIFY", "VERIFY_RECOVER", "WRAP", "ENCAPSULATE"}
_DERIVING = {CKM.EC_KEY_PAIR_GEN, CKM.EC_MONTGOMERY_KEY_PAIR_GEN}


class Finding(AssertionError):  # noqa: N818 - it is what a fuzzer looks for
    """A call that broke a rule; the message says which call, of which seed."""


class World:
    """A fresh key with a pair or a secret of each kind, and a program that is logged in to it."""

    def __init__(self, folder: Path, seed: int) -> None:
        slots = Slots()
        self.keyring = Keyring(folder, slots, lasting=False)
        self.keyring.new(name="key", label="wild", tries=255)
        self.trace = Trace()
        self.program = Program(Face(slots, self.trace.note))
        self.calls = WildCalls(seed)
        self.codes: Counter[tuple[str, CKR]] = Counter()
        self._slots = slots
        self.begin()

    def begin(self) -> None:
        """Open sessions, log in and make the keys, as often as the calls have ended all that."""
        program, calls = self.program, self.calls
        program.face.call(program.application, "C_CloseAllSessions", (0,))
        for _ in range(2):
            if program.rv("C_InitToken", 0, SO_PIN, b"wild".ljust(32)) == CKR.OK:
                break
        administrator = program.open(user=CKU.SO)
        program.C_InitPIN(administrator, PIN)
        program.C_Logout(administrator)
        program.C_CloseSession(administrator)
        session = program.open(user=CKU.USER)
        sessions = [session, program.open(), program.open(writable=False)]
        calls.begin(sessions, self._objects(session))
        self._sort()

    def _objects(self, session: int) -> list[int]:
        program, made = self.program, []
        for kind, size in _SYMMETRIC.items():
            template = attributes(
                CLASS=int(CKO.SECRET_KEY),
                KEY_TYPE=int(kind),
                VALUE=_ODD[:size],
                SENSITIVE=False,
                EXTRACTABLE=True,
                **self._allowed(kind),
            )
            made.append(program.C_CreateObject(session, template, True))
        for mechanism, public in _PAIRS.items():
            uses = _pair_uses(mechanism)
            pair = program.C_GenerateKeyPair(
                session,
                Mechanism(mechanism, None),
                attributes(**public, **{use: True for use in uses if use in _PUBLIC}),
                attributes(
                    EXTRACTABLE=True,
                    SENSITIVE=False,
                    **{use: True for use in uses if use not in _PUBLIC},
                ),
                True,
                True,
            )
            made += pair
        data = attributes(CLASS=int(CKO.DATA), VALUE=b"data", TOKEN=True)
        made.append(program.C_CreateObject(session, data, True))
        return [int(handle) for handle in made]

    @staticmethod
    def _allowed(kind: CKK) -> dict[str, bool]:
        uses = ["SIGN", "VERIFY", "DERIVE"]
        if kind not in {CKK.GENERIC_SECRET, CKK.HKDF}:
            uses += ["ENCRYPT", "DECRYPT"]
        if kind in {CKK.AES, CKK.DES3}:
            uses += ["WRAP", "UNWRAP"]
        return dict.fromkeys(uses, True)

    def _sort(self) -> None:
        """Tell the dice which keys go with which mechanism."""
        application, chip = self.program.application, self._slots.get(0).chip
        session = application.session(self.calls.sessions[0])
        kinds = {
            handle: application.object(session, handle).key_type for handle in self.calls.objects
        }
        for mechanism in chip.mechanisms():
            self.calls.suiting[int(mechanism.kind)] = [
                handle for handle, kind in kinds.items() if kind in mechanism.key_types
            ]
        for function in ANSWERED:
            flag = CKF.__members__.get(_flag_of(function))
            self.calls.offered[function.name] = [
                int(m.kind) for m in chip.mechanisms() if flag is not None and m.flags & flag
            ]

    def step(self) -> None:
        """Make one call; Finding if it breaks a rule."""
        function, arguments = self.calls.call()
        if function is _ENDLESS:
            arguments = (int(CKF.DONT_BLOCK), *arguments[1:])
        if function.name in {"C_SetPIN", "C_InitPIN"}:  # the PINs stay known
            arguments = (arguments[0], *[PIN] * (len(arguments) - 1))
        told = f"{function.name}{arguments!r}"
        sent = decode(function, request(function, arguments))
        begun = time.monotonic()
        try:
            code, results = self.program.face.call(self.program.application, function.name, sent)
            encode(function, code, results)
            named = CKR(code)
        except Exception as fault:
            raise Finding(f"{told} ended in {fault!r}") from fault
        if time.monotonic() - begun > SECONDS:
            raise Finding(f"{told} took {time.monotonic() - begun:.0f} s")
        if named in {CKR.GENERAL_ERROR, CKR.DEVICE_ERROR}:
            raise Finding(f"{told} gave {named!r}")
        misfit = _misfit(function, sent, results)
        if misfit:
            raise Finding(f"{told} gave {misfit}")
        self.codes[function.name, named] += 1
        if named is CKR.OK:
            self.calls.succeeded(function, arguments)
            self._learn(function, results)
        elif named is not CKR.BUFFER_TOO_SMALL:
            self.calls.failed()

    def _learn(self, function: Function, results: tuple[Any, ...]) -> None:
        for argument, result in zip(function.outputs, results, strict=bool(results)):
            if argument.kind == "DATA_OUT" and isinstance(result, bytes) and result:
                self.calls.take(result)
            elif result is None:
                continue  # only the length of another output was asked for
            elif argument.name == "session":
                self.calls.sessions.append(result)
            elif argument.name in _NEW_OBJECTS:
                self.calls.objects.append(result)
        del self.calls.objects[:-60]
        del self.calls.sessions[:-12]

    def lives(self) -> bool:
        """Tell whether the program has a session left."""
        application = self.program.application
        return any(handle in application._sessions for handle in self.calls.sessions)

    def end(self) -> None:
        """Read the trace and pull the key out, whatever the calls were."""
        json.dumps(self.trace.since(0))
        self.program.application.end()
        self.keyring.close()


def _flag_of(function: Function) -> str:
    """Give the name of the flag that a mechanism has for a function, of C_SignInit SIGN."""
    name = function.name.removeprefix("C_").removesuffix("Init").removesuffix("Authenticated")
    words = re.findall("[A-Z][a-z]+", name)
    return "_".join(words).upper().removesuffix("_KEY").removesuffix("_SIGNATURE")


def _pair_uses(mechanism: CKM) -> list[str]:
    match mechanism:
        case CKM.EC_KEY_PAIR_GEN:
            return ["SIGN", "VERIFY", "DERIVE"]
        case CKM.EC_MONTGOMERY_KEY_PAIR_GEN:
            return ["DERIVE"]
        case CKM.ML_KEM_KEY_PAIR_GEN:
            return ["ENCAPSULATE", "DECAPSULATE"]
        case CKM.RSA_PKCS_KEY_PAIR_GEN:
            return [use for use in _USES if use not in {"DERIVE", "ENCAPSULATE", "DECAPSULATE"}]
        case _:
            return ["SIGN", "VERIFY"]


def _misfit(function: Function, asked: tuple[Any, ...], results: tuple[Any, ...]) -> str | None:
    """Say which result would be a broken frame to the module (PROTOCOL.md)."""
    given = dict(zip(function.outputs, results, strict=bool(results)))
    for argument, wanted in zip(function.arguments, asked, strict=True):
        result = given.get(argument)
        if result is not None and not _fits(argument.kind, wanted, result):
            return f"{result!r} for {wanted!r}"
    return None


def _fits(kind: str, wanted: Any, result: Any) -> bool:
    if kind in {"DATA_OUT", "LIST_OUT", "FOUND_OUT"}:
        if isinstance(result, int):
            return bool(wanted.asked) and kind != "FOUND_OUT"
        return wanted.capacity is not None and len(result) <= wanted.capacity
    if kind == "FILL":
        return wanted is not None and len(result) <= wanted
    if kind == "QUERY":
        return wanted is not None and _answers_fit(wanted, result)
    if kind in {"WRAP_MECHANISM", "SEAL_MECHANISM", "SEAL_PARAMETER"}:
        return True  # how much there is room for, layout.c alone can tell
    return wanted is True


def _answers_fit(queries: list[Query], answers: list[tuple[Any, ...]]) -> bool:
    if len(queries) != len(answers):
        return False
    for query, (*_, length, value) in zip(queries, answers, strict=True):
        if value is None:
            continue
        if isinstance(value, list):
            if query.nested is None or not _answers_fit(query.nested[: len(value)], value):
                return False
        elif query.capacity is None or length > query.capacity:
            return False
    return True


def run(folder: Path, seed: int, calls: int = CALLS) -> tuple[Counter[tuple[str, CKR]], list[str]]:
    """Make so many calls with a fresh key in a folder; give what they gave, and the findings."""
    world = World(folder, seed)
    findings = []
    for number in range(calls):
        if number % 300 == 299 or not world.lives():
            world.begin()
        try:
            world.step()
        except Finding as finding:
            trace = "".join(traceback.format_exception(finding.__cause__ or finding))
            findings.append(f"seed {seed}, call {number}: {finding}\n{trace}")
    world.end()
    return world.codes, findings


def main() -> int:
    end = time.monotonic() + float(sys.argv[1])
    first = int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns() % 10**9
    codes: Counter[tuple[str, CKR]] = Counter()
    found: set[str] = set()
    for seed in itertools.count(first):
        if time.monotonic() > end:
            break
        with tempfile.TemporaryDirectory() as folder:
            more, findings = run(Path(folder) / "keys", seed)
        codes += more
        for finding in findings:
            place = finding.splitlines()[-3:]
            if str(place) not in found:
                sys.stdout.write(finding)
            found.add(str(place))
    done = {name for name, code in codes if code is CKR.OK}
    never = sorted({function.name for function in ANSWERED} - done)
    sys.stdout.write(
        f"{codes.total()} calls, seeds {first} to {seed - 1}, findings: {len(found)}\n"
        f"never CKR_OK: {' '.join(never)}\n"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
