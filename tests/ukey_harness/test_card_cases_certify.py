"""`ukey certify --suite card` on a card that is not ours to make anew, and wrong choices.

The emulated key plays the vendor's: reached by its reader's name alone, as any other is.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ukey_emulator.rack.rack import Rack
from ukey_emulator.remote import RackProcess
from ukey_harness.cases.card.piv import SECURITY, content, placed
from ukey_harness.cases.card.stand import CardStand
from ukey_harness.cases.catalogue import CARD, all_cases, chosen
from ukey_harness.cases.finding import Finding, Judgement
from ukey_harness.cases.running.suite import run_suite
from ukey_harness.cases.running.supply import supply_of
from ukey_harness.device.examiner import DeviceError
from ukey_harness.device.opening import device_of
from ukey_harness.device.reader import ReaderDevice
from ukey_harness.verdicts.store import load
from ukey_harness.verdicts.verdict import Verdict

IDS = (Path(__file__).parent / "card_case_ids.txt").read_text("utf-8").split()
CERTIFY = (sys.executable, "-m", "ukey_harness.cli", "certify")
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
PIN, PUK, MANAGEMENT = "86421357", "13572468", "0102030405060708" * 3
GUID_OF_NONE = "0" * 32
NAMES = ("PV-05", "PV-10", "PV-11", "PV-13", "PV-19", "PV-25", "PV-28", "PV-29", "AP-09", "RD-07")
CHANGING = {"PV-11", "PV-19"}


class Vendors:
    """A device file for the card in a reader of that name, at that resource manager."""

    def __init__(self, reader: str, socket: Path, folder: Path) -> None:
        self.socket = socket
        self.file = folder / "vendor.toml"
        self.name(reader)

    def name(self, reader: str) -> None:
        """Write the device file anew for the card in that reader."""
        self.reader = reader
        self.write(GUID_OF_NONE)
        self.serial = self._tell_serial()
        self.write(self.serial)

    def write(self, serial: str, *, consents: bool = False) -> None:
        sentence = f"erase = '序列号 {serial} 的钥匙可以清空'" if consents else ""
        self.file.write_text(
            f"[device]\nname = 'theirs'\nkind = 'reader'\nreader = '{self.reader}'\n"
            f"serial = '{serial}'\n[consent]\n{sentence}\n"
            "[pins]\nuser_env = 'V_PIN'\nso_env = 'V_PUK'\nmanagement_env = 'V_KEY'\n"
            f"[environment]\nPCSCLITE_CSOCK_NAME = '{self.socket}'\n",
            encoding="utf-8",
        )

    def _tell_serial(self) -> str:
        with pytest.raises(DeviceError, match="has the serial number") as refused, self.open():
            pass
        return str(refused.value).partition("serial number ")[2].partition(" ")[0].rstrip(",")

    def open(self) -> ReaderDevice:
        device = device_of(str(self.file))
        assert isinstance(device, ReaderDevice)
        return device

    def run(self, *names: str) -> dict[str, tuple[Judgement, Finding]]:
        with self.open() as device:
            results = run_suite(device, suite=CARD, names=names)
        return {case.id: (finding.judged(case), finding) for case, finding in results}

    def tries(self) -> int | None:
        with self.open() as device:
            return device.tries_left()


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"V_PIN": PIN, "V_PUK": PUK, "V_KEY": MANAGEMENT}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def rack() -> Iterator[RackProcess]:
    with RackProcess.start() as started:
        yield started


@pytest.fixture
def vendors(rack: RackProcess, tmp_path: Path, secrets: None) -> Vendors:
    del secrets
    with rack.remote() as remote:
        key = remote.new_key(pin=PIN, so_pin=PUK)
    return Vendors(f"{key.name} ", rack.home / "pcscd.comm", tmp_path)


class TestCatalogue:
    def test_an_id_never_moves(self) -> None:
        assert sorted(all_cases(CARD)) == sorted(IDS)

    def test_no_id_is_one_of_another_suite(self) -> None:
        assert not set(all_cases(CARD)) & set(all_cases())

    def test_each_case_says_what_it_demands_and_where(self) -> None:
        for case in all_cases(CARD).values():
            assert case.suite == CARD
            assert case.clause.startswith(("ISO/IEC 7816-4:2020 §", "SP 800-73-5 Part", "PC/SC ",
                                           "Yubico PIV ")), case.id  # fmt: skip
            assert case.rule.endswith("."), case.id
            source = Path(__file__).parents[2] / "harness" / "ukey_harness" / "cases"
            assert f'"{case.id}"' in (source / case.place[0]).read_text("utf-8"), case.id

    def test_cases_are_chosen_by_group(self) -> None:
        assert len(chosen(["ap"], CARD)) == 20


class TestRealCards:
    def test_without_consent_nothing_is_written_and_no_try_spent(self, vendors: Vendors) -> None:
        before = vendors.tries()
        found = vendors.run(*NAMES)
        for number in CHANGING:
            assert found[number][0] is Judgement.NOT_RUN
            assert "consent.erase" in found[number][1].barred
        assert "last PIN try" in found["PV-13"][1].barred
        assert {n for n in NAMES if found[n][0] is Judgement.EXACT} == {"PV-05", "PV-10", "RD-07"}
        for number in ("PV-25", "PV-28", "PV-29", "AP-09"):
            assert found[number][0] is Judgement.NOT_APPLICABLE, found[number]
        assert vendors.tries() == before

    def test_with_consent_all_is_run_but_what_blocks(self, vendors: Vendors) -> None:
        vendors.write(vendors.serial, consents=True)
        before = vendors.tries()
        found = vendors.run(*NAMES)
        barred = {n for n, (judgement, _) in found.items() if judgement is Judgement.NOT_RUN}
        assert barred == {"PV-13"}
        assert {found[n][0] for n in NAMES if n != "PV-13"} == {Judgement.EXACT}
        assert vendors.tries() == before  # the right PIN was given again
        again = vendors.run("PV-10")["PV-10"]
        assert again[0] is Judgement.EXACT  # and the PIN is the owner's

    def test_no_try_is_spent_when_fewer_than_two_are_left(
        self, rack: RackProcess, vendors: Vendors, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with rack.remote() as remote:
            vendors.name(f"{remote.new_key(pin=PIN, so_pin=PUK, tries=2).name} ")
        vendors.write(vendors.serial, consents=True)
        monkeypatch.setenv("V_PIN", "11112222")  # what its owner says is wrong
        found = vendors.run("PV-10", "PV-11", "PV-19", "PV-20", "PV-47")
        assert vendors.tries() == 1
        for number in ("PV-11", "PV-19", "PV-20", "PV-47"):
            assert "two are wanted" in found[number][1].barred, found[number]

    def test_another_card_is_not_touched(self, vendors: Vendors) -> None:
        vendors.write("4711")
        with pytest.raises(DeviceError, match="not 4711: put that card in"), vendors.open():
            pass

    def test_no_pin_is_guessed(self, vendors: Vendors, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("V_PIN")
        judgement, finding = vendors.run("PV-10")["PV-10"]
        assert judgement is Judgement.NOT_APPLICABLE
        assert "has not been handed over" in finding.missing

    def test_what_was_there_before_is_put_back(
        self, vendors: Vendors, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        vendors.write(vendors.serial, consents=True)
        with vendors.open() as device:
            subject = supply_of(device).subject()
        monkeypatch.setenv("PCSCLITE_CSOCK_NAME", str(vendors.socket))
        stand = CardStand(subject)
        placed(stand, SECURITY, b"\xba\x00\xbb\x03own\xfe\x00")
        stand.leave()
        assert vendors.run("PV-36")["PV-36"][0] is Judgement.EXACT
        assert content(stand, SECURITY) == b"\xba\x00\xbb\x03own\xfe\x00"
        stand.leave()
        stand.context.release()


def test_the_cases_hold_where_the_resource_manager_is_pcscd(tmp_path: Path, secrets: None) -> None:
    """What they expect of a reader is what one does that is not ours; the card is the same."""
    del secrets
    names = ["RD", *(each for each in IDS if each.startswith("AP"))]
    with (
        TemporaryDirectory(prefix="ukey-") as home,
        Rack(Path(home), lasting=False) as rack,
    ):
        rack.keys.new(pin=PIN, so_pin=PUK)
        with rack.pcscd() as socket:
            vendors = Vendors("ukeylab-1 00 00", socket, tmp_path)
            vendors.write(vendors.serial, consents=True)
            found = vendors.run(*names)
    kinds = {n: judgement for n, (judgement, _) in found.items()}
    barred = {n for n in kinds if kinds[n] is Judgement.NOT_RUN}
    assert barred == {"AP-19"}
    rest = {n: f"{kinds[n]}: {found[n][1].actual}" for n in kinds if n not in barred}
    unplugged = {n: each for n, each in rest.items() if each.startswith("not_applicable")}
    assert all("while a case runs on this device" in each for each in unplugged.values())
    assert len(unplugged) == 8
    others = {n: each for n, each in rest.items() if n not in unplugged}
    assert {n: each for n, each in others.items() if not each.startswith("exact")} == {}


def certify(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*CERTIFY, *arguments],
        env=ENVIRONMENT | {key: os.environ[key] for key in os.environ if key.startswith("V_")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_device_file_that_names_a_reader_means_the_card_suite(
    vendors: Vendors, tmp_path: Path
) -> None:
    done = certify("--device", str(vendors.file), "--case", "PV-01", "--case", "PV-13",
                   "--case", "PV-10", "--report", str(tmp_path / "r"))  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr  # something was never reached
    run = load(tmp_path / "r" / "record.json")
    verdicts = {each.id: each.verdict for each in run.scenarios}
    assert verdicts == {
        "card/PV-01": Verdict.MET, "card/PV-10": Verdict.MET, "card/PV-13": Verdict.NOT_RUN,
    }  # fmt: skip
    assert run.device is not None
    assert run.device.measured["token"]["serial"] == vendors.serial
    calls = next(each for each in run.scenarios if each.id == "card/PV-10").steps[0].calls
    told = [call.arguments["command"] for call in calls if call.function == "SCardTransmit"]
    assert "00 20 00 80 08 (8 bytes not shown)" in told
    for view in ("record.json", "report.html", "junit.xml"):
        text = (tmp_path / "r" / view).read_text("utf-8")
        assert PIN not in text
        assert "SELECT with the whole identifier" in text


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--device", "softhsm2", "--suite", "card"], 2, "has no reader"),
        (["--suite", "card", "--case", "EN-01"], 1, "there is no case EN-01; the groups are"),
        (["--suite", "cards"], 1, "there is no suite 'cards'"),
    ],
)
def test_a_wrong_choice_is_told_before_anything_starts(
    tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    done = certify(*arguments, "--report", str(tmp_path / "r"))
    assert done.returncode == code
    assert message in done.stderr
    assert not (tmp_path / "r").exists()


def test_a_reader_is_no_device_of_other_suites(vendors: Vendors, tmp_path: Path) -> None:
    done = certify("--device", str(vendors.file), "--suite", "pin", "--report", str(tmp_path / "r"))
    assert done.returncode == 2
    assert "only the suite card" in done.stderr
