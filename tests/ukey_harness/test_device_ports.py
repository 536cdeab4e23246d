"""Devices through their port: the emulated key, SoftHSM2, and a vendor's module."""

import os
import pty
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ukey_harness.cryptoki import CryptokiError, Module, ModuleLoadError
from ukey_harness.device.capability import (
    DRIVER,
    ERASING,
    GENERATING,
    LOCKING,
    PLUGGING,
    TRIES,
    UNBLOCKING,
)
from ukey_harness.device.claim import DeviceFileError, parse_device_file, read_device_file
from ukey_harness.device.examiner import DeviceError, ask
from ukey_harness.device.foreign import ForeignDevice
from ukey_harness.device.opening import device_of, try_out
from ukey_harness.device.operator import HumanOperator
from ukey_harness.device.port import Device

SOFTHSM = Path(read_device_file("softhsm2").module)
needs_softhsm = pytest.mark.skipif(not SOFTHSM.is_file(), reason="softhsm2 is not installed")


@pytest.mark.parametrize("place", ["softhsm", "x86_64-linux-gnu/softhsm"])
def test_softhsm_is_found_where_distributions_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    folders = (f"{tmp_path}/softhsm", f"{tmp_path}/*/softhsm")
    monkeypatch.setattr("ukey_harness.device.claim.SOFTHSM_FOLDERS", folders)
    module = tmp_path / place / "libsofthsm2.so"
    module.parent.mkdir(parents=True)
    module.touch()
    assert read_device_file("softhsm2").module == str(module)


def test_without_softhsm_the_message_names_the_folders_and_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ukey_harness.device.claim.SOFTHSM_FOLDERS", (f"{tmp_path}/none",))
    with pytest.raises(DeviceError, match=r"libsofthsm2\.so is not in .*apt-get install softhsm2"):
        try_out("softhsm2")


def functions(device: Device) -> list[str]:
    return [call.function for call in device.calls()]


@pytest.fixture(scope="module")
def emulated() -> Iterator[Device]:
    with device_of("emulated") as device:
        yield device


@pytest.fixture(scope="module")
def softhsm() -> Iterator[Device]:
    with device_of("softhsm2") as device:
        yield device


class TestEmulated:
    @pytest.fixture
    def device(self, emulated: Device) -> Device:
        return emulated

    def test_it_can_do_all_that_it_claims(self, device: Device) -> None:
        assert {name for name, each in device.capabilities.items() if each.present} == {
            PLUGGING,
            LOCKING,
            TRIES,
            UNBLOCKING,
            ERASING,
            GENERATING,
            DRIVER,
        }
        assert device.findings.discrepancies == []
        assert device.measured["lock_trial"]["locked_after"] == 10
        assert device.measured["tries_left"] == 10

    def test_taken_out_it_is_not_seen_and_plugged_in_it_is(self, device: Device) -> None:
        device.fresh()
        assert device.ask("present")["present"]
        device.take_out()
        assert not device.ask("present")["present"]
        device.plug_in()
        assert device.ask("present")["present"]

    def test_each_fresh_key_is_another_one(self, device: Device) -> None:
        device.fresh()
        first = device.serial
        device.fresh()
        assert device.serial != first
        assert device.ask("login", user="user", pin=device.pin)["rv"] == "CKR_OK"

    def test_its_calls_are_seen_once_and_hold_no_pin(self, device: Device) -> None:
        device.fresh()
        device.calls()
        device.ask("login", user="user", pin=device.pin)
        calls = device.calls()
        assert "C_Login" in [call.function for call in calls]
        assert device.pin not in str([call.arguments for call in calls])
        assert functions(device) == []

    def test_a_locked_key_is_unblocked_with_the_so_pin(self, device: Device) -> None:
        device.fresh()
        for _ in range(10):
            device.ask("login", user="user", pin="000000")
        assert device.ask("login", user="user", pin=device.pin)["rv"] == "CKR_PIN_LOCKED"
        device.unblock("246810")
        assert device.ask("login", user="user", pin="246810")["rv"] == "CKR_OK"

    def test_closing_leaves_nothing(self) -> None:
        with device_of("emulated") as device:
            home = device.home
            assert (home / "control.sock").exists()
        assert not home.exists()


class TestOtherWays:
    """The emulated key as it shows itself through a reader."""

    def test_as_a_card_it_can_do_all_but_bring_a_driver(self) -> None:
        with device_of("emulated-piv") as device:
            lacking = {name for name, each in device.capabilities.items() if not each.present}
            assert lacking == {DRIVER}
            assert device.reader in device.capabilities[DRIVER].reason
            assert device.findings.discrepancies == []
            assert device.measured["lock_trial"]["locked_after"] == 10
            assert device.measured["lock_trial"]["right_pin"] == "SW 6983"
            assert device.measured["tries_left"] == 10
            assert device.way == {"UKEY_READER": device.reader}
            device.take_out()
            with pytest.raises(DeviceError, match="cannot be connected"):
                device.ask("examine")

    def test_through_opensc_it_makes_no_keys_and_tells_no_number(self) -> None:
        with device_of("emulated-opensc") as device:
            lacking = {name for name, each in device.capabilities.items() if not each.present}
            assert lacking == {GENERATING, TRIES}
            assert "C_GetMechanismList" in device.capabilities[GENERATING].reason
            assert device.findings.discrepancies == []
            assert device.measured["lock_trial"]["locked_after"] == 10
            assert "OpenSC" in device.measured["info"]["library"]

    def test_a_way_is_for_the_emulated_key(self) -> None:
        start = '[device]\nname = "x"\nkind = '
        with pytest.raises(DeviceFileError, match="for the kind emulated"):
            parse_device_file(f'{start}"softhsm2"\nway = "piv"', "x")
        with pytest.raises(DeviceFileError, match="must be one of pkcs11, piv, opensc"):
            parse_device_file(f'{start}"emulated"\nway = "usb"', "x")


@needs_softhsm
class TestSoftHsm:
    @pytest.fixture
    def device(self, softhsm: Device) -> Device:
        return softhsm

    def test_it_lacks_what_it_cannot_do(self, device: Device) -> None:
        lacking = {name for name, each in device.capabilities.items() if not each.present}
        assert lacking == {PLUGGING, LOCKING, TRIES}
        assert device.findings.discrepancies == []
        with pytest.raises(DeviceError, match="cannot be taken out"):
            device.take_out()

    def test_it_lives_in_a_private_folder(self, device: Device) -> None:
        assert device.environment["SOFTHSM2_CONF"].startswith(str(device.home))
        assert str(device.home) in Path(device.environment["SOFTHSM2_CONF"]).read_text()

    def test_each_fresh_token_is_another_one(self, device: Device) -> None:
        first = device.serial
        device.fresh()
        assert device.serial != first

    def test_its_calls_come_from_the_recording_module(self, device: Device) -> None:
        device.fresh()
        device.calls()
        request = {"verb": "login", "module": device.module, "label": device.label}
        request |= {"serial": device.serial, "user": "user", "pin": "000000"}
        assert ask(request, device.environment)["rv"] == "CKR_PIN_INCORRECT"
        calls = {call.function: call.rv for call in device.calls()}
        assert calls["C_Login"] == "CKR_PIN_INCORRECT"
        assert calls["C_Initialize"] == "CKR_OK"


@needs_softhsm
class TestForeign:
    """A vendor's module, played by SoftHSM2 with a token that was there before."""

    @pytest.fixture
    def vendor(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        (tmp_path / "tokens").mkdir()
        conf = tmp_path / "softhsm2.conf"
        conf.write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
        monkeypatch.setenv("SOFTHSM2_CONF", str(conf))
        monkeypatch.setenv("VENDOR_PIN", "135790")
        monkeypatch.setenv("VENDOR_SO_PIN", "so-pin-24680")
        request = {"verb": "initialise", "module": str(SOFTHSM), "label": "theirs", "serial": ""}
        answer = ask(request | {"so_pin": "so-pin-24680", "pin": "999999"}, {})
        return str(answer["serial"])

    def device(self, tmp_path: Path, serial: str, *, consent: bool) -> ForeignDevice:
        content = f"""
            [device]
            name = "某厂的钥匙"
            kind = "module"
            module = "{SOFTHSM}"
            serial = "{serial}"
            [claims]
            unblocks = true
        """
        if consent:
            content += f"""
            [consent]
            erase = "序列号 {serial} 的钥匙可以清空"
            [pins]
            user_env = "VENDOR_PIN"
            so_env = "VENDOR_SO_PIN"
            """
        home = tmp_path / "home"
        home.mkdir()
        file = parse_device_file(content, "vendor.toml")
        return ForeignDevice(file, home, HumanOperator(tmp_path / "no-terminal"))

    def login(self, serial: str, pin: str) -> str:
        request = {"verb": "login", "module": str(SOFTHSM), "label": "", "serial": serial}
        return str(ask(request | {"user": "user", "pin": pin}, {})["rv"])

    def test_without_consent_it_is_looked_at_and_left_alone(
        self, tmp_path: Path, vendor: str
    ) -> None:
        with self.device(tmp_path, vendor, consent=False) as device:
            assert not device.capabilities[ERASING].present
            assert device.measured["token"]["label"] == "theirs"
            device.fresh()
        assert self.login(vendor, "999999") == "CKR_OK"

    def test_with_consent_it_is_erased_before_and_after(self, tmp_path: Path, vendor: str) -> None:
        with self.device(tmp_path, vendor, consent=True) as device:
            assert device.capabilities[ERASING].present
            assert "lock_trial" not in device.measured  # the last try is never spent
            serial = device.ask("examine")["token"]["serial"]
            assert self.login(serial, "135790") == "CKR_OK"

    def test_another_serial_number_is_not_touched(self, tmp_path: Path, vendor: str) -> None:
        with (
            pytest.raises(DeviceError, match="no key with serial number beef"),
            self.device(tmp_path, "beef", consent=True),
        ):
            pass
        assert self.login(vendor, "999999") == "CKR_OK"

    def test_consent_without_the_pins_in_the_environment(
        self, tmp_path: Path, vendor: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("VENDOR_SO_PIN")
        with pytest.raises(DeviceError, match="VENDOR_SO_PIN is empty"):
            self.device(tmp_path, vendor, consent=True)


class TestOperator:
    def test_a_person_is_asked_on_the_terminal_and_the_token_is_the_witness(self) -> None:
        person, terminal = pty.openpty()
        seen = []
        done = threading.Event()

        def watch() -> None:
            seen.append(os.read(person, 1000).decode())
            time.sleep(0.2)
            done.set()

        thread = threading.Thread(target=watch)
        thread.start()
        HumanOperator(Path(os.ttyname(terminal)), patience=20).ask("请拔出钥匙", done.is_set)
        thread.join()
        os.close(person)
        os.close(terminal)
        assert "请拔出钥匙" in seen[0]

    def test_patience_ends(self, tmp_path: Path) -> None:
        operator = HumanOperator(tmp_path / "tty", patience=0.1)
        with pytest.raises(DeviceError, match="was not seen within"):
            operator.ask("请拔出钥匙", lambda: False)

    def test_without_a_terminal_nobody_is_there(self, tmp_path: Path) -> None:
        assert not HumanOperator(tmp_path / "no" / "tty").there


class TestExaminer:
    def test_a_file_that_is_no_module(self) -> None:
        request = {"verb": "examine", "module": "/etc/hostname", "label": "", "serial": ""}
        with pytest.raises(DeviceError, match="is no PKCS#11 module"):
            ask(request, {})

    def test_a_module_that_ends_the_process_costs_an_answer_only(self, tmp_path: Path) -> None:
        if shutil.which("cc") is None:
            pytest.skip("no C compiler")
        source = tmp_path / "crash.c"
        source.write_text("unsigned long C_GetFunctionList(void *l){ *(int *)0 = 1; return 0; }\n")
        module = tmp_path / "crash.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", module, source], check=True, timeout=60)
        request = {"verb": "examine", "module": str(module), "label": "", "serial": ""}
        with pytest.raises(DeviceError, match="ended the process: exit code -11"):
            ask(request, {})


@needs_softhsm
def test_raw_calls_take_wrong_arguments_and_give_return_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "c").write_text(f"directories.tokendir = {tmp_path / 't'}\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "c"))
    script = tmp_path / "raw.py"
    # In a process of its own: a module loaded here would stay for all other tests.
    script.write_text(
        "import sys\n"
        "from ukey_harness.cryptoki import CryptokiError, Module\n"
        f"m = Module({str(SOFTHSM)!r})\n"
        "print(m.call('GetInfo', m.ffi.new('CK_INFO *')))\n"
        "m.initialize()\n"
        "slot = m.ffi.new('CK_SLOT_INFO *')\n"
        "print(m.call('GetInfo', None), m.call('GetSlotInfo', 10**6, slot))\n"
        "try:\n    m.open_session(10**6)\n"
        "except CryptokiError as e:\n    print(e, e.code)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines() == [
        str(0x190),
        f"{0x7} {0x3}",
        "C_OpenSession returned CKR_SLOT_ID_INVALID 3",
    ]


def test_no_module_is_a_load_error(tmp_path: Path) -> None:
    with pytest.raises(ModuleLoadError, match=r"none\.so is no PKCS#11 module"):
        Module(tmp_path / "none.so")
    assert str(CryptokiError("C_Login", 0xA4)) == "C_Login returned CKR_PIN_LOCKED"
