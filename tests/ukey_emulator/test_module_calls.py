"""Arguments and results through the C module: from the program's memory to the face and back."""

import ctypes
import struct
from collections.abc import Iterator
from ctypes import byref, c_ubyte, c_ulong
from pathlib import Path
from typing import Any

import module_host as host
import pytest
from module_host import Module, ScriptedFace, attributes, mechanism, structure
from recorded_module import RecordedModule

from ukey_emulator.cryptoki.wire import (
    Attribute,
    Mechanism,
    Misfit,
    Out,
    Parameter,
    Query,
)

S = 7  # a session
FILLED = 0xEE


@pytest.fixture(scope="module", params=["itself", "recorded"])
def loaded(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Module:
    folder = tmp_path_factory.mktemp("module")
    if request.param == "recorded":
        return RecordedModule(folder, "traffic")
    return Module(folder)


@pytest.fixture
def face(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedFace]:
    monkeypatch.setenv("UKEY_HOME", str(tmp_path / "home"))
    face = ScriptedFace()
    with host.running(tmp_path / "home", face):
        yield face


@pytest.fixture
def module(loaded: Module, face: ScriptedFace) -> Iterator[Module]:
    assert face is not None
    before = len(loaded.recording()) if isinstance(loaded, RecordedModule) else 0
    assert loaded.C_Initialize(None) == host.OK
    yield loaded
    assert loaded.C_Finalize(None) == host.OK
    if isinstance(loaded, RecordedModule):
        recording = [call for call in loaded.recording()[before:] if call.request is not None]
        assert [(call.function.name, call.arguments) for call in recording] == face.calls
        for call, (rv, results) in zip(recording, face.given, strict=True):
            assert call.rv in {rv, host.DEVICE_ERROR}  # where an answer breaks the rules
            assert call.results == results or call.rv != rv or not results


def room(size: int) -> Any:
    return (c_ubyte * size)(*([FILLED] * size))


def test_bytes_in_and_out(module: Module, face: ScriptedFace) -> None:
    face.answers["C_Sign"] = (host.OK, (b"signature",))
    signature, length = room(16), c_ulong(16)
    assert module.C_Sign(S, b"data", 4, signature, byref(length)) == host.OK
    assert face.args == (S, b"data", Out(asked=True, capacity=16))
    assert length.value == 9
    assert bytes(signature) == b"signature" + bytes([FILLED] * 7)


def test_a_size_query_and_a_short_buffer(module: Module, face: ScriptedFace) -> None:
    face.answers["C_Sign"] = (host.OK, (256,))
    length = c_ulong(3)
    assert module.C_Sign(S, b"data", 4, None, byref(length)) == host.OK
    assert (face.args[2], length.value) == (Out(asked=True, capacity=None), 256)
    face.answers["C_Sign"] = (host.BUFFER_TOO_SMALL, (256,))
    short, length = room(8), c_ulong(8)
    assert module.C_Sign(S, b"data", 4, short, byref(length)) == host.BUFFER_TOO_SMALL
    assert (length.value, set(short)) == (256, {FILLED})


def test_null_pointers(module: Module, face: ScriptedFace) -> None:
    face.answers["C_Sign"] = (host.ARGUMENTS_BAD, ())
    assert module.C_Sign(S, None, 4, None, None) == host.ARGUMENTS_BAD
    assert face.args == (S, None, Out(asked=False, capacity=None))
    assert module.C_Sign(S, None, 0, None, None) == host.ARGUMENTS_BAD
    assert face.args == (S, b"", Out(asked=False, capacity=None))


def test_an_output_that_was_not_asked_for_breaks_nothing(
    module: Module, face: ScriptedFace
) -> None:
    face.answers["C_Sign"] = (host.OK, (b"signature",))
    assert module.C_Sign(S, b"", 0, None, None) == host.DEVICE_ERROR
    face.answers["C_Sign"] = (host.OK, ())
    assert module.C_Sign(S, b"", 0, None, None) == host.OK  # over a new connection


def test_a_null_pin_is_another_thing_than_an_empty_one(module: Module, face: ScriptedFace) -> None:
    module.C_Login(S, 1, b"1234", 4)
    assert face.args == (S, 1, b"1234")
    module.C_Login(S, 1, b"", 0)
    assert face.args == (S, 1, b"")
    module.C_Login(S, 1, None, 0)
    assert face.args == (S, 1, None)
    module.C_SetPIN(S, b"old", 3, None, 5)
    assert face.args == (S, b"old", None)
    module.C_LoginUser(S, 1, b"pin", 3, b"name", 4)
    assert face.args == (S, 1, b"pin", b"name")


def test_a_label_is_32_bytes(module: Module, face: ScriptedFace) -> None:
    label = b"ukey".ljust(32)
    module.C_InitToken(2, b"so", 2, label)
    assert face.args == (2, b"so", label)
    module.C_InitToken(2, b"so", 2, None)
    assert face.args == (2, b"so", None)


def test_numbers_out(module: Module, face: ScriptedFace) -> None:
    face.answers["C_OpenSession"] = (host.OK, (2**63 + 5,))
    session = c_ulong(1)
    assert module.C_OpenSession(2, 6, None, None, byref(session)) == host.OK
    assert (face.args, session.value) == ((2, 6, True), 2**63 + 5)
    module.C_OpenSession(2, 6, b"application", None, None)
    assert face.args == (2, 6, False)
    face.answers["C_GetObjectSize"] = (host.OK, (host.UNAVAILABLE,))
    size = c_ulong(1)
    assert module.C_GetObjectSize(S, 9, byref(size)) == host.OK
    assert size.value == host.UNAVAILABLE


def test_two_numbers_out(module: Module, face: ScriptedFace) -> None:
    face.answers["C_GenerateKeyPair"] = (host.OK, (11, 12))
    public, private = c_ulong(), c_ulong()
    template = attributes((1, b"\1"))
    rv = module.C_GenerateKeyPair(
        S, mechanism(0), template, 1, None, 0, byref(public), byref(private)
    )
    assert (rv, public.value, private.value) == (host.OK, 11, 12)
    assert face.args == (S, Mechanism(0, None), [Attribute(1, b"\1", 1)], [], True, True)


def test_lists(module: Module, face: ScriptedFace) -> None:
    face.answers["C_GetSlotList"] = lambda _present, out: (
        (host.OK, ([4, 5],)) if out.capacity == 2 else (host.BUFFER_TOO_SMALL, (2,))
    )
    slots, count = (c_ulong * 2)(9, 9), c_ulong(2)
    assert module.C_GetSlotList(1, slots, byref(count)) == host.OK
    assert (list(slots), count.value, face.args[0]) == ([4, 5], 2, True)
    slots, count = (c_ulong * 2)(9, 9), c_ulong(1)
    assert module.C_GetSlotList(0, slots, byref(count)) == host.BUFFER_TOO_SMALL
    assert (list(slots), count.value, face.args[0]) == ([9, 9], 2, False)
    face.answers["C_GetSlotList"] = (host.ARGUMENTS_BAD, ())
    assert module.C_GetSlotList(0, slots, None) == host.ARGUMENTS_BAD
    assert face.args[1] == Out(asked=False, capacity=None)


def test_found_objects(module: Module, face: ScriptedFace) -> None:
    face.answers["C_FindObjects"] = (host.OK, ([21, 22],))
    objects, count = (c_ulong * 3)(9, 9, 9), c_ulong()
    assert module.C_FindObjects(S, objects, 3, byref(count)) == host.OK
    assert (list(objects), count.value) == ([21, 22, 9], 2)
    assert face.args == (S, Out(asked=True, capacity=3))
    face.answers["C_FindObjects"] = (host.ARGUMENTS_BAD, ())
    module.C_FindObjects(S, None, 3, byref(count))
    assert face.args == (S, Out(asked=True, capacity=None))
    module.C_FindObjects(S, objects, 3, None)
    assert face.args == (S, Out(asked=False, capacity=None))


def test_random_bytes(module: Module, face: ScriptedFace) -> None:
    face.answers["C_GenerateRandom"] = (host.OK, (b"random!!",))
    buffer = room(10)
    assert module.C_GenerateRandom(S, buffer, 8) == host.OK
    assert bytes(buffer) == b"random!!" + bytes([FILLED] * 2)
    assert face.args == (S, 8)
    module.C_GenerateRandom(S, None, 8)
    assert face.args == (S, None)


@pytest.mark.parametrize(
    ("function", "size"),
    [
        ("C_GetSlotInfo", 112),
        ("C_GetTokenInfo", 208),
        ("C_GetSessionInfo", 32),
        ("C_GetMechanismInfo", 24),
    ],
)
def test_structs_out(module: Module, face: ScriptedFace, function: str, size: int) -> None:
    arguments = (1, 2) if function == "C_GetMechanismInfo" else (1,)
    face.answers[function] = (host.OK, (bytes(range(size)),))
    info = room(size + 8)
    assert getattr(module, function)(*arguments, info) == host.OK
    assert bytes(info) == bytes(range(size)) + bytes([FILLED] * 8)
    face.answers[function] = (host.DEVICE_ERROR, ())
    info = room(size)
    assert getattr(module, function)(*arguments, info) == host.DEVICE_ERROR
    assert set(info) == {FILLED}
    getattr(module, function)(*arguments, None)
    assert face.args == (*arguments, False)


def test_templates(module: Module, face: ScriptedFace) -> None:
    inner = attributes((0x103, b"\1"), (0x162, b"\0"))
    outer = attributes(
        (0x0, struct.pack("<Q", 4)),
        (0x40000211, (inner, ctypes.sizeof(inner))),
        (0x40000600, struct.pack("<3Q", 1, 2, 3)),
        (0x3, None),
        (0x11, (None, 5)),
        (0x102, (ctypes.create_string_buffer(4), 2**64 - 1)),
        (0x40000212, (inner, 23)),
    )
    face.answers["C_CreateObject"] = (host.OK, (5,))
    handle = c_ulong()
    assert module.C_CreateObject(S, outer, 7, byref(handle)) == host.OK
    nested = [Attribute(0x103, b"\1", 1), Attribute(0x162, b"\0", 1)]
    assert face.args[1] == [
        Attribute(0x0, struct.pack("<Q", 4), 8),
        Attribute(0x40000211, nested, 48),
        Attribute(0x40000600, struct.pack("<3Q", 1, 2, 3), 24),
        Attribute(0x3, b"", 0),
        Attribute(0x11, None, 5),
        Attribute(0x102, None, 2**64 - 1),
        Attribute(0x40000212, bytes(inner)[:23], 23),
    ]
    module.C_CreateObject(S, None, 2, byref(handle))
    assert face.args[1] is None
    module.C_CreateObject(S, None, 0, byref(handle))
    assert face.args[1] == []


def test_templates_that_hold_themselves_are_cut(module: Module, face: ScriptedFace) -> None:
    endless = (host.Attribute * 1)()
    endless[0].type = 0x40000211
    endless[0].value, endless[0].length = ctypes.addressof(endless), 24
    assert module.C_FindObjectsInit(S, endless, 1) == host.OK
    template, deep = face.args[1], 0
    while isinstance(template, list):
        template, deep = template[0].value, deep + 1
    assert (deep, template) == (4, bytes(endless))


def test_attribute_values(module: Module, face: ScriptedFace) -> None:
    label, short, inner_value = room(8), room(2), room(4)
    inner = attributes((0, (inner_value, 4)), (0x102, (None, 0)))
    query = attributes(
        (0x3, (label, 8)),
        (0x11, (None, 77)),
        (0x102, (short, 2)),
        (0x40000211, (inner, ctypes.sizeof(inner))),
    )
    face.answers["C_GetAttributeValue"] = (
        host.BUFFER_TOO_SMALL,
        (
            [
                (5, b"label"),
                (20, None),
                (host.UNAVAILABLE, None),
                (48, [(0x3, 2, b"in"), (0x11, 9, None)]),
            ],
        ),
    )
    assert module.C_GetAttributeValue(S, 3, query, 4) == host.BUFFER_TOO_SMALL
    assert face.args[2] == [
        Query(0x3, 8, None),
        Query(0x11, None, None),
        Query(0x102, 2, None),
        Query(0x40000211, 48, [Query(0, 4, None), Query(0x102, None, None)]),
    ]
    assert [attribute.length for attribute in query] == [5, 20, host.UNAVAILABLE, 48]
    assert [(attribute.type, attribute.length) for attribute in inner] == [(0x3, 2), (0x11, 9)]
    assert bytes(label) == b"label" + bytes([FILLED] * 3)
    assert bytes(inner_value) == b"in" + bytes([FILLED] * 2)
    assert set(short) == {FILLED}


PBKD2 = {
    "source": 1,
    "salt": b"salt",
    "n": 4,
    "rounds": 1000,
    "prf": 4,
    "data": None,
    "m": 0,
    "password": b"secret",
}
PBKD2_READ = Parameter("PBKD2", (1, b"salt", 1000, 4, b"", b"secret"))


@pytest.mark.parametrize(
    ("kind", "parameter", "expected"),
    [
        (0x250, None, None),
        (0xD, struct.pack("<3Q", 0x250, 2, 32), struct.pack("<3Q", 0x250, 2, 32)),
        (
            0x1087,
            structure(iv=b"iv", n=2, bits=16, aad=b"aad", m=3, tag=128),
            Parameter("GCM", (b"iv", 16, b"aad", 128)),
        ),
        (
            0x1087,
            structure(iv=b"iv", n=2, aad=b"aad", m=3, tag=96),
            Parameter("GCM_SHORT", (b"iv", b"aad", 96)),
        ),
        (
            0x1087,
            structure(iv=None, n=0, bits=16, aad=None, m=0, tag=128),
            Parameter("GCM", (b"", 16, b"", 128)),
        ),
        # What is not there has no length: else a signature would lack what it is to be about.
        (0x1087, structure(iv=b"iv", n=2, bits=16, aad=None, m=5, tag=128), Misfit(48)),
        (0x1087, structure(iv=None, n=2, bits=16, aad=None, m=0, tag=128), Misfit(48)),
        (0x1057, structure(flag=True, n=3, context=None), Misfit(24)),
        (0x3AC, structure(prf=1, n=2, items=None, m=0, keys=None), Misfit(40)),
        (0x1087, structure(a=b"a", b=1), Misfit(16)),
        (0x1087, structure(iv=b"iv", n=2**60, aad=b"", m=0, tag=96), Misfit(40)),
        (
            0x9,
            structure(hash=0x250, mgf=2, source=1, data=b"label", n=5),
            Parameter("OAEP", (0x250, 2, 1, b"label")),
        ),
        (
            0x1054,
            structure(bits=256, oaep=structure(hash=0x250, mgf=2, source=1, data=None, n=0)),
            Parameter("RSA_AES_WRAP", (256, Parameter("OAEP", (0x250, 2, 1, b"")))),
        ),
        (
            0x1050,
            structure(kdf=1, n=0, shared=None, m=5, public=b"point"),
            Parameter("ECDH1", (1, b"", b"point")),
        ),
        (
            0x402A,
            structure(a=True, b=False, prf=0x250, kind=2, s=b"salt", n=4, k=0, i=b"info", m=4),
            Parameter("HKDF", (1, 0, 0x250, 2, b"salt", 0, b"info")),
        ),
        (
            0x3AC,
            structure(prf=1, n=2, items=attributes((2, b"label"), (1, None)), m=0, keys=None),
            Parameter("KBKDF", (1, [Attribute(2, b"label", 5), Attribute(1, b"", 0)], 0)),
        ),
        (
            0x1057,
            structure(flag=True, n=3, context=b"ctx"),
            Parameter("EDDSA", (1, b"ctx")),
        ),
        (
            0x1D,
            structure(hedge=1, context=b"ctx", n=3),
            Parameter("CONTEXT", (1, b"ctx")),
        ),
        (
            0x1226,
            structure(counter=b"\1\0\0\0", bits=32, nonce=b"n" * 12, more=96),
            Parameter("CHACHA20", (b"\1\0\0\0", 32, b"n" * 12, 96)),
        ),
        (0x3B0, structure(**PBKD2, length=6), PBKD2_READ),
        (0x3B0, structure(**PBKD2, length=(ctypes.c_ulong * 1)(6)), PBKD2_READ),  # as NSS has it
        (0x3B0, structure(**PBKD2, length=2**46), Misfit(72)),
    ],
)
def test_mechanisms(
    module: Module, face: ScriptedFace, kind: int, parameter: Any, expected: Any
) -> None:
    assert module.C_SignInit(S, mechanism(kind, parameter), 4) == host.OK
    assert face.args == (S, Mechanism(kind, expected), 4)


def test_mechanisms_that_are_missing_or_lie(module: Module, face: ScriptedFace) -> None:
    module.C_SignInit(S, None, 4)
    assert face.args == (S, None, 4)
    module.C_SignInit(S, mechanism(0x250, None, 16), 4)
    assert face.args == (S, Mechanism(0x250, Misfit(16)), 4)
    module.C_SignInit(S, mechanism(0x250, b"x", 2**50), 4)
    assert face.args == (S, Mechanism(0x250, Misfit(2**50)), 4)


def test_a_message_to_encrypt_gets_its_iv_and_tag(module: Module, face: ScriptedFace) -> None:
    parameter = structure(iv=b"fixed" + bytes(7), n=12, fixed=40, how=3, tag=bytes(16), bits=128)
    face.answers["C_EncryptMessage"] = (host.OK, ((b"f" * 12, b"t" * 16), b"ciphertext"))
    out, length = room(10), c_ulong(10)
    rv = module.C_EncryptMessage(
        S, byref(parameter), ctypes.sizeof(parameter), b"aad", 3, b"plain", 5, out, byref(length)
    )
    assert rv == host.OK
    fields = (b"fixed" + bytes(7), 40, 3, b"", 128)
    assert face.args[1:4] == (Parameter("GCM_MESSAGE", fields), b"aad", b"plain")
    assert ctypes.string_at(parameter.iv, 12) == b"f" * 12
    assert ctypes.string_at(parameter.tag, 16) == b"t" * 16
    assert bytes(out) == b"ciphertext"


def test_a_message_to_decrypt_shows_its_tag(module: Module, face: ScriptedFace) -> None:
    parameter = structure(data=5, n=b"n" * 13, m=13, fixed=0, how=0, mac=b"m" * 8, k=8)
    face.answers["C_DecryptMessage"] = (host.OK, (b"plain",))
    out, length = room(5), c_ulong(5)
    rv = module.C_DecryptMessage(
        S, byref(parameter), ctypes.sizeof(parameter), None, 0, b"cipher", 6, out, byref(length)
    )
    assert (rv, bytes(out)) == (host.OK, b"plain")
    fields = (5, b"n" * 13, 0, 0, b"m" * 8, 8)
    assert face.args[1] == Parameter("CCM_MESSAGE", fields)
    module.C_DecryptMessage(S, byref(parameter), 55, None, 0, b"", 0, out, byref(length))
    assert face.args[1] == Misfit(55)
    module.C_DecryptMessage(S, None, 0, None, 0, b"", 0, out, byref(length))
    assert face.args[1] is None


def test_messages_to_sign_and_verify(module: Module, face: ScriptedFace) -> None:
    face.answers["C_SignMessageNext"] = (host.OK, ())
    assert module.C_SignMessageNext(S, None, 0, b"part", 4, None, None) == host.OK
    assert face.args == (S, None, b"part", Out(asked=False, capacity=None))
    assert module.C_VerifyMessageNext(S, b"p", 1, b"part", 4, None, 0) == host.OK
    assert face.args == (S, b"p", b"part", None)


def test_wrapping_gets_its_iv(module: Module, face: ScriptedFace) -> None:
    parameter = structure(iv=bytes(12), n=12, fixed=0, how=1, aad=b"", m=0, bits=128)
    face.answers["C_WrapKey"] = (host.OK, (b"i" * 12, b"wrapped"))
    out, length = room(7), c_ulong(7)
    wrapping = mechanism(0x1087, parameter)
    assert module.C_WrapKey(S, wrapping, 1, 2, out, byref(length)) == host.OK
    assert bytes(out) == b"wrapped"
    assert face.args[1] == Mechanism(0x1087, Parameter("GCM_WRAP", (bytes(12), 0, 1, b"", 128)))
    assert ctypes.string_at(parameter.iv, 12) == b"i" * 12


def test_authenticated_wrapping_gets_its_iv_and_tag(module: Module, face: ScriptedFace) -> None:
    parameter = structure(iv=bytes(12), n=12, fixed=0, how=1, tag=bytes(16), bits=128)
    face.answers["C_WrapKeyAuthenticated"] = (host.OK, ((b"i" * 12, b"t" * 16), b"wrapped"))
    out, length = room(7), c_ulong(7)
    wrapping = mechanism(0x1087, parameter)
    rv = module.C_WrapKeyAuthenticated(S, wrapping, 1, 2, b"aad", 3, out, byref(length))
    assert (rv, bytes(out)) == (host.OK, b"wrapped")
    fields = (bytes(12), 0, 1, b"", 128)
    assert face.args[1] == Mechanism(0x1087, Parameter("GCM_MESSAGE", fields))
    assert ctypes.string_at(parameter.iv, 12) == b"i" * 12
    assert ctypes.string_at(parameter.tag, 16) == b"t" * 16


def test_authenticated_unwrapping_shows_its_tag(module: Module, face: ScriptedFace) -> None:
    parameter = structure(data=0, n=b"n" * 13, m=13, fixed=0, how=0, mac=b"m" * 8, k=8)
    face.answers["C_UnwrapKeyAuthenticated"] = (host.OK, (7,))
    key = c_ulong()
    rv = module.C_UnwrapKeyAuthenticated(
        S, mechanism(0x1088, parameter), 1, b"wrapped", 7, None, 0, b"aad", 3, byref(key)
    )
    assert (rv, key.value) == (host.OK, 7)
    fields = (0, b"n" * 13, 0, 0, b"m" * 8, 8)
    assert face.args[1] == Mechanism(0x1088, Parameter("CCM_MESSAGE", fields))


def test_names_and_asynchronous_calls(module: Module, face: ScriptedFace) -> None:
    face.answers["C_AsyncGetID"] = (host.OK, (3,))
    number = c_ulong()
    assert module.C_AsyncGetID(S, b"C_Sign", byref(number)) == host.OK
    assert (face.args, number.value) == ((S, b"C_Sign", True), 3)
    module.C_AsyncComplete(S, None, None)
    assert face.args == (S, None)


def test_large_data(module: Module, face: ScriptedFace) -> None:
    data = bytes(range(256)) * 80_000  # 20 MB
    face.answers["C_Encrypt"] = lambda _session, data, _out: (host.OK, (data[::-1],))
    out, length = (c_ubyte * len(data))(), c_ulong(len(data))
    assert module.C_Encrypt(S, data, len(data), out, byref(length)) == host.OK
    assert bytes(out) == data[::-1]


def test_data_of_a_length_that_cannot_be_true_comes_as_none(
    module: Module, face: ScriptedFace
) -> None:
    """The rack has to hear of the call: it ends an operation (PKCS#11 3.2 §5.13.2)."""
    face.answers["C_Sign"] = (host.ARGUMENTS_BAD, ())
    for length in (2**28 + 1, 2**63, 2**64 - 1):
        assert module.C_Sign(S, b"x", length, None, byref(c_ulong())) == host.ARGUMENTS_BAD
        assert face.args == (S, None, Out(asked=True, capacity=None))


def test_lengths_that_cannot_be_true_are_not_sent(module: Module, face: ScriptedFace) -> None:
    assert module.C_SetPIN(S, b"x", 1, b"y", 2**64 - 1) == host.ARGUMENTS_BAD
    assert module.C_FindObjectsInit(S, attributes((1, b"")), 2**60) == host.ARGUMENTS_BAD
    assert face.calls == []


def test_a_face_that_fails_costs_one_call(
    module: Module, face: ScriptedFace, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("a mistake")

    face.answers["C_Logout"] = fail
    assert module.C_Logout(S) == host.GENERAL_ERROR
    assert "C_Logout failed inside the rack" in caplog.text
    face.answers["C_Logout"] = (host.OK, ())
    assert module.C_Logout(S) == host.OK


def test_no_attributes_at_all_are_asked_for(module: Module, face: ScriptedFace) -> None:
    face.answers["C_GetAttributeValue"] = (host.OK, ([],))
    assert module.C_GetAttributeValue(S, 3, None, 0) == host.OK
    assert face.args == (S, 3, [])
