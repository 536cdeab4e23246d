"""Keys that are pulled out and plugged in at random while programs work, through the C module.

Which work is done and when the key goes is drawn from a seed. `UKEY_PULLS` says how many calls each
thread makes: `UKEY_PULLS=1000000 pytest` goes on for an hour.
"""

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from ctypes import byref, c_ulong, create_string_buffer
from hashlib import sha256
from pathlib import Path

import module_host as host
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from module_host import OK, attributes, mechanism

from ukey_emulator.rack.rack import Rack
from ukey_emulator.terms import CKA, CKF, CKM, CKO, CKR, CKU

CALLS = int(os.environ.get("UKEY_PULLS", "400"))
THREADS = 3
RW = CKF.SERIAL_SESSION | CKF.RW_SESSION
PIN = b"123456"
P256 = bytes.fromhex("06082a8648ce3d030107")
CURVE = attributes((int(CKA.EC_PARAMS), P256), (int(CKA.TOKEN), b"\1"), (int(CKA.ID), b"kept"))
PRIVATE = attributes((int(CKA.TOKEN), b"\1"), (int(CKA.ID), b"kept"), (int(CKA.SIGN), b"\1"))
DIGEST = sha256(b"what is signed").digest()
GONE = {CKR.DEVICE_REMOVED, CKR.SESSION_HANDLE_INVALID, CKR.TOKEN_NOT_PRESENT}
FILLED = b"\xa5"


class Pulled(Exception):  # noqa: N818 - what has happened to the key
    """A call has said that the key is gone."""


class Program:
    """A thread's work; what is no answer of a key that goes is an AssertionError."""

    def __init__(self, module: host.Module, seed: int, public: ec.EllipticCurvePublicKey) -> None:
        self.module = module
        self.random = random.Random(seed)  # noqa: S311 - drawn again by the same seed
        self.public = public
        self.pulled = self.done = 0
        self.session = 0
        self.works: list[Callable[[], None]] = [
            self.sign,
            self.sign_parts,
            self.digest_parts,
            self.generate,
            self.pair,
            self.search,
            self.read,
            self.randoms,
            self.begin_anew,
        ]

    def run(self) -> None:
        for _ in range(CALLS):
            try:
                if not self.session:
                    self.begin()
                self.random.choice(self.works)()
                self.done += 1
            except Pulled:
                self.pulled += 1
                self.session = 0
                time.sleep(0.0005)

    def call(self, name: str, *arguments: object, allowed: tuple[int, ...] = ()) -> int:
        code = int(getattr(self.module, name)(*arguments))
        if code in GONE:
            raise Pulled
        assert code in {OK, *allowed}, f"{name} gave {code:#x}"
        return code

    def output(self, name: str, *arguments: object, room: int = 256) -> bytes:
        """Make a call that gives data; one that fails writes none."""
        buffer, size = create_string_buffer(FILLED * room, room), c_ulong(room)
        try:
            self.call(name, *arguments, buffer, byref(size))
        except Pulled:
            assert buffer.raw == FILLED * room, f"{name} failed and gave something"
            raise
        return buffer.raw[: size.value]

    def begin(self) -> None:
        session = c_ulong()
        self.call("C_OpenSession", 0, int(RW), None, None, byref(session))
        self.session = session.value
        again = (int(CKR.USER_ALREADY_LOGGED_IN),)
        self.call("C_Login", self.session, int(CKU.USER), PIN, len(PIN), allowed=again)

    def begin_anew(self) -> None:
        self.call("C_CloseSession", self.session)
        self.session = 0

    def found(self, *wanted: tuple[int, bytes]) -> list[int]:
        self.call("C_FindObjectsInit", self.session, attributes(*wanted), len(wanted))
        found, every = c_ulong(), []
        while True:
            count = c_ulong(99)
            self.call("C_FindObjects", self.session, byref(found), 1, byref(count))
            assert count.value in {0, 1}
            if not count.value:
                break
            every.append(found.value)
        self.call("C_FindObjectsFinal", self.session)
        return every

    def key(self) -> int:
        kind = int(CKO.PRIVATE_KEY).to_bytes(8, "little")
        (found,) = self.found((int(CKA.CLASS), kind), (int(CKA.ID), b"kept"))
        return found

    def verify(self, signature: bytes) -> None:
        half = len(signature) // 2
        numbers = (int.from_bytes(part) for part in (signature[:half], signature[half:]))
        try:
            self.public.verify(
                encode_dss_signature(*numbers), DIGEST, ec.ECDSA(Prehashed(hashes.SHA256()))
            )
        except InvalidSignature:
            raise AssertionError("half a signature") from None

    def sign(self) -> None:
        key = self.key()
        for _ in range(4):  # the later ones are begun by a promise
            self.call("C_SignInit", self.session, mechanism(int(CKM.ECDSA)), key)
            self.verify(self.output("C_Sign", self.session, DIGEST, len(DIGEST)))

    def sign_parts(self) -> None:
        self.call("C_SignInit", self.session, mechanism(int(CKM.ECDSA_SHA256)), self.key())
        for part in (b"what is", b" signed"):
            self.call("C_SignUpdate", self.session, part, len(part))
        self.verify(self.output("C_SignFinal", self.session))

    def digest_parts(self) -> None:
        self.call("C_DigestInit", self.session, mechanism(int(CKM.SHA256)))
        for part in (b"what is", b" signed"):
            self.call("C_DigestUpdate", self.session, part, len(part))
        assert self.output("C_DigestFinal", self.session) == DIGEST

    def generate(self) -> None:
        """Make a key on the token, and take it away."""
        name = self.random.randbytes(8)
        template = attributes(
            (int(CKA.TOKEN), b"\1"),
            (int(CKA.VALUE_LEN), (32).to_bytes(8, "little")),
            (int(CKA.LABEL), name),
        )
        made = c_ulong(0)
        kind = mechanism(int(CKM.AES_KEY_GEN))
        self.call("C_GenerateKey", self.session, kind, template, 3, byref(made))
        assert self.found((int(CKA.LABEL), name)) == [made.value]
        self.call("C_DestroyObject", self.session, made.value)
        assert self.found((int(CKA.LABEL), name)) == []

    def pair(self) -> None:
        public, private = c_ulong(0), c_ulong(0)
        curve = attributes((int(CKA.EC_PARAMS), P256))
        kind = mechanism(int(CKM.EC_KEY_PAIR_GEN))
        try:
            self.call(
                "C_GenerateKeyPair",
                self.session, kind, curve, 1, None, 0, byref(public), byref(private),
            )  # fmt: skip
        except Pulled:
            assert (public.value, private.value) == (0, 0)
            raise

    def search(self) -> None:
        assert len(self.found((int(CKA.ID), b"kept"))) == 2

    def read(self) -> None:
        key = self.key()
        for _ in range(3):  # the later ones may be answered in the module
            room = create_string_buffer(FILLED * 16, 16)
            template = attributes((int(CKA.ID), (room, 16)))
            try:
                self.call("C_GetAttributeValue", self.session, key, template, 1)
            except Pulled:
                assert room.raw == FILLED * 16
                raise
            assert room.raw[:4] == b"kept"

    def randoms(self) -> None:
        room = create_string_buffer(FILLED * 32, 32)
        try:
            self.call("C_GenerateRandom", self.session, room, 32)
        except Pulled:
            assert room.raw == FILLED * 32
            raise
        assert room.raw != FILLED * 32


@pytest.fixture
def rack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rack]:
    monkeypatch.setenv("UKEY_HOME", str(tmp_path / "home"))
    with Rack(tmp_path / "home", lasting=False) as made:
        made.keys.new(name="key")
        yield made


@pytest.fixture
def module(rack: Rack, tmp_path: Path) -> Iterator[host.Module]:
    del rack
    loaded = host.Module(tmp_path)
    assert loaded.C_Initialize(None) == OK
    count = c_ulong()
    assert loaded.C_GetSlotList(0, None, byref(count)) == OK
    yield loaded
    loaded.C_Finalize(None)


def made_pair(module: host.Module) -> ec.EllipticCurvePublicKey:
    """Put the pair on the token that everybody signs with."""
    session, public, private = c_ulong(), c_ulong(), c_ulong()
    assert module.C_OpenSession(0, int(RW), None, None, byref(session)) == OK
    assert module.C_Login(session.value, int(CKU.USER), PIN, len(PIN)) == OK
    kind = mechanism(int(CKM.EC_KEY_PAIR_GEN))
    made = module.C_GenerateKeyPair(
        session.value, kind, CURVE, 3, PRIVATE, 3, byref(public), byref(private)
    )
    assert made == OK
    room = create_string_buffer(200)
    template = attributes((int(CKA.PUBLIC_KEY_INFO), (room, 200)))
    assert module.C_GetAttributeValue(session.value, public.value, template, 1) == OK
    assert module.C_CloseSession(session.value) == OK
    found = serialization.load_der_public_key(room.raw[: template[0].length])
    assert isinstance(found, ec.EllipticCurvePublicKey)
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_no_half_outputs_and_no_strange_answers(rack: Rack, module: host.Module, seed: int) -> None:
    public = made_pair(module)
    drawn = random.Random(seed)  # noqa: S311 - drawn again by the same seed
    programs = [Program(module, drawn.getrandbits(32), public) for _ in range(THREADS)]
    failed: list[BaseException] = []

    def work(program: Program) -> None:
        try:
            program.run()
        except BaseException as error:  # noqa: BLE001 - told below, in the test's own thread
            failed.append(error)

    threads = [threading.Thread(target=work, args=(each,), daemon=True) for each in programs]
    for thread in threads:
        thread.start()
    pulls = 0
    while any(thread.is_alive() for thread in threads) and not failed:
        time.sleep(drawn.uniform(0, 0.02))
        rack.keys.unplug("key")
        time.sleep(drawn.choice([0, 0, 0.001]))
        rack.keys.plug("key")
        pulls += 1
    for thread in threads:
        thread.join(60)
    assert not failed, f"seed {seed}: {failed[0]!r}"
    assert not any(thread.is_alive() for thread in threads)
    assert pulls
    assert sum(each.done for each in programs)
    assert sum(each.pulled for each in programs)
    last = Program(module, 0, public)
    last.begin()  # the key is whole: everything works, and nothing is left over
    for each in last.works[:-1]:
        each()
    secrets = last.found((int(CKA.CLASS), int(CKO.SECRET_KEY).to_bytes(8, "little")))
    assert len(secrets) <= sum(each.pulled for each in programs)
