"""Where the time of one C_Sign goes, from the program's call to its return."""

import os
import statistics
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tokens import PIN

from ukey_emulator import module_path
from ukey_emulator.cryptoki.face import Face
from ukey_emulator.cryptoki.wire import FUNCTIONS, Attribute, Mechanism, Out, decode, encode
from ukey_emulator.rack.keyring import Keyring
from ukey_emulator.rack.trace import Trace
from ukey_emulator.remote import RackProcess
from ukey_emulator.slots import Slots
from ukey_emulator.terms import CKA, CKM
from ukey_harness.cryptoki import arguments
from ukey_harness.cryptoki.module import USER, Module

P256 = bytes.fromhex("06082a8648ce3d030107")
MESSAGE = bytes(32)
CALLS = 2_000
BY_NAME = {function.name: function for function in FUNCTIONS.values()}


@dataclass(frozen=True)
class Share:
    """A part of a call's time, in microseconds."""

    what: str
    microseconds: float


@dataclass(frozen=True)
class Kind:
    """A kind of key to sign with."""

    title: str
    generate: CKM
    public: tuple[tuple[CKA, bytes], ...]
    sign: CKM


KINDS = (
    Kind("C_Sign, P-256", CKM.EC_KEY_PAIR_GEN, ((CKA.EC_PARAMS, P256),), CKM.ECDSA),
    Kind(
        "C_Sign, RSA-2048",
        CKM.RSA_PKCS_KEY_PAIR_GEN,
        ((CKA.MODULUS_BITS, (2048).to_bytes(8, "little")),),
        CKM.SHA256_RSA_PKCS,
    ),
)


def shares(rounds: int) -> Iterator[tuple[str, Iterator[Share]]]:
    """Give the parts of a signature's time for each kind of key."""
    for kind in KINDS:
        yield kind.title, _parts(kind, rounds)


def _parts(kind: Kind, rounds: int) -> Iterator[Share]:
    """Measure the whole through the module, and the parts one by one in this process."""
    whole = _through_the_module(kind, rounds)
    inside = _Inside(kind)
    signature = _median(inside.signature, rounds)
    face = _median(inside.sign, rounds, inside.begin)
    read = _median(inside.read, rounds)
    write = _median(inside.write, rounds)
    yield Share("the signature itself", signature)
    yield Share("the rack: session, operation, trace", face - signature)
    yield Share("the rack: reading the call and writing the answer", read + write)
    yield Share("the module, and the way there and back", whole - face - read - write)


def _median(act: Callable[[], object], rounds: int, before: Callable[[], object] = int) -> float:
    taken = []
    for _ in range(rounds):
        spent = 0.0
        for _ in range(CALLS):
            before()
            begun = time.perf_counter()
            act()
            spent += time.perf_counter() - begun
        taken.append(spent / CALLS * 1e6)
    return statistics.median(taken)


def _through_the_module(kind: Kind, rounds: int) -> float:
    with RackProcess.start() as rack, rack.remote() as remote:
        remote.new_key(label="one call", pin=PIN)
        os.environ["UKEY_HOME"] = str(rack.home)
        module = Module(module_path())
        module.initialize()
        session = module.open_session(module.slots()[0])
        module.login(session, USER, PIN)
        public, private = arguments.Template(dict(kind.public)), arguments.Template()
        handles = arguments.Cell(), arguments.Cell()
        generate, sign = arguments.Mechanism(kind.generate), arguments.Mechanism(kind.sign)
        module.must(
            "GenerateKeyPair",
            session,
            *generate.parts,
            *public.parts,
            *private.parts,
            *handles[0].parts,
            *handles[1].parts,
        )
        room = arguments.Room(512)
        data = module.ffi.new("CK_BYTE[]", MESSAGE)

        def begin() -> None:
            room.parts[1][0] = 512
            module.must("SignInit", session, *sign.parts, handles[1].value)

        def act() -> None:
            module.must("Sign", session, data, len(MESSAGE), *room.parts)

        try:
            return _median(act, rounds, begin)
        finally:
            module.finalize()


class _Inside:
    """The same call in this process, step by step."""

    def __init__(self, kind: Kind) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="ukey-bench-")
        slots = Slots()
        keyring = Keyring(Path(self._folder.name) / "keys", slots, lasting=False)
        keyring.new(name="one", label="one call")
        self._face = Face(slots, Trace().note)
        self._program = self._face.attach(bytes(16), 1, "bench")
        (self._session,) = self._call("C_OpenSession", 0, 6, True)
        self._call("C_Login", self._session, USER, PIN.encode())
        public = [Attribute(each, value, len(value)) for each, value in kind.public]
        pair = self._call(
            "C_GenerateKeyPair",
            self._session,
            Mechanism(kind.generate, None),
            public,
            [],
            True,
            True,
        )
        self._key, self._sign = pair[1], Mechanism(kind.sign, None)
        self._room = Out(asked=True, capacity=512)
        self.begin()
        (self._made,) = self.sign()
        self._frame = struct.pack("<3Q", self._session, len(MESSAGE), 512) + MESSAGE
        obj = self._program.object(self._program.session(self._session), self._key)
        self._begin_signature = self._program.session(self._session).chip.mechanism(kind.sign).sign
        self._material = obj.material

    def _call(self, name: str, *words: object) -> tuple[object, ...]:
        code, results = self._face.call(self._program, name, words)
        if code:
            raise SystemExit(f"bench: {name} gave {code:#x}")
        return results

    def begin(self) -> None:
        """Begin a signature."""
        self._call("C_SignInit", self._session, self._sign, self._key)

    def sign(self) -> tuple[object, ...]:
        """Sign, all that the rack does between reading and writing frames."""
        return self._call("C_Sign", self._session, MESSAGE, self._room)

    def signature(self) -> None:
        """Sign, the cryptography alone."""
        signer = self._begin_signature(self._material, None)
        signer.update(MESSAGE)
        signer.finish()

    def read(self) -> None:
        """Read a call."""
        decode(BY_NAME["C_Sign"], self._frame)

    def write(self) -> None:
        """Write an answer."""
        encode(BY_NAME["C_Sign"], 0, (self._made,))
