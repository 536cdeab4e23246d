"""The document of the profiles tells of every table, member, quirk and profile that there is."""

import re
from pathlib import Path

import pytest

from ukey_emulator import profiles
from ukey_emulator.profiles import Profile
from ukey_emulator.profiles.profile import shipped
from ukey_emulator.profiles.quirks import Quirk
from ukey_emulator.profiles.table import Table

DOCUMENT = (Path(profiles.__file__).parent / "README.md").read_text(encoding="utf-8")
WHOLE = "The whole file"
SAMPLE = {
    "timing": [{"function": "C_Sign", "seconds": 1}],
    "certificate": [{"subject": "CN=a"}],
    "mechanisms": {"CKM_SHA256": {"sizes": [0, 0]}},
}


def sections() -> dict[str, set[str]]:
    """Give the names in the first column of the tables below each heading."""
    found = {}
    for section in re.split(r"^## ", DOCUMENT, flags=re.MULTILINE)[1:]:
        heading, _, text = section.partition("\n")
        rows = re.findall(r"^\| (`.+?) \|", text, re.MULTILINE)
        found[heading] = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    return found


def test_each_table_and_member_is_told_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: dict[str, set[str]] = {}

    def note(table: Table) -> None:
        place = re.sub(r" \d+$", "", table.place).replace("CKM_SHA256", "CKM") or WHOLE
        seen[place] = {name for name in table.known if not name.startswith("CKM_")}

    monkeypatch.setattr(Table, "done", note)
    Profile.of(SAMPLE, tmp_path / "sample.toml")
    seen["[[object]]"] = {"exact"}
    told = sections()
    assert {place: told.get(place) for place in seen} == seen


def test_each_quirk_and_profile_is_told_of() -> None:
    assert sections()["Quirks"] == set(Quirk)
    beginning = DOCUMENT[: DOCUMENT.index("## ")]
    assert set(re.findall(r"^\| `([a-z-]+)` \|", beginning, re.MULTILINE)) == set(shipped())
