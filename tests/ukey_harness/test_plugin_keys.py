"""The marker and the factory: which keys a test in somebody else's project gets."""

from pathlib import Path

from plugin_runs import run_pytest

LIBRARY = """
import os, subprocess, sys
import pkcs11, pytest
from pathlib import Path
def token(key):
    lib = pkcs11.lib(key.module)
    return next(t for t in lib.get_tokens() if t.serial.decode() == key.serial)
"""


def test_the_marker_says_what_a_key_is_like(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('[reader]\nname = "Own Reader"\n[pins]\nuser = "86420"\n')
    (tmp_path / "test_mine.py").write_text(
        LIBRARY
        + """
pytestmark = pytest.mark.ukey(label="of the module")

@pytest.mark.ukey(label="某某", pin="1234567", so_pin="87654321", tries=1)
def test_label_and_pins(ukey):
    assert ukey.label == "某某" and (ukey.pin, ukey.so_pin) == ("1234567", "87654321")
    assert ukey.tries_left == 1
    with pytest.raises(pkcs11.exceptions.PinIncorrect):
        token(ukey).open(user_pin="999999")
    assert ukey.tries_left == 0
    with pytest.raises(pkcs11.exceptions.PinLocked):
        token(ukey).open(user_pin=ukey.pin)

@pytest.mark.ukey(profile="own.toml")
def test_a_profile_beside_the_test_and_the_markers_of_the_module(ukey):
    assert ukey.pin == "86420" and ukey.reader == "Own Reader 00 00"
    token(ukey).open(user_pin=ukey.pin).close()
    assert ukey.label == "of the module"

@pytest.mark.ukey(label=None)
def test_the_nearest_marker_wins(ukey):
    assert ukey.label.startswith("ukey-")

@pytest.mark.ukey(keys=3)
def test_many_keys(ukey, ukeys):
    assert ukeys[0] is ukey
    serials = {t.serial.decode() for t in pkcs11.lib(ukey.module).get_tokens()}
    assert serials == {key.serial for key in ukeys} and len(serials) == 3
    ukeys[1].unplug()
    ukeys[2].remove()
    assert [t.serial.decode() for t in pkcs11.lib(ukey.module).get_tokens()] == [ukey.serial]

@pytest.mark.ukey(initialized=False)
def test_a_token_that_waits_for_its_first_pins(ukey):
    (slot,) = pkcs11.lib(ukey.module).get_slots()
    assert pkcs11.TokenFlag.TOKEN_INITIALIZED not in slot.get_token().flags

@pytest.mark.ukey(plugged=False)
def test_a_key_that_is_not_there_yet(ukey):
    assert pkcs11.lib(ukey.module).get_slots(True) == []
    ukey.plug()
    assert len(pkcs11.lib(ukey.module).get_slots(True)) == 1

def test_a_marked_test_need_not_name_the_fixture():
    assert os.environ["UKEY_HOME"]
    lib = pkcs11.lib(os.environ["PKCS11_MODULE"])
    assert lib.get_token(token_label="of the module")
"""
    )
    said = run_pytest(tmp_path, "-q", "--strict-markers")
    assert "7 passed" in said, said


def test_what_nobody_can_have_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        """
import pytest
@pytest.mark.ukey(lable="x")
def test_misspelt(): pass
@pytest.mark.ukey("hebca-rsa")
def test_unnamed(ukey): pass
@pytest.mark.ukey(profile="no-such-profile")
def test_profile(ukey): pass
@pytest.mark.ukey(tries=300)
def test_tries(ukey): pass
@pytest.mark.ukey(snapshot="signer")
def test_snapshot(ukey): pass
@pytest.mark.ukey(snapshot="signer", tries=3)
def test_both(ukey): pass
@pytest.mark.ukey(keys=0)
def test_none(ukey): pass
@pytest.mark.ukey(initialized="no")
def test_words(ukey): pass
@pytest.mark.ukey(faults={"function": "C_Sign"})
def test_not_a_list(ukey): pass
"""
    )
    said = run_pytest(tmp_path, "-q")
    assert "9 errors" in said
    for line in (
        "there is no argument 'lable': did you mean label? It has profile, pin,",
        "its arguments have names: profile=…, not 'hebca-rsa'",
        "no-such-profile",
        "not 300",
        "there is no snapshot signer; there are: none",
        "the snapshot has its own tries: leave one out",
        "keys is a number from 1, not 0",
        "initialized is True or False, not 'no'",
        "faults is a list",
    ):
        assert f"@pytest.mark.ukey: {line}" in said or line in said, (line, said)
    assert "Traceback" not in said
    assert "wanted.py" not in said


def test_keys_of_other_scopes_and_copies_of_a_prepared_one(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        LIBRARY
        + """
@pytest.fixture(scope="session")
def signer(ukey_factory):
    with ukey_factory.new(label="signer", pin="2468135") as key:
        with token(key).open(rw=True, user_pin=key.pin) as session:
            session.generate_keypair(pkcs11.KeyType.RSA, 2048, store=True, label="mine")
        return key.snapshot("ready", keep=True)

@pytest.fixture(scope="module")
def shared(ukey_factory):
    with ukey_factory.new(label="shared") as key:
        yield key
"""
    )
    (tmp_path / "test_mine.py").write_text(
        LIBRARY
        + """
seen = set()

@pytest.mark.parametrize("n", range(3))
@pytest.mark.ukey(snapshot="signer")
def test_each_has_its_own_copy(ukey, n):
    assert ukey.serial not in seen
    seen.add(ukey.serial)
    assert ukey.pin == "2468135" and ukey.label == "signer"
    with token(ukey).open(rw=True, user_pin=ukey.pin) as session:
        private = session.get_key(pkcs11.ObjectClass.PRIVATE_KEY, label="mine")
        assert private.sign(b"data")
        private.destroy()

@pytest.mark.ukey(snapshot="ready", label="another")
def test_a_snapshot_by_its_name(ukey):
    assert ukey.label == "another"

def test_a_key_of_the_module(shared):
    with token(shared).open(rw=True, user_pin=shared.pin) as session:
        session.generate_key(pkcs11.KeyType.AES, 128, store=True)

def test_is_the_same_in_the_next_test(shared):
    with token(shared).open(user_pin=shared.pin) as session:
        assert len(list(session.get_objects())) == 1

def test_the_factory_refuses_as_the_marker_does(ukey_factory):
    for wrong in ({"profil": "tiny"}, {"keys": 2}, {"tries": 0}):
        with pytest.raises(Exception, match="profile|one key|not 0"):
            ukey_factory.new(**wrong)
    assert [k.label for k in ukey_factory.new(label="x").remote.keys()][-1] == "x"
"""
    )
    (tmp_path / "test_other.py").write_text(
        LIBRARY
        + """
def test_here_it_is_another_one(shared):
    assert "shared" == shared.label
    with token(shared).open(user_pin=shared.pin) as session:
        assert list(session.get_objects()) == []
"""
    )
    said = run_pytest(tmp_path, "-q")
    assert "8 passed" in said, said


def test_a_program_gets_the_key_by_its_environment(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        LIBRARY
        + """
def test_run(ukey):
    done = ukey.run(["pkcs11-tool", "--module", ukey.module, "--list-token-slots"])
    assert done.returncode == 0 and ukey.label in done.stdout
    ukey.trace.assert_called("C_GetTokenInfo", program="pkcs11-tool", rv="CKR_OK")

def test_env(ukey):
    told = ["UKEY_HOME", "PKCS11_MODULE", "PCSCLITE_CSOCK_NAME", "UKEY_PIN", "UKEY_SO_PIN"]
    assert set(ukey.env) == {*told, "UKEY_LABEL"}
    assert all(os.environ[name] == ukey.env[name] for name in told[:3])
    command = ["sh", "-c", "cat; echo $UKEY_PIN $MORE; exit 3"]
    done = ukey.run(command, env={"MORE": "x"}, stdin="in ")
    assert (done.stdout, done.returncode) == ("in 123456 x\\n", 3)

def test_reader(ukey):
    done = ukey.run(["opensc-tool", "--list-readers"])
    assert ukey.reader in done.stdout
    select = ["--send-apdu", "00A4040005A000000308"]
    ukey.run(["opensc-tool", "--reader", ukey.reader, *select], check=True)
    ukey.trace.assert_called("SELECT", rv="SW_9000")

@pytest.mark.ukey(keys=2, profile="yubikey")
def test_readers_that_come_with_their_keys(ukeys):
    first, second = (key.reader for key in ukeys)
    assert (first, second) == ("Yubico YubiKey CCID 00 00", "Yubico YubiKey CCID 01 00")
    ukeys[0].unplug()
    assert first not in ukeys[1].run(["opensc-tool", "--list-readers"]).stdout
"""
    )
    said = run_pytest(tmp_path, "-q")
    assert "4 passed" in said, said
