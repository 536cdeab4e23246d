"""`ukey demo`: the whole story, and what it leaves."""

import io
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from PIL import Image
from pyhanko.pdf_utils.reader import PdfFileReader

from ukey_harness.verdicts.store import load
from ukey_harness.verdicts.verdict import Verdict

TIME_LIMIT = 170.0


def demo(folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "ukey_harness.cli", "demo", "--out", str(folder)],
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
        check=False,
    )


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Tell the story once; return its folder and what was printed."""
    folder = tmp_path_factory.mktemp("demo") / "out"
    done = demo(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


def test_the_story_is_told_to_its_end(told: tuple[Path, str]) -> None:
    folder, said = told
    run = load(folder / "record.json")
    assert run.state == "finished"
    assert run.verdict is Verdict.MET
    took = datetime.fromisoformat(run.ended) - datetime.fromisoformat(run.started)
    assert 0 < run.seconds == pytest.approx(took.total_seconds(), abs=0.01)
    [story] = run.scenarios
    assert {step.verdict for step in story.steps} == {Verdict.MET}
    assert "全部符合" in said
    for chapter in range(1, 10):
        assert f"\n{chapter}. " in said


def test_it_leaves_two_sealed_rosters_with_their_pictures(told: tuple[Path, str]) -> None:
    folder, _ = told
    names = {each.name for each in folder.iterdir()}
    assert names == {
        "record.json",
        "report.html",
        "junit.xml",
        "roster-1-sealed.pdf",
        "roster-2-sealed.pdf",
        "roster-1-preview.png",
        "roster-2-preview.png",
    }
    serials = set()
    for number in (1, 2):
        reader = PdfFileReader(io.BytesIO((folder / f"roster-{number}-sealed.pdf").read_bytes()))
        [signature] = reader.embedded_signatures
        assert signature.signer_cert is not None
        serials.add(signature.signer_cert.serial_number)
        with Image.open(folder / f"roster-{number}-preview.png") as picture:
            assert picture.width > 500
    assert len(serials) == 2  # the second was sealed with the renewed certificate


@pytest.mark.skipif(shutil.which("pdfsig") is None, reason="pdfsig is not installed")
def test_pdfsig_finds_both_seals_valid(told: tuple[Path, str]) -> None:
    for number in (1, 2):
        file = str(told[0] / f"roster-{number}-sealed.pdf")
        said = subprocess.run(
            ["pdfsig", file], capture_output=True, text=True, timeout=60, check=False
        ).stdout
        assert "Signature is Valid." in said
        assert "Total document signed" in said


def test_no_pin_is_left_anywhere(told: tuple[Path, str]) -> None:
    folder, said = told
    texts = [said, *((folder / name).read_text() for name in ("record.json", "report.html"))]
    for text in texts:
        assert "12345678" not in text
        assert '"123456"' not in text


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    done = demo(tmp_path)
    assert done.returncode == 1
    assert "is not empty" in done.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["mine.txt"]


def test_a_folder_that_cannot_be_made_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "out"
    done = demo(folder)
    assert done.returncode == 1
    assert f"the folder {folder} cannot be made (Not a directory)" in done.stderr
    assert "--out" in done.stderr
