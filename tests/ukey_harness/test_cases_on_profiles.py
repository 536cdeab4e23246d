"""The conformance cases on keys unlike the usual one: what such a key is, is no fault of it."""

from pathlib import Path

import pytest

from ukey_harness.cases.finding import Judgement
from ukey_harness.cases.running.suite import run_suite
from ukey_harness.device.claim import DeviceFileError, parse_device_file, read_device_file
from ukey_harness.device.examiner import DeviceError
from ukey_harness.device.opening import device_of


def device_file(folder: Path, profile: str) -> str:
    path = folder / "device.toml"
    path.write_text(
        f'[device]\nname = "{profile}"\nkind = "emulated"\nprofile = "{profile}"\n'
        "[claims]\nremovable = true\nlocks_after = 10\ntells_tries = 'number'\nunblocks = true\n"
    )
    return str(path)


@pytest.mark.parametrize(
    ("profile", "own", "why"),
    [
        ("write-protected", "WP-01", "shows CKF_WRITE_PROTECTED"),
        ("pin-pad", "LK-08", "takes them from its own pad alone"),
        ("tiny", "WP-02", "needs more sessions than"),
    ],
)
def test_none_is_unmet(tmp_path: Path, profile: str, own: str, why: str) -> None:
    told: dict[str, str] = {}
    with device_of(device_file(tmp_path, profile)) as device:
        for case, finding in run_suite(device):
            judgement = finding.judged(case)
            assert not judgement.harmful, f"{case.id}: {finding.actual}"
            assert judgement is not Judgement.NOT_RUN
            told[case.id] = f"{judgement}: {finding.actual}"
    assert told[own].startswith("exact")  # which no usual key can be asked
    assert any(why in each for each in told.values())


def test_a_profile_is_looked_for_beside_the_device_file(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[token]\nmodel = "mine"\n')
    file = read_device_file(device_file(tmp_path, "mine.toml"))
    assert file.profile == str(tmp_path / "mine.toml")
    with device_of(file.path) as device:
        device.fresh()
        assert device.ask("examine")["token"]["model"] == "mine"


def test_a_profile_that_is_none_is_refused(tmp_path: Path) -> None:
    file = device_file(tmp_path, "pin-pat")
    with pytest.raises(DeviceError, match="pin-pad"), device_of(file) as device:
        device.fresh()


def test_only_the_emulated_key_has_a_profile() -> None:
    with pytest.raises(DeviceFileError, match=r"device\.profile is for the kind emulated"):
        parse_device_file('[device]\nname = "x"\nkind = "softhsm2"\nprofile = "tiny"\n', "x")
