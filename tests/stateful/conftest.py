"""How long the machine runs, and what it runs against.

Usually a fixed, small number of sequences. `--hypothesis-profile=hunt` makes other ones each time,
for hours; UKEYLAB_HUNT=emulated leaves SoftHSM2 out of that.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from devices import Emulated, SoftHsm
from hypothesis import settings
from lengths import HUNT, QUICK

from ukey_harness.device.claim import SOFTHSM_FOLDERS, SOFTHSM_MODULE


@pytest.fixture
def length() -> settings:
    """Tell how long the machine runs: as the profile says, if it is the one for hunting."""
    return HUNT if settings.get_current_profile_name() == "hunt" else QUICK


@pytest.fixture
def hunted() -> set[str]:
    """Tell the devices to run against."""
    return set(os.environ.get("UKEYLAB_HUNT", "emulated softhsm2").split())


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    """Our module on a rack of its own."""
    with Emulated(tmp_path_factory.mktemp("rack")) as device:
        yield device


@pytest.fixture(scope="module")
def softhsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftHsm]:
    """SoftHSM2 with a store of its own."""
    places = [Path(folder) / SOFTHSM_MODULE for folder in SOFTHSM_FOLDERS]
    module = next((place for place in places if place.is_file()), None)
    assert module is not None, "SoftHSM2 is not there: apt-get install softhsm2"
    with SoftHsm(tmp_path_factory.mktemp("softhsm"), str(module)) as device:
        yield device
