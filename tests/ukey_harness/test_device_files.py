"""Device files: what they may say, and what follows from claim and measurement."""

from pathlib import Path
from typing import Any

import pytest

from ukey_harness.device.capability import (
    ERASING,
    LOCKING,
    PLUGGING,
    TAGS,
    TITLES,
    TRIES,
    UNBLOCKING,
    missing,
    needs_of,
    weigh,
)
from ukey_harness.device.claim import (
    DeviceFileError,
    parse_device_file,
    read_device_file,
    shipped,
)

REAL = """
[device]
name = "某厂的钥匙"
kind = "module"
module = "/opt/vendor/libkey.so"
serial = "A1B2"
"""
CONSENT = """
[consent]
erase = "序列号 A1B2 的钥匙可以清空"
[pins]
user_env = "KEY_PIN"
so_env = "KEY_SO_PIN"
"""


def measured(**changes: Any) -> dict[str, Any]:
    seen = {
        "info": {"library": "a vendor's driver"},
        "slot": {"flags": ["CKF_TOKEN_PRESENT", "CKF_REMOVABLE_DEVICE"]},
        "mechanisms": ["0x0", "0x1", "0x1040"],
        "tries_left": 10,
        "lock_trial": {"locked_after": 10, "tried": 20, "right_pin": "CKR_PIN_LOCKED"},
    }
    return seen | changes


class TestFiles:
    def test_the_shipped_ones_are_good(self) -> None:
        assert shipped() == ["emulated", "emulated-opensc", "emulated-piv", "softhsm2"]
        for name in shipped():
            assert read_device_file(name).kind == name.partition("-")[0]
            assert read_device_file(name).way == (name.partition("-")[2] or "pkcs11")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("[device", "no TOML"),
            ("[device]\nkind = 'fake'", "device.kind is 'fake'"),
            ("", "device.kind is None"),
            ("[device]\nkind = 'emulated'\ncolour = 'red'", "device.colour is unknown"),
            ("[device]\nkind = 'emulated'\n[clams]\n", "clams is unknown"),
            ("[device]\nkind = 'module'", "device.module is missing"),
            ("[device]\nkind = 'emulated'\n[claims]\nremovable = 1", "true or false"),
            ("[device]\nkind = 'emulated'\n[claims]\nlocks_after = -1", "whole number"),
            ("[device]\nkind = 'emulated'\n[claims]\ntells_tries = 'maybe'", "tells_tries"),
            ("[device]\nkind = 'emulated'\nname = 3", "device.name must be a text"),
            ("device = 3", "device must be a table"),
        ],
    )
    def test_a_fault_is_named_with_its_place(self, content: str, message: str) -> None:
        with pytest.raises(DeviceFileError, match=r"my\.toml") as caught:
            parse_device_file(content, "my.toml")
        assert message in str(caught.value)

    def test_an_unknown_name_lists_the_known_ones(self) -> None:
        with pytest.raises(DeviceFileError, match="emulated-piv, softhsm2"):
            read_device_file("no-such-device")

    def test_a_file_that_cannot_be_read(self, tmp_path: Path) -> None:
        (tmp_path / "d.toml").write_bytes(b"\xff\xfe")
        with pytest.raises(DeviceFileError, match="cannot be read"):
            read_device_file(str(tmp_path / "d.toml"))


class TestRealKeys:
    def test_a_real_key_must_be_named_by_its_serial_number(self) -> None:
        with pytest.raises(DeviceFileError, match="serial number is named"):
            parse_device_file(REAL.replace('serial = "A1B2"', ""), "d")

    def test_without_consent_it_is_not_erased(self) -> None:
        file = parse_device_file(REAL, "d")
        assert not file.may_erase
        found = weigh(file, measured()).capabilities[ERASING]
        assert not found.present
        assert "序列号 A1B2 的钥匙可以清空" in found.reason

    def test_consent_must_name_the_key(self) -> None:
        other = CONSENT.replace("A1B2", "ZZZZ")
        with pytest.raises(DeviceFileError, match="must read exactly"):
            parse_device_file(REAL + other, "d")

    def test_consent_needs_the_pins_from_the_environment(self) -> None:
        only_consent = CONSENT[: CONSENT.index("[pins]")]
        with pytest.raises(DeviceFileError, match=r"user_env and pins\.so_env are missing"):
            parse_device_file(REAL + only_consent, "d")

    def test_with_consent_it_may_be_erased_and_never_locked(self) -> None:
        file = parse_device_file(REAL + CONSENT, "d")
        assert file.may_erase
        found = weigh(file, measured()).capabilities
        assert found[ERASING].present
        assert not found[LOCKING].present
        assert "永不用掉" in found[LOCKING].reason


class TestWeighing:
    def test_the_emulated_key_can_do_everything(self) -> None:
        found = weigh(read_device_file("emulated"), measured())
        assert all(each.present for each in found.capabilities.values())
        assert found.discrepancies == []

    def test_softhsm_lacks_what_it_lacks_with_a_sentence(self) -> None:
        seen = measured(
            slot={"flags": ["CKF_TOKEN_PRESENT"]},
            tries_left=None,
            lock_trial={"locked_after": None, "tried": 20, "right_pin": "CKR_OK"},
        )
        found = weigh(read_device_file("softhsm2"), seen)
        lacking = {name for name, each in found.capabilities.items() if not each.present}
        assert lacking == {PLUGGING, LOCKING, TRIES}
        assert (
            found.capabilities[PLUGGING].reason
            == "SoftHSM2 的令牌不能拔出：C_GetSlotInfo 未给出 CKF_REMOVABLE_DEVICE"
        )
        assert "20 次" in found.capabilities[LOCKING].reason
        assert found.discrepancies == []

    def test_a_claim_that_is_not_shown_does_not_count_and_is_noted(self) -> None:
        seen = measured(
            slot={"flags": []}, lock_trial={"locked_after": 3, "tried": 20, "right_pin": "X"}
        )
        found = weigh(read_device_file("emulated"), seen)
        assert not found.capabilities[PLUGGING].present
        assert [sentence[:8] for sentence in found.discrepancies] == [
            "设备文件称可以拔出"[:8],
            "设备文件称口令错",
        ]

    def test_without_somebody_to_unplug_it_nothing_is_unplugged(self) -> None:
        found = weigh(read_device_file("emulated"), measured(), operator=False)
        assert not found.capabilities[PLUGGING].present
        assert "没有人" in found.capabilities[PLUGGING].reason

    def test_a_scenarios_needs_are_met_or_explained(self) -> None:
        capabilities = weigh(
            read_device_file("softhsm2"),
            measured(
                slot={"flags": []},
                tries_left=None,
                lock_trial={"locked_after": None, "tried": 20, "right_pin": "CKR_OK"},
            ),
        ).capabilities
        assert missing(set(), capabilities) == ""
        assert missing({UNBLOCKING, ERASING}, capabilities) == ""
        both = missing({LOCKING, PLUGGING}, capabilities)
        assert "拔出" in both
        assert "锁定" in both

    def test_every_capability_has_a_title_and_a_tag(self) -> None:
        assert set(TAGS.values()) == set(TITLES)
        assert needs_of({"需要拔插", "S-B3"}) == {PLUGGING}
