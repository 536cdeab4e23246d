"""Fault plans as they are written: what they may say, and what a misspelt one is told."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ukey_emulator.faults import (
    STEPS,
    FaultError,
    FunctionWords,
    What,
    Where,
    Words,
    read,
    read_plan,
)
from ukey_emulator.faults.reading import MEMBERS
from ukey_emulator.terms import CKM, CKR

WORDS = Words(
    {
        "C_Sign": FunctionWords(outputs=True, mechanism=True),
        "C_SignInit": FunctionWords(mechanism=True),
        "C_Login": FunctionWords(),
        "C_GetSlotList": FunctionWords(keyed=False, outputs=True),
        "C_GetInfo": FunctionWords(local=True),
    },
    {"VERIFY": 0x20, "GENERAL AUTHENTICATE": 0x87},
)


def test_all_that_a_fault_may_say() -> None:
    (fault, noise, step) = read_plan(
        """
        [[fault]]
        name = "third-signature"
        key = "key-1"
        function = "C_Sign"
        mechanism = "CKM_RSA_PKCS"
        at = 3
        pid = 4711
        program = "java"
        return = "CKR_DEVICE_ERROR"

        [[fault]]
        apdu = "General Authenticate"
        from = 2
        to = 5
        chance = 0.5
        seed = 7
        status = "6f00"

        [[fault]]
        store = "write"
        power = "off"
        """,
        WORDS,
    )
    assert (fault.name, fault.key, fault.place) == ("third-signature", "key-1", "C_Sign")
    assert (fault.mechanism, fault.first, fault.last) == (CKM.RSA_PKCS, 3, 3)
    assert (fault.pid, fault.program) == (4711, "java")
    assert (fault.what, fault.value) == (What.RETURN, CKR.DEVICE_ERROR)
    assert fault.members["mechanism"] == "CKM_RSA_PKCS"
    assert (noise.name, noise.where, noise.place) == ("", Where.APDU, 0x87)
    assert (noise.first, noise.last, noise.chance, noise.seed) == (2, 5, 0.5, 7)
    assert (noise.what, noise.value) == (What.STATUS, 0x6F00)
    assert (step.where, step.place, step.what) == (Where.STORE, "write", What.POWER)
    assert (step.first, step.last) == (1, None)


ALLOWED = {
    "function": {
        "return": "CKR_DEVICE_ERROR",
        "pull": "before",
        "delay": 0.5,
        "hang": True,
        "corrupt": True,
        "drop": True,
        "logout": True,
        "memory": True,
    },
    "apdu": {
        "status": "6F00",
        "pull": "after",
        "delay": 1,
        "hang": True,
        "corrupt": True,
        "drop": True,
        "logout": True,
        "memory": True,
    },
    "store": {
        "return": "CKR_DEVICE_MEMORY",
        "power": "off",
        "delay": 0.1,
        "hang": True,
        "memory": True,
    },
}
PLACES = {"function": "C_Sign", "apdu": "87", "store": "commit"}
VALUES = {what: value for told in ALLOWED.values() for what, value in told.items()}


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("what", [what.value for what in What])
def test_each_kind_of_what_at_each_kind_of_where(where: str, what: str) -> None:
    members = {where: PLACES[where], what: VALUES[what]}
    if what in ALLOWED[where]:
        fault = read(members, WORDS)
        assert fault.where.value == where
        assert what in {"memory", fault.what.value}
    else:
        with pytest.raises(FaultError, match=f"{what} does not go with {where}") as raised:
            read(members, WORDS)
        assert raised.value.member == what
        for allowed in ALLOWED[where]:
            assert allowed in str(raised.value)


def test_no_memory_is_what_each_face_calls_it() -> None:
    assert read({"function": "C_Sign", "memory": True}, WORDS).value == CKR.DEVICE_MEMORY
    assert read({"store": "write", "memory": True}, WORDS).value == CKR.DEVICE_MEMORY
    assert read({"apdu": "87", "memory": True}, WORDS).value == 0x6A84


SIGN = {"function": "C_Sign", "hang": True}
MISTAKES: list[tuple[dict[str, Any], str, str]] = [
    ({"function": "C_Sing", "hang": True}, "function", "close to it are: C_Sign"),
    ({"function": "c_sign", "hang": True}, "function", "close to it are: C_Sign"),
    ({"function": "hang", "hang": True}, "function", "there are: C_Sign, C_SignInit, C_Login"),
    ({"function": "C_GetInfo", "hang": True}, "function", "answered inside the program"),
    ({"function": 44, "hang": True}, "function", "there is no function 44"),
    ({"apdu": "VERIFYY", "hang": True}, "apdu", "close to it are: VERIFY"),
    ({"apdu": "187", "hang": True}, "apdu", "GENERAL AUTHENTICATE; or two hexadecimal"),
    ({"apdu": 0x87, "hang": True}, "apdu", "there is no command 135"),
    ({"store": "comit", "hang": True}, "store", "close to it are: commit"),
    ({"store": "xyz", "hang": True}, "store", "there are: begin, write"),
    ({**SIGN, "mechansim": "CKM_RSA_PKCS"}, "mechansim", "close to it are: mechanism"),
    ({**SIGN, "returns": "CKR_OK"}, "returns", "close to it are: return"),
    ({**SIGN, "mechanism": "CKM_RSA_PKSC"}, "mechanism", "CKM_RSA_PKCS"),
    ({**SIGN, "mechanism": 1}, "mechanism", "there is no mechanism 1"),
    ({"function": "C_Sign", "return": "CKR_DEVICE_EROR"}, "return", "CKR_DEVICE_ERROR"),
    ({"function": "C_Sign", "return": "0x30"}, "return", "a vendor's own"),
    ({"function": "C_Sign", "return": "CKR_OK"}, "return", "has outputs"),
    ({"apdu": "87", "status": "9G00"}, "status", "four hexadecimal digits"),
    ({"apdu": "87", "status": "6000"}, "status", "four hexadecimal digits"),
    ({"apdu": "87", "status": 0x6F00}, "status", "four hexadecimal digits"),
    ({"function": "C_Sign", "pull": "now"}, "pull", '"before" or "after"'),
    ({"function": "C_Sign", "pull": ["before"]}, "pull", '"before" or "after"'),
    ({"function": "C_Sign", "delay": 0}, "delay", "seconds, up to 3600"),
    ({"function": "C_Sign", "delay": True}, "delay", "seconds, up to 3600"),
    ({"function": "C_Sign", "delay": float("inf")}, "delay", "seconds, up to 3600"),
    ({"function": "C_Sign", "hang": False}, "hang", "hang is true, or not said"),
    ({"store": "commit", "power": "on"}, "power", 'power is "off"'),
    ({"function": "C_Sign"}, "", "exactly one member says what happens: return, status"),
    ({"hang": True}, "", "exactly one member says where: function, apdu, store"),
    ({**SIGN, "apdu": "87"}, "apdu", "not function and apdu at once"),
    ({**SIGN, "delay": 1}, "hang", "not delay and hang at once"),
    ({**SIGN, "at": 0}, "at", "at is a whole number from 1, not 0"),
    ({**SIGN, "at": True}, "at", "at is a whole number"),
    ({**SIGN, "at": "3"}, "at", "at is a whole number"),
    ({**SIGN, "at": 2**53}, "at", "at is a whole number"),
    ({**SIGN, "at": 1, "from": 1}, "from", "there is no from with it"),
    ({**SIGN, "from": 3, "to": 2}, "to", "not less than from, 3"),
    ({**SIGN, "chance": 0.1}, "seed", "nothing is random"),
    ({**SIGN, "chance": 1.5, "seed": 1}, "chance", "at most 1"),
    ({**SIGN, "seed": 1}, "seed", "seed goes with a chance"),
    ({**SIGN, "pid": -1}, "pid", "whole number"),
    ({**SIGN, "program": ""}, "program", "text of 1 to 255"),
    ({**SIGN, "key": 1}, "key", "text of 1 to 255"),
    ({**SIGN, "name": "a b"}, "name", "letters, digits"),
    ({"apdu": "87", "hang": True, "mechanism": "CKM_RSA_PKCS"}, "mechanism", "narrows a function"),
    ({"function": "C_Login", "hang": True, "mechanism": "CKM_RSA_PKCS"}, "mechanism", "no mech"),
    ({"function": "C_Login", "corrupt": True}, "corrupt", "C_Login has no output"),
    ({"function": "C_GetSlotList", "pull": "before"}, "pull", "no single key"),
    ({"function": "C_GetSlotList", "hang": True, "key": "key-1"}, "key", "no single key"),
]


@pytest.mark.parametrize(("members", "member", "says"), MISTAKES)
def test_a_misspelt_fault_is_told_what_there_is(
    members: dict[str, Any], member: str, says: str
) -> None:
    with pytest.raises(FaultError) as raised:
        read(members, WORDS)
    assert says in str(raised.value)
    assert (raised.value.member or "") == member


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[fault]\n", "the plan is no TOML"),
        ("", r"one or more tables \[\[fault\]\]"),
        ("fault = 3", r"one or more tables \[\[fault\]\]"),
        ("fault = []", r"one or more tables \[\[fault\]\]"),
        ("[fault]\nfunction = 'C_Sign'", r"one or more tables \[\[fault\]\]"),
        ("[[faults]]\nfunction = 'C_Sign'", "nothing else, but not 'faults'"),
        (
            "[[fault]]\nstore = 'wipe'\nhang = true\n[[fault]]\nfunction = 'C_Sing'\nhang = true",
            "fault 2 of the plan: there is no function 'C_Sing'; close to it are: C_Sign",
        ),
    ],
)
def test_a_plan_that_is_none_says_so(text: str, says: str) -> None:
    with pytest.raises(FaultError, match=says):
        read_plan(text, WORDS)


def test_members_that_are_null_are_not_there() -> None:
    assert read({**SIGN, "key": None, "delay": None}, WORDS).key is None


@given(
    st.dictionaries(
        st.sampled_from([*MEMBERS, "other"]),
        st.sampled_from(["C_Sign", "commit", "87", "off", "CKR_OK", "", None])
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.lists(st.integers(), max_size=1),
    )
)
def test_whatever_comes_is_read_or_refused(members: dict[str, Any]) -> None:
    try:
        fault = read(members, WORDS)
    except FaultError as refused:
        assert str(refused)
    else:
        assert fault.happens(fault.first) or fault.chance is not None
        json.dumps(fault.members)


def test_steps_that_stand_for_others_name_real_ones() -> None:
    assert all(STEPS[step] == (step,) for steps in STEPS.values() for step in steps)
