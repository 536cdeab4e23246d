"""The same scenarios with the key as a PIV card: through PC/SC itself, and through OpenSC.

Some of each feature: those in which the way to the key matters. All of them are run by
`pytest tests/scenarios --device emulated-piv` and `--device emulated-opensc`.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ukey_harness.device.ways import opensc_module

FEATURES = Path(__file__).parents[1] / "scenarios" / "test_features.py"

EVERYWHERE = {
    "列出钥匙里的证书",
    "绑定之后登录，就可以办理业务",
    "没有插钥匙",
    "口令框打开时拔出钥匙",
    "改口令之后，只有新口令有效",
    "旧口令在钥匙的每个接口上都被拒绝",
    "锁定的钥匙到柜台解锁，证书和印章都还在",
    "一次签章口令，签章并上传，然后预览",
    "时间戳服务连接不上，不用输口令就知道",
    "签章中途断电，原件完好，重来一次就行",
}
ONLY_A_CARD = {
    "输错一次，提示剩余次数；输对之后次数恢复",
    "用延期后的证书签章",
    "延期在新证书送回的路上断电，钥匙仍能登录，重来一次就成功",
    "延期在确认送达之前拔出钥匙，插上仍能登录，重来一次就成功",
}
ONLY_A_DRIVER = {"驱动不是 PKCS#11 模块"}
CHOSEN = EVERYWHERE | ONLY_A_CARD | ONLY_A_DRIVER
# As pytest names them where it does not just leave the punctuation out.
EXAMPLES = {
    "延期在新证书送回的路上断电，钥匙仍能登录，重来一次就成功": (
        "延期在时候断电钥匙仍能登录重来一次就成功",
        "新证书送回的路上",
    ),
    "延期在确认送达之前拔出钥匙，插上仍能登录，重来一次就成功": (
        "延期在时候拔出钥匙插上仍能登录重来一次就成功",
        "确认送达之前",
    ),
}


def run(device: str, folder: Path) -> dict[str, tuple[str, str]]:
    """Put the chosen scenarios to a device; verdict and reason by name."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["--ukey-device", device, "--ukey-report", str(folder)]
    command += [f"{FEATURES}::test_{in_pytest(name)}" for name in sorted(CHOSEN)]
    environment = {name: value for name, value in os.environ.items() if name[:6] != "PYTEST"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    record: dict[str, Any] = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    found = {one["name"]: (one["verdict"], one["reason"]) for one in record["scenarios"]}
    assert done.returncode == 0, (found, done.stdout[-3000:])
    assert found.keys() == CHOSEN
    return found


def in_pytest(name: str) -> str:
    """Give a scenario's name in pytest's form, in which examples are escaped."""
    if name in EXAMPLES:
        function, example = EXAMPLES[name]
        return f"{function}[{example.encode('unicode_escape').decode()}]"
    return re.sub(r"[，；#]", "", name).replace(" ", "_").lower()


def test_through_a_reader(tmp_path: Path) -> None:
    found = run("emulated-piv", tmp_path)
    for name in EVERYWHERE | ONLY_A_CARD:
        assert found[name][0] == "met", (name, found[name])
    for name in ONLY_A_DRIVER:
        assert found[name][0] == "not_applicable"
        assert "不经过 PKCS#11 驱动" in found[name][1]


@pytest.mark.skipif(not opensc_module(), reason="OpenSC's module is not installed")
def test_through_opensc(tmp_path: Path) -> None:
    found = run("emulated-opensc", tmp_path)
    for name in EVERYWHERE | ONLY_A_DRIVER:
        assert found[name][0] == "met", (name, found[name])
    for name in ONLY_A_CARD:
        assert found[name][0] == "not_applicable"
        assert "C_GetMechanismList" in found[name][1] or "剩余次数对象" in found[name][1]
