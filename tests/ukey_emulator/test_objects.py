"""Objects: the rules of templates, and what is kept."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from program import PIN, Program, attributes

from ukey_emulator.chip import Chip, Role
from ukey_emulator.cryptoki.face import Face
from ukey_emulator.cryptoki.wire import Attribute, Mechanism, Out, Query
from ukey_emulator.rack.keyring import Keyring
from ukey_emulator.terms import CKA, CKC, CKK, CKM, CKO, CKR, CKU

AES_KEY = {"CLASS": int(CKO.SECRET_KEY), "KEY_TYPE": int(CKK.AES), "VALUE": bytes(16)}
DATA = {"CLASS": int(CKO.DATA), "LABEL": "note", "VALUE": b"hello"}


def data(program: Program, session: int, **more: object) -> int:
    return int(program.C_CreateObject(session, attributes(**{**DATA, **more}), True))


def test_a_label_of_random_bytes_is_kept(program: Program) -> None:
    """Programs make up labels so, and no token looks into them."""
    session = program.open()
    obj = program.C_CreateObject(session, attributes(**{**DATA, "LABEL": b"\xff\0\xc0"}), True)
    assert program.find(session, LABEL=b"\xff\0\xc0") == [obj]


@pytest.mark.parametrize(
    ("template", "code"),
    [
        ({"LABEL": "no class"}, CKR.TEMPLATE_INCOMPLETE),
        ({**AES_KEY, "LOCAL": True}, CKR.ATTRIBUTE_READ_ONLY),
        ({**AES_KEY, "UNIQUE_ID": "me"}, CKR.ATTRIBUTE_READ_ONLY),
        ({**AES_KEY, "MODULUS": b"\1"}, CKR.TEMPLATE_INCONSISTENT),
        ({**AES_KEY, "VALUE": bytes(17)}, CKR.ATTRIBUTE_VALUE_INVALID),
        ({**AES_KEY, "TOKEN": b"\1\0\0\0\0\0\0\0"}, CKR.ATTRIBUTE_VALUE_INVALID),
        ({**AES_KEY, "START_DATE": b"2026"}, CKR.ATTRIBUTE_VALUE_INVALID),
        ({**AES_KEY, "TRUSTED": True}, CKR.ATTRIBUTE_READ_ONLY),
        ({**AES_KEY, "CHECK_VALUE": b"abc"}, CKR.ATTRIBUTE_VALUE_INVALID),
        ({"CLASS": int(CKO.PUBLIC_KEY), "KEY_TYPE": int(CKK.RSA)}, CKR.TEMPLATE_INCOMPLETE),
        (
            {
                "CLASS": int(CKO.CERTIFICATE),
                "CERTIFICATE_TYPE": int(CKC.X_509),
                "SUBJECT": b"0\0",
            },
            CKR.TEMPLATE_INCOMPLETE,
        ),
        ({"CLASS": 0x1234}, CKR.ATTRIBUTE_VALUE_INVALID),
    ],
)
def test_a_bad_template_leaves_nothing(
    program: Program, template: dict[str, object], code: CKR
) -> None:
    session = program.open(user=CKU.USER)
    assert program.rv("C_CreateObject", session, attributes(**template), True) == code
    assert program.find(session) == []


def test_one_attribute_with_two_values_is_inconsistent(program: Program) -> None:
    session = program.open()
    template = attributes(**DATA) + attributes(LABEL="other")
    assert program.rv("C_CreateObject", session, template, True) == CKR.TEMPLATE_INCONSISTENT


def test_an_attribute_that_the_standard_does_not_have(program: Program) -> None:
    session = program.open()
    template = [*attributes(**DATA), Attribute(0x7FFFFFF0, b"", 0)]
    assert program.rv("C_CreateObject", session, template, True) == CKR.ATTRIBUTE_TYPE_INVALID


def test_a_reading_session_writes_no_token_object(program: Program) -> None:
    session = program.open(writable=False, user=CKU.USER)
    template = attributes(**DATA, TOKEN=True)
    assert program.rv("C_CreateObject", session, template, True) == CKR.SESSION_READ_ONLY
    data(program, session, PRIVATE=True)


def test_nobody_makes_private_objects_without_login(program: Program) -> None:
    session = program.open()
    template = attributes(**DATA, PRIVATE=True)
    assert program.rv("C_CreateObject", session, template, True) == CKR.USER_NOT_LOGGED_IN


def test_logging_out_ends_private_handles_for_good(program: Program) -> None:
    session = program.open(user=CKU.USER)
    kept = data(program, session, TOKEN=True, PRIVATE=True)
    passing = data(program, session, PRIVATE=True)
    shown = data(program, session)
    program.C_Logout(session)
    assert program.find(session) == [shown]
    program.C_Login(session, CKU.USER, PIN)
    for handle in (kept, passing):
        query = [Query(CKA.LABEL, 10, None)]
        assert (
            program.rv("C_GetAttributeValue", session, handle, query) == CKR.OBJECT_HANDLE_INVALID
        )
    assert len(program.find(session, PRIVATE=True)) == 1


def test_session_objects_end_with_their_session(program: Program) -> None:
    first, second = program.open(), program.open()
    handle = data(program, first)
    assert program.find(second) == [handle]
    program.C_CloseSession(first)
    assert program.find(second) == []


def test_token_objects_are_seen_by_all_and_gone_for_all(
    program: Program, other_program: Program
) -> None:
    session, elsewhere = program.open(), other_program.open()
    handle = data(program, session, TOKEN=True)
    (seen,) = other_program.find(elsewhere, LABEL="note")
    program.C_DestroyObject(session, handle)
    assert other_program.find(elsewhere) == []
    query = [Query(CKA.LABEL, 10, None)]
    assert (
        other_program.rv("C_GetAttributeValue", elsewhere, seen, query) == CKR.OBJECT_HANDLE_INVALID
    )


def test_reading_gives_each_attribute_its_own_answer(program: Program) -> None:
    session = program.open(user=CKU.USER)
    key = program.C_CreateObject(session, attributes(**AES_KEY), True)
    queries = [
        Query(CKA.VALUE, 16, None),
        Query(CKA.CLASS, None, None),
        Query(CKA.MODULUS, 16, None),
        Query(CKA.KEY_TYPE, 1, None),
    ]
    code, (answers,) = program.face.call(
        program.application, "C_GetAttributeValue", (session, key, queries)
    )
    nothing = (2**64 - 1, None)
    assert code == CKR.ATTRIBUTE_SENSITIVE
    assert answers == [nothing, (8, None), nothing, nothing]


def test_sensitive_and_extractable_only_tighten(program: Program) -> None:
    session = program.open(user=CKU.USER)
    loose = program.C_CreateObject(
        session, attributes(**AES_KEY, SENSITIVE=False, EXTRACTABLE=True), True
    )
    assert program.read(session, loose, CKA.VALUE) == bytes(16)
    program.C_SetAttributeValue(session, loose, attributes(SENSITIVE=True, EXTRACTABLE=False))
    for name, value in (("SENSITIVE", False), ("EXTRACTABLE", True)):
        change = attributes(**{name: value})
        assert program.rv("C_SetAttributeValue", session, loose, change) == CKR.ATTRIBUTE_READ_ONLY
        assert program.rv("C_CopyObject", session, loose, change, True) == CKR.ATTRIBUTE_READ_ONLY


def test_a_change_with_one_refused_attribute_changes_nothing(program: Program) -> None:
    session = program.open()
    handle = data(program, session, TOKEN=True)
    change = [*attributes(LABEL="new"), *attributes(CLASS=int(CKO.CERTIFICATE))]
    assert program.rv("C_SetAttributeValue", session, handle, change) == CKR.ATTRIBUTE_READ_ONLY
    assert program.read(session, handle, CKA.LABEL) == b"note"


@pytest.mark.parametrize(
    ("flag", "call"),
    [
        ("MODIFIABLE", "C_SetAttributeValue"),
        ("DESTROYABLE", "C_DestroyObject"),
        ("COPYABLE", "C_CopyObject"),
    ],
)
def test_what_an_object_forbids(program: Program, flag: str, call: str) -> None:
    session = program.open()
    handle = data(program, session, **{flag: False})
    rest = {
        "C_SetAttributeValue": (attributes(LABEL="new"),),
        "C_DestroyObject": (),
        "C_CopyObject": ([], True),
    }[call]
    assert program.rv(call, session, handle, *rest) == CKR.ACTION_PROHIBITED


def test_a_copy_has_a_unique_id_of_its_own(program: Program) -> None:
    session = program.open()
    handle = data(program, session)
    copy = program.C_CopyObject(session, handle, attributes(TOKEN=True, LABEL="twin"), True)
    assert program.read(session, copy, CKA.LABEL) == b"twin"
    assert program.read(session, copy, CKA.TOKEN) == b"\1"
    assert program.read(session, copy, CKA.UNIQUE_ID) != program.read(
        session, handle, CKA.UNIQUE_ID
    )


def test_where_a_key_comes_from_shows(program: Program) -> None:
    session = program.open(user=CKU.USER)
    template = attributes(VALUE_LEN=32, SENSITIVE=True)
    made = program.C_GenerateKey(session, Mechanism(CKM.AES_KEY_GEN, None), template, True)
    brought = program.C_CreateObject(session, attributes(**AES_KEY), True)
    expected = {CKA.LOCAL: True, CKA.ALWAYS_SENSITIVE: True, CKA.NEVER_EXTRACTABLE: True}
    for attribute, true in expected.items():
        assert program.read(session, made, attribute) == bytes([true])
        assert program.read(session, brought, attribute) == b"\0"
    assert program.read(session, made, CKA.KEY_GEN_MECHANISM)[:4] == b"\x80\x10\0\0"


def test_keys_outlive_the_rack(program: Program, keyring: Keyring) -> None:
    session = program.open(user=CKU.USER)
    program.ec_pair(session, TOKEN=True, ID=b"one", LABEL="签名")
    keyring.unplug("key")
    assert program.rv("C_GetSessionInfo", session, True) == CKR.DEVICE_REMOVED
    assert program.rv("C_GetSessionInfo", session, True) == CKR.SESSION_HANDLE_INVALID
    keyring.plug("key")
    session = program.open()
    assert program.find(session, CLASS=int(CKO.PRIVATE_KEY)) == []
    program.C_Login(session, CKU.USER, PIN)
    (private,) = program.find(session, CLASS=int(CKO.PRIVATE_KEY), ID=b"one")
    program.C_SignInit(session, Mechanism(CKM.ECDSA, None), private)


def test_a_private_key_cannot_be_read_from_the_file(program: Program, keyring: Keyring) -> None:
    session = program.open(user=CKU.USER)
    program.C_CreateObject(
        session, attributes(**{**AES_KEY, "VALUE": b"sixteen secrets!"}, TOKEN=True), True
    )
    keyring.unplug("key")
    for path in keyring._folder.iterdir():
        assert b"sixteen secrets!" not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0


_WRITER = """
import sys
from pathlib import Path
from ukey_emulator.chip import Chip, Role, making
chip = Chip.open(Path(sys.argv[1]))
chip.log_in(Role.USER, b"123456")
print("ready", flush=True)
number = 0
while True:
    obj = making.create([(0, bytes(8)), (1, b"\\1"), (2, bytes([number % 2])), (0x11, b"x" * 3000)])
    chip.keep(obj)
    if number % 3 == 0:
        chip.destroy(obj)
    number += 1
"""


@pytest.mark.parametrize("milliseconds", [3, 17, 40])
def test_a_kill_at_any_instant_leaves_a_key_that_opens(keyring: Keyring, milliseconds: int) -> None:
    keyring.unplug("key")
    path = keyring._folder / "key.ukey"
    writer = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    with pytest.raises(subprocess.TimeoutExpired):
        writer.wait(timeout=milliseconds / 1000)
    writer.send_signal(signal.SIGKILL)
    assert writer.wait(timeout=10) == -signal.SIGKILL
    writer.stdout.close()
    chip = Chip.open(path)
    chip.log_in(Role.USER, PIN)
    for obj in chip.find({CKA.CLASS: bytes(8)}, private=True):
        assert obj.attributes[CKA.VALUE] == b"x" * 3000
    chip.close()


def test_a_file_that_is_no_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "no key"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(Exception, match="not a database"):
        Chip.open(path)


def test_a_full_key_says_so_and_loses_nothing(program: Program, face: Face) -> None:
    session = program.open(user=CKU.USER)
    kept = data(program, session, TOKEN=True)
    chip = face._slots.get(0).chip
    chip._store._file.execute("PRAGMA max_page_count=12")
    big = attributes(**{**DATA, "VALUE": bytes(20_000)}, TOKEN=True)
    while (code := program.rv("C_CreateObject", session, big, True)) == CKR.OK:
        pass
    assert code == CKR.DEVICE_MEMORY
    assert program.read(session, kept, CKA.VALUE) == b"hello"
    before = program.find(session)
    template = attributes(LABEL="x" * 20_000)
    assert program.rv("C_SetAttributeValue", session, kept, template) == CKR.DEVICE_MEMORY
    assert program.read(session, kept, CKA.LABEL) == b"note"
    assert program.find(session) == before


def test_a_search_in_small_batches_loses_nothing(program: Program) -> None:
    session = program.open()
    made = [data(program, session) for _ in range(5)]
    program.C_FindObjectsInit(session, attributes(CLASS=int(CKO.DATA)))
    batches = []
    while batch := program.C_FindObjects(session, Out(asked=True, capacity=2)):
        batches.append(batch)
    assert batches == [made[:2], made[2:4], made[4:]]
    program.C_FindObjectsFinal(session)


@pytest.mark.parametrize(
    "same", ["CLASS", "KEY_TYPE", "TOKEN", "PRIVATE", "MODIFIABLE", "DESTROYABLE", "LOCAL", "VALUE"]
)
def test_what_cannot_be_modified_is_not_set_to_what_it_is(program: Program, same: str) -> None:
    """A value for a read-only attribute is refused, whichever it is (PKCS#11 3.2 §4.1.1, §4.1.2).

    A copy may be said to be what its original is.
    """
    session = program.open()
    template = attributes(**{**AES_KEY, "SENSITIVE": False, "EXTRACTABLE": True, "PRIVATE": False})
    key = program.C_CreateObject(session, template, True)
    value = program.read(session, key, CKA[same])
    change = attributes(**{same: value})
    assert program.rv("C_SetAttributeValue", session, key, change) == CKR.ATTRIBUTE_READ_ONLY
    program.C_CopyObject(session, key, change, True)


def test_what_can_be_modified_may_be_set_to_what_it_is(program: Program) -> None:
    session = program.open()
    key = program.C_CreateObject(session, attributes(**{**AES_KEY, "PRIVATE": False}), True)
    for same in (CKA.LABEL, CKA.ID, CKA.ENCRYPT, CKA.SENSITIVE, CKA.EXTRACTABLE, CKA.CHECK_VALUE):
        value = program.read(session, key, same)
        program.C_SetAttributeValue(session, key, attributes(**{same.name: value}))


def test_a_value_that_is_not_given_out_is_not_confirmed_either(program: Program) -> None:
    session = program.open()
    template = attributes(**{**AES_KEY, "PRIVATE": False, "SENSITIVE": True, "EXTRACTABLE": True})
    key = program.C_CreateObject(session, template, True)
    for value in (AES_KEY["VALUE"], bytes(15) + b"1"):
        guess = attributes(VALUE=value)
        assert program.rv("C_SetAttributeValue", session, key, guess) == CKR.ATTRIBUTE_READ_ONLY
        assert program.rv("C_CopyObject", session, key, guess, True) == CKR.ATTRIBUTE_READ_ONLY
