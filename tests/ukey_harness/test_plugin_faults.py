"""Faults of the key of a test in somebody else's project."""

from pathlib import Path

from plugin_runs import run_pytest

SIGN = """
import threading
import pkcs11, pytest
def sign(key):
    token = pkcs11.lib(key.module).get_token(token_label=key.label)
    with token.open(user_pin=key.pin) as session:
        return session.generate_random(64)
"""

PLAN = """
[[fault]]
name = "first"
function = "C_GenerateRandom"
at = 1
return = "CKR_FUNCTION_FAILED"

[[fault]]
name = "second"
function = "C_GenerateRandom"
at = 2
return = "CKR_DEVICE_ERROR"
"""


def test_faults_are_armed_counted_and_cleared(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(PLAN)
    (tmp_path / "typo.toml").write_text("[[fualt]]\nfunction = 'C_Sign'\n")
    (tmp_path / "test_mine.py").write_text(
        SIGN
        + """
def test_add(ukey):
    name = ukey.faults.add(function="C_GenerateRandom", at=2, returns="CKR_DEVICE_ERROR")
    assert sign(ukey)
    with pytest.raises(AssertionError, match=f"the fault {name} has fired 0 times; it met 1"):
        ukey.faults.assert_fired(name)
    with pytest.raises(pkcs11.exceptions.DeviceError):
        sign(ukey)
    assert sign(ukey)
    assert ukey.faults.fired(name) == ukey.faults.fired() == 1
    ukey.faults.assert_fired(name, times=1)
    bad, = ukey.trace.assert_called("C_GenerateRandom", times=1, rv="CKR_DEVICE_ERROR")
    assert bad.fault == name
    assert f"CKR_DEVICE_ERROR fault: {name} (" in str(ukey.trace)
    ukey.faults.clear(name)
    assert ukey.faults.list() == []
    with pytest.raises(Exception, match="no fault.*there are: none"):
        ukey.faults.fired(name)

@pytest.mark.ukey(faults=["plan.toml", {"name": "third", "function": "C_GenerateRandom",
                                        "from": 3, "to": 3, "return": "CKR_DEVICE_MEMORY"}])
def test_marked(ukey):
    assert [fault.name for fault in ukey.faults.list()] == ["first", "second", "third"]
    for error in (pkcs11.exceptions.FunctionFailed, pkcs11.exceptions.DeviceError,
                  pkcs11.exceptions.DeviceMemory):
        with pytest.raises(error):
            sign(ukey)
    assert sign(ukey)

def test_nothing_is_left_of_them(ukey):
    assert ukey.remote.faults() == []
    assert sign(ukey)

def test_misspelt(ukey):
    with pytest.raises(Exception, match="C_Sign"):
        ukey.faults.add(function="C_Sgin", returns="CKR_DEVICE_ERROR")
    with pytest.raises(Exception, match="CKR_DEVICE_ERROR"):
        ukey.faults.add(function="C_Sign", returns="CKR_DEVICE_EROR")
    with pytest.raises(Exception, match="function"):
        ukey.faults.add(funktion="C_Sign", returns="CKR_DEVICE_ERROR")
    with pytest.raises(Exception, match="sections, and nothing else"):
        ukey.faults.load("typo.toml")
    assert ukey.faults.list() == []

@pytest.mark.ukey(keys=2)
def test_other_keys_are_spared(ukeys):
    ukeys[0].faults.add(function="C_GenerateRandom", returns="CKR_DEVICE_ERROR")
    everywhere = ukeys[0].faults.add(key=None, function="C_Login", delay=0.001)
    assert sign(ukeys[1])
    with pytest.raises(pkcs11.exceptions.DeviceError):
        sign(ukeys[0])
    assert ukeys[0].faults.fired(everywhere) == 2
    assert [fault.name for fault in ukeys[1].faults.list()] == [everywhere]

@pytest.mark.ukey(faults=[{"name": "stuck", "function": "C_GenerateRandom", "hang": True}])
def test_hang_and_pull(ukey):
    caught = []
    def program():
        try:
            sign(ukey)
        except pkcs11.exceptions.PKCS11Error as error:
            caught.append(error)
    thread = threading.Thread(target=program)
    thread.start()
    ukey.faults.wait("stuck")
    assert not caught
    ukey.unplug()
    thread.join(30)
    assert caught
    ukey.trace.assert_called("C_GenerateRandom", times=1, rv="CKR_DEVICE_REMOVED")

def test_wait_has_an_end(ukey):
    ukey.faults.add("never", function="C_Sign", returns="CKR_DEVICE_ERROR")
    with pytest.raises(AssertionError, match="never has fired 0 times, not 1; it met 0"):
        ukey.faults.wait("never", seconds=0.02)
"""
    )
    said = run_pytest(tmp_path, "-q")
    assert "7 passed" in said, said


def test_a_hanging_program_does_not_hold_up_the_end_of_the_test(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        SIGN
        + """
programs = []
@pytest.mark.ukey(faults=[{"name": "stuck", "function": "C_GenerateRandom", "hang": True}])
def test_left_hanging(ukey):
    programs.append(threading.Thread(target=lambda: sign(ukey)))
    programs[0].start()
    ukey.faults.wait("stuck")
    assert 0, "here it ends"
def test_next(ukey):
    programs[0].join(30)
    assert not programs[0].is_alive()
    assert sign(ukey)
"""
    )
    said = run_pytest(tmp_path, "-q", "-p", "no:threadexception")
    assert "1 failed, 1 passed" in said, said
    assert "fault stuck: met 1, fired 1, 1 waiting" in said
