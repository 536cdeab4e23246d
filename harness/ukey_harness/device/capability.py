"""What a device can do, computed from what it claims and what it shows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ukey_harness.device.claim import DeviceFile
from ukey_harness.verdicts.record import CapabilityRecord

PLUGGING = "plugging"
LOCKING = "locking"
TRIES = "tries"
UNBLOCKING = "unblocking"
ERASING = "erasing"
GENERATING = "generating"
DRIVER = "driver"

TITLES = {
    PLUGGING: "可以插拔",
    LOCKING: "口令连续输错会锁定",
    TRIES: "能说明剩余次数",
    UNBLOCKING: "柜台可以解锁",
    ERASING: "可以清空重制",
    GENERATING: "能在钥匙里生成密钥",
    DRIVER: "经过 PKCS#11 驱动",
}
TAGS = {
    "需要拔插": PLUGGING,
    "需要锁定": LOCKING,
    "需要剩余次数": TRIES,
    "需要解锁": UNBLOCKING,
    "需要重制": ERASING,
    "需要生成密钥": GENERATING,
    "需要驱动": DRIVER,
}


# CKM_RSA_PKCS_KEY_PAIR_GEN, CKM_EC_KEY_PAIR_GEN
_PAIR_GENERATION = frozenset({"0x0", "0x1040"})


@dataclass
class Findings:
    """Capabilities by name, and the sentences where claim and measurement contradict."""

    capabilities: dict[str, CapabilityRecord] = field(default_factory=dict)
    discrepancies: list[str] = field(default_factory=list)

    def say(self, name: str, *, present: bool, reason: str) -> None:
        """Add a capability."""
        self.capabilities[name] = CapabilityRecord(name, TITLES[name], present, reason)


def weigh(file: DeviceFile, measured: Mapping[str, Any], *, operator: bool = True) -> Findings:
    """Return the capabilities of a device; operator: somebody can plug and unplug it."""
    findings = Findings()
    _weigh_plugging(findings, file, measured, operator=operator)
    _weigh_locking(findings, file, measured)
    _weigh_tries(findings, file, measured)
    _weigh_unblocking(findings, file)
    _weigh_generating(findings, file, measured)
    _weigh_driver(findings, file, measured)
    if not file.is_real or file.may_erase:
        findings.say(ERASING, present=True, reason="每个场景都用一把新制的钥匙")
    else:
        findings.say(
            ERASING,
            present=False,
            reason=f"设备文件未同意清空：consent.erase 应为“{file.consent_wanted}”",
        )
    return findings


def _weigh_plugging(
    findings: Findings, file: DeviceFile, measured: Mapping[str, Any], *, operator: bool
) -> None:
    if _is_card(measured):
        findings.say(PLUGGING, present=True, reason="读卡器里的卡可以取出")
        return
    shown = "CKF_REMOVABLE_DEVICE" in measured["slot"]["flags"]
    if file.claims.removable != shown:
        findings.discrepancies.append(
            f"设备文件称{'可以' if file.claims.removable else '不能'}拔出，"
            f"C_GetSlotInfo {'给出' if shown else '未给出'}了 CKF_REMOVABLE_DEVICE"
        )
    if not shown:
        reason = f"{file.name} 的令牌不能拔出：C_GetSlotInfo 未给出 CKF_REMOVABLE_DEVICE"
    elif not file.claims.removable:
        reason = f"设备文件称 {file.name} 不能拔出（claims.removable = false）"
    elif not operator:
        reason = "没有人可以插拔这把钥匙：本次运行没有终端"
    else:
        reason = "C_GetSlotInfo 给出 CKF_REMOVABLE_DEVICE"
    present = shown and file.claims.removable and operator
    findings.say(PLUGGING, present=present, reason=reason)


def _weigh_locking(findings: Findings, file: DeviceFile, measured: Mapping[str, Any]) -> None:
    if file.is_real:
        findings.say(
            LOCKING, present=False, reason="真实的钥匙：最后一次口令机会永不用掉，不做锁定试验"
        )
        return
    trial = measured["lock_trial"]
    claimed, locked, tried = file.claims.locks_after, trial["locked_after"], trial["tried"]
    if (claimed or None) != locked:
        findings.discrepancies.append(
            f"设备文件称口令{f'错 {claimed} 次锁定' if claimed else '不会锁定'}，"
            f"试验中{f'错 {locked} 次锁定' if locked else f'错 {tried} 次仍未锁定'}"
        )
    if locked is None:
        reason = (
            f"{file.name} 的口令输错不会锁定：连续输错 {tried} 次后，"
            f"正确的口令仍返回 {trial['right_pin']}"
        )
    else:
        reason = f"连续输错 {locked} 次后，正确的口令返回 {trial['right_pin']}"
    findings.say(LOCKING, present=locked is not None, reason=reason)


def _weigh_tries(findings: Findings, file: DeviceFile, measured: Mapping[str, Any]) -> None:
    shown = measured.get("tries_left") is not None
    if (file.claims.tells_tries == "number") != shown:
        findings.discrepancies.append(
            f"设备文件称剩余次数以 {file.claims.tells_tries} 表示，"
            f"令牌上{'有' if shown else '没有'}剩余次数对象"
        )
    if shown and _is_card(measured):
        reason = f"空的 VERIFY 说明剩余次数，现为 {measured['tries_left']}"
    elif shown:
        reason = f"令牌上有剩余次数对象，现为 {measured['tries_left']}"
    else:
        reason = f"{file.name} 不说明剩余次数：令牌上没有剩余次数对象（CKO_HW_FEATURE）"
    findings.say(TRIES, present=shown, reason=reason)


def _weigh_unblocking(findings: Findings, file: DeviceFile) -> None:
    if file.claims.unblocks:
        reason = "设备文件称管理员口令可以解锁"
    else:
        reason = f"设备文件称 {file.name} 不能由管理员解锁（claims.unblocks = false）"
    findings.say(UNBLOCKING, present=file.claims.unblocks, reason=reason)


def _weigh_generating(findings: Findings, file: DeviceFile, measured: Mapping[str, Any]) -> None:
    if _is_card(measured):
        present, reason = True, "PIV 卡自己生成密钥（GENERATE ASYMMETRIC KEY PAIR）"
    else:
        present = bool(_PAIR_GENERATION & set(measured["mechanisms"]))
        reason = (
            f"C_GetMechanismList {'给出' if present else '未给出'} CKM_RSA_PKCS_KEY_PAIR_GEN "
            "或 CKM_EC_KEY_PAIR_GEN"
        )
        if not present:
            reason = f"{file.name} 不能在钥匙里生成密钥：{reason}"
    findings.say(GENERATING, present=present, reason=reason)


def _weigh_driver(findings: Findings, file: DeviceFile, measured: Mapping[str, Any]) -> None:
    if _is_card(measured):
        reason = f"{file.name} 不经过 PKCS#11 驱动：它是读卡器 {measured['slot']['reader']} 里的卡"
    else:
        reason = f"驱动是 {measured['info']['library']}"
    findings.say(DRIVER, present=not _is_card(measured), reason=reason)


def _is_card(measured: Mapping[str, Any]) -> bool:
    """Whether it was looked at through a reader, not through a module."""
    return "reader" in measured["slot"]


def needs_of(tags: Iterable[str]) -> set[str]:
    """Return the capabilities that a scenario's tags ask for (@需要拔插 → plugging)."""
    return {TAGS[tag] for tag in tags if tag in TAGS}


def missing(needs: Iterable[str], capabilities: Mapping[str, CapabilityRecord]) -> str:
    """Return why a scenario with these needs cannot be put to the device; "" when it can."""
    lacking = [capabilities[name] for name in TITLES if name in set(needs)]
    return "；".join(each.reason for each in lacking if not each.present)
