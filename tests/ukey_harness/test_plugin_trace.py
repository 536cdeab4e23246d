"""What a test in somebody else's project sees of the calls to its key."""

import re
from pathlib import Path

from plugin_runs import run_pytest

SIGN = """
import pkcs11, pytest
def sign(key, times=2):
    token = pkcs11.lib(key.module).get_token(token_label=key.label)
    with token.open(rw=True, user_pin=key.pin) as session:
        public, private = session.generate_keypair(pkcs11.KeyType.RSA, 2048)
        for _ in range(times):
            private.sign(b"data", mechanism=pkcs11.Mechanism.SHA256_RSA_PKCS)
"""


def test_assertions_on_calls(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        SIGN
        + """
def test_calls(ukey):
    assert ukey.trace.functions() == []
    sign(ukey)
    ukey.trace.assert_called("C_Sign", times=2, rv="CKR_OK")
    ukey.trace.assert_called("C_Sign", times=4, lengths=True)
    ukey.trace.assert_called("C_SignInit", mechanism="CKM_SHA256_RSA_PKCS")
    ukey.trace.assert_not_called("C_SignInit", mechanism="CKM_RSA_PKCS")
    ukey.trace.assert_not_called("C_Sign", rv="CKR_DEVICE_REMOVED")
    ukey.trace.assert_order("C_OpenSession", "C_Login", "C_SignInit", "C_Sign", "C_CloseSession")
    login, = ukey.trace.calls("C_Login")
    assert login.rv == "CKR_OK" and login.arguments["pin"] == "***" and login.us > 0
    ukey.trace.clear()
    ukey.trace.assert_not_called("C_Login")
    assert str(ukey.trace) == "no calls"

def test_only_those_of_this_test(ukey):
    ukey.trace.assert_not_called("C_Sign")

@pytest.mark.ukey(keys=2)
def test_each_key_has_its_own(ukeys):
    sign(ukeys[1])
    ukeys[1].trace.assert_called("C_Login", times=1, program=None)
    assert ukeys[1].trace.calls("C_Login")[0].key == ukeys[1].name
    ukeys[0].trace.assert_not_called("C_Login")
    ukeys[0].trace.assert_called("C_GetSlotList")

def test_calls_that_the_module_answers_from_memory_are_there_at_once(ukey):
    token = pkcs11.lib(ukey.module).get_token(token_label=ukey.label)
    with token.open(rw=True, user_pin=ukey.pin) as session:
        key = session.generate_key(pkcs11.KeyType.AES, 128, label="x")
        def read():
            ukey.trace.clear()
            for _ in range(5):
                assert key[pkcs11.Attribute.LABEL] == "x"
            return len(ukey.trace.calls("C_GetAttributeValue"))
        all_of_them = read()
        assert all_of_them >= 5 and all_of_them % 5 == 0
        ukey.remote.trace_exactly(False)
        read()
        assert read() < all_of_them
        ukey.remote.trace_exactly()

@pytest.mark.parametrize("name", ["C_Sgin", "C_Signn"])
def test_no_misspelt_function(ukey, name):
    for check in (ukey.trace.assert_called, ukey.trace.assert_not_called, ukey.trace.assert_order):
        with pytest.raises(ValueError, match="has no C_S.*did you mean C_Sign?"):
            check(name)

def test_no_misspelt_code(ukey):
    with pytest.raises(ValueError, match="did you mean CKR_DEVICE_REMOVED"):
        ukey.trace.assert_not_called("C_Sign", rv="CKR_DEVICE_REMOVD")
    with pytest.raises(ValueError, match="CKR_… or SW_…"):
        ukey.trace.calls(rv="OK")

def test_messages(ukey):
    with pytest.raises(AssertionError, match="C_Sign was not called; there are no calls"):
        ukey.trace.assert_called("C_Sign")
    sign(ukey)
    for wrong, said in {
        lambda: ukey.trace.assert_called("C_Sign", times=3):
            "C_Sign was not called 3 times, but twice; of C_Sign there are:",
        lambda: ukey.trace.assert_called("C_Sign", rv="CKR_DEVICE_REMOVED"):
            "C_Sign with CKR_DEVICE_REMOVED was not called; of C_Sign there are:",
        lambda: ukey.trace.assert_not_called("C_Sign"): "C_Sign was called twice; of C_Sign",
        lambda: ukey.trace.assert_called("C_Verify"): "C_Verify was not called; there are:",
        lambda: ukey.trace.assert_order("C_Sign", "C_Login"): "C_Login was not called after C_S",
    }.items():
        with pytest.raises(AssertionError) as caught:
            wrong()
        message = str(caught.value)
        assert message.startswith(said), message
        assert "C_Sign(session=" in message and "→ CKR_OK (" in message
        assert "123456" not in message
"""
    )
    said = run_pytest(tmp_path, "-q")
    assert "8 passed" in said, said


def test_a_failing_test_shows_its_calls(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        SIGN
        + """
def test_good(ukey):
    sign(ukey)
def test_bad(ukey):
    sign(ukey)
    assert 0
def test_all_traffic(ukey, ukey_rack):
    with ukey_rack.remote() as remote:
        remote.trace_level("traffic")
        sign(ukey)
        select, verify = "00A4040005A000000308", "0020008008313233343536FFFF"
        apdus = ["--send-apdu", select, "--send-apdu", verify]
        ukey.run(["opensc-tool", "--reader", ukey.reader, *apdus], check=True)
        remote.trace_level("calls")
    assert 0
def test_many(ukey):
    sign(ukey, 200)
    assert 0
def test_factory_only(ukey_factory):
    with ukey_factory.new() as key:
        sign(key)
        assert 0
def test_without_a_key():
    assert 0
@pytest.fixture
def broken(ukey):
    sign(ukey)
    raise RuntimeError
def test_in_setup(broken): pass
"""
    )
    said = run_pytest(tmp_path, "-q", "-n", "2", "--dist", "loadfile", "--tb", "short")
    assert "5 failed, 1 passed, 1 error" in said, said
    parts = re.split(r"^_{5,} (?:ERROR at setup of )?(\w+) _{5,}$", said, flags=re.MULTILINE)
    shown = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert "test_good" not in shown
    assert "ukey trace" not in shown["test_without_a_key"]
    for test in ("test_bad", "test_factory_only", "test_in_setup"):
        assert shown[test].count("signature=room for 256) → CKR_OK") == 2, shown[test]
        assert "pin=***" in shown[test]
        assert "- ukey trace -" in shown[test]
    assert shown["test_many"].count("C_Sign") <= 60
    assert re.search(r"… \d{3} calls before", shown["test_many"])
    assert "data=64617461" in shown["test_all_traffic"]  # told as it was
    assert "VERIFY(" in shown["test_all_traffic"]
    assert "123456" not in said
    assert "313233343536" not in said


def test_a_rack_that_has_gone_is_said_and_not_raised(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        """
import os, signal
def test_kill(ukey, ukey_rack):
    os.kill(ukey_rack.pid, signal.SIGKILL)
    assert 0
def test_next():
    pass
"""
    )
    said = run_pytest(tmp_path, "-q")
    assert "INTERNALERROR" not in said
    assert "1 failed, 1 passed, 1 error" in said
    assert "the rack" in said
