"""Profiles: what they may say, and that a key stays as its profile says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ukey_emulator import module_path
from ukey_emulator.profiles import DEFAULT, Identity, Profile, ProfileError
from ukey_emulator.remote import RackProcess, RemoteError
from ukey_emulator.terms import CKM

UKEY = Path(sys.executable).parent / "ukey"
OFF = '[mechanisms]\noff = ["CKM_SHA_1", "CKM_SHA_1_HMAC"]\n'
INVALID = "CKR_MECHANISM_INVALID"


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "strict.toml"
    path.write_text(OFF)
    return path


def run(*command: str | Path, cwd: Path, home: Path | None = None) -> tuple[int, str]:
    environment = {**os.environ, "UKEY_HOME": str(home or cwd), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=60,
        env=environment,
        cwd=cwd,
        check=False,
    )
    return done.returncode, done.stdout


def tool(home: Path, *words: str | Path) -> str:
    return run("pkcs11-tool", "--module", module_path(), *words, cwd=home)[1]


def digest(home: Path, mechanism: str) -> str:
    text = home / "text"
    text.write_text("text")
    return tool(home, "--hash", "--mechanism", mechanism, "--input-file", text)


def test_the_default_profile_switches_nothing_off() -> None:
    assert Profile.load(DEFAULT).identity == Identity()
    assert Profile.load(DEFAULT).facts == b""


def test_a_file_may_leave_everything_out(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("")
    read = Profile.load(str(path))
    assert (read.name, read.identity) == ("mine", Identity(profile="mine"))
    path.write_text('name = "yours"\n' + OFF)
    read = Profile.load(str(path))
    off = frozenset({CKM.SHA_1, CKM.SHA_1_HMAC})
    assert (read.name, read.identity) == ("yours", Identity(profile="yours", without=off))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[mechanisms]\noff = ["CKM_SHA1"]', "no mechanism 'CKM_SHA1'; close to it are: CKM_SHA_1"),
        ('[mechanisms]\noff = ["SHA_1"]', "no mechanism 'SHA_1'; close to it are: CKM_SHA_1"),
        ('[mechanisms]\noff = ["CKM_"]', "no mechanism 'CKM_'"),
        ('[mechanisms]\noff = "CKM_SHA_1"', "a list of names"),
        ("[mechanisms]\noff = [544]", "a list of names"),
        ('mechanisms = "none"', "is a table"),
        ("[mechanism]", "no member 'mechanism'; close to it are: mechanisms"),
        ("[mechanisms]\nof = []", r"no member of \[mechanisms\] 'of'; close to it are: off"),
        ("colour = 1", "no member 'colour'; there are: name, about, token"),
        ("reader = 1", r"reader is a table: \[reader\]"),
        ("[reader]\nnam = 1", r"no member of \[reader\] 'nam'; close to it are: name"),
        ("[reader]\nname = 1", r"name in \[reader\] is a string"),
        ('[reader]\nname = "a\\nb"', "one line of at most 100 bytes"),
        (f'[reader]\nname = "{"é" * 51}"', "one line of at most 100 bytes"),
        ("[card]\nmanagement = 3", r"management in \[card\] is one of: 3DES, AES-192"),
        ('[card]\nmanagement = "AES-256"', r"management in \[card\] is one of: 3DES, AES-192"),
        ("[card]\nfilled = 0", r"filled in \[card\] is true or false"),
        ("[card]\natr = 1", "atr in .card. is a string"),
        ('[card]\natr = "3B0"', "no answer to reset"),
        ('[card]\natr = "3C00"', "begins with 3B or 3F"),
        ('[card]\natr = "3B"', "ends before its interface bytes do"),
        ('[card]\natr = "3B80"', "ends before its interface bytes do"),
        ('[card]\natr = "3B02AA"', "has 3 bytes, and says of itself 4"),
        ('[card]\natr = "3B00AA"', "has 3 bytes, and says of itself 2"),
        ('[card]\natr = "3B800080"', "has 4 bytes, and says of itself 3"),
        ('[card]\natr = "3B8001"', "has 3 bytes, and says of itself 4"),
        ('[card]\natr = "3B' + "8" * 64 + '"', "ends before|of itself"),
        ('[card]\natr = "3B80800102"', "check byte is wrong"),
        ("name = 7", "name is a string"),
        ("[mechanisms", "Expected"),
        (b"name = '\xff'", "utf-8"),
    ],
)
def test_a_profile_that_is_none_says_where_and_what(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    path = tmp_path / "odd.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ProfileError, match=message) as caught:
        Profile.load(str(path))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "atr",
    [
        "3B00",  # T=0, and nothing else
        "3F02AABB",  # the inverse convention, two historical bytes
        "3B1011",  # TA1 alone
        "3B8000",  # TD1 for T=0 and no more, so no TCK
        "3B800181",  # T=1, and TCK
        "3B80800101",
        "3BFD1300008131FE158073C021C057597562694B657940",
    ],
)
def test_answers_to_reset_that_are_well_formed(tmp_path: Path, atr: str) -> None:
    path = tmp_path / "card.toml"
    path.write_text(f'[card]\natr = "{atr}"')
    assert Profile.load(str(path)).identity.atr == bytes.fromhex(atr)


def test_a_profile_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        ProfileError, match="no profile 'strict'; there are: default, final-try, hebca-rsa"
    ):
        Profile.load("strict")
    with pytest.raises(ProfileError, match="No such file"):
        Profile.load(str(tmp_path / "none.toml"))


def test_a_key_keeps_what_its_profile_said(tmp_path: Path, profile: Path) -> None:
    home = tmp_path / "home"
    with RackProcess.start(home) as rack, rack.remote() as remote:
        remote.new_key(name="strict", label="strict", profile=profile)
        profile.write_text('[mechanisms]\noff = ["CKM_SHA1"]')
        with pytest.raises(RemoteError, match="close to it are: CKM_SHA_1"):
            remote.new_key(name="odd", profile=profile)
        assert [key.name for key in remote.keys()] == ["strict"]
    profile.unlink()
    with RackProcess.start(home):
        listed = tool(home, "--list-mechanisms")
        assert "SHA256" in listed
        assert "SHA-1," not in listed
        assert "SHA-1-HMAC," not in listed
        assert INVALID in digest(home, "SHA-1")
        assert INVALID not in digest(home, "SHA256")


def test_the_commands_take_a_profile(tmp_path: Path, profile: Path) -> None:
    home = tmp_path / "home"
    command = f"pkcs11-tool --module '{module_path()}' --list-mechanisms"
    where = {"cwd": tmp_path, "home": home}
    code, told = run(UKEY, "run", "--profile", profile.name, "--", "sh", "-c", command, **where)
    assert code == 0
    assert "SHA-1," not in told
    code, told = run(UKEY, "run", "--", "sh", "-c", command, **where)
    assert "SHA-1," in told
    code, told = run(UKEY, "run", "--profile", "strict", "--", "true", **where)
    assert (code, "Traceback" in told) == (1, False)
    assert "no profile 'strict'" in told
    with RackProcess.start(home):
        # The file is named as it is seen from here, not from where the rack stands.
        code, told = run(UKEY, "key", "new", "--profile", profile.name, **where)
        assert code == 0, told
        assert INVALID in digest(home, "SHA-1")
