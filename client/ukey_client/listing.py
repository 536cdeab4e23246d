"""Certificates on the keys, and rosters of the portal, as facts (for JSON) and as tables."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ukey_client.errors import FileUnreadable
from ukey_client.login.portal import Roster
from ukey_client.sealing.files import read_document
from ukey_client.token import HeldCertificate, Token, Way
from ukey_client.token.uri import TokenUri

_ROSTER_STATES: Final = {"produced": "待签章", "sealed": "已签章上传"}

Facts = dict[str, str | int | None]


def list_certificates(way: Way, now: datetime) -> list[Facts]:
    """Facts of every certificate on every key that fits; faults as in Way.open_all."""
    wanted = TokenUri.parse(way.uri) if way.uri else None
    tokens = way.open_all()
    try:
        return [
            _facts(token, held, now)
            for token in tokens
            for held in token.certificates()
            if wanted is None or wanted.matches_certificate(held)
        ]
    finally:
        for token in tokens:
            token.close()


def print_table(listed: Sequence[Facts]) -> None:
    """Print the facts as a table."""
    if not listed:
        Console().print("证书介质中没有证书。")
        return
    table = Table(title="我的证书")
    for heading in ("所有者", "颁发者", "序列号", "有效期", "剩余", "证书介质"):
        table.add_column(heading, overflow="fold")
    for one in listed:
        if one["owner"] is None:
            table.add_row(str(one["label"]), "（已损坏，无法读取）", "", "", "", str(one["token"]))
            continue
        table.add_row(
            str(one["owner"]),
            str(one["issuer"]),
            str(one["serial"]),
            f"{str(one['not_before'])[:10]} 至 {str(one['not_after'])[:10]}",
            _left(one["days_left"]),
            str(one["token"]),
        )
    Console().print(table)


def print_rosters(rosters: Sequence[Roster]) -> None:
    """Print the rosters as a table."""
    if not rosters:
        Console().print("网报系统中没有名册。")
        return
    table = Table(title="名册")
    table.add_column("编号", no_wrap=True)
    for heading in ("名称", "生成时间", "状态"):
        table.add_column(heading, overflow="fold")
    for one in rosters:
        state = _ROSTER_STATES.get(one.state, one.state)
        # Text: what the portal says is not read as markup.
        table.add_row(Text(one.id), Text(one.title), Text(_local(one.created)), Text(state))
    Console().print(table)


def read_certificates(paths: Sequence[Path]) -> list[x509.Certificate]:
    """Read certificates from PEM or DER files."""
    found: list[x509.Certificate] = []
    for path in paths:
        try:
            data = read_document(path)
            if data.lstrip().startswith(b"-----BEGIN"):
                found += x509.load_pem_x509_certificates(data)
            else:
                found.append(x509.load_der_x509_certificate(data))
        except ValueError as error:
            raise FileUnreadable(path, "不是证书") from error
    return found


def _facts(token: Token, held: HeldCertificate, now: datetime) -> Facts:
    facts: Facts = {"token": token.label, "token_serial": token.serial, "label": held.label}
    facts["id"] = held.id.hex()
    if held.is_damaged:
        facts |= {"owner": None, "issuer": None, "serial": None, "unit_identifier": None}
        facts |= {"not_before": None, "not_after": None, "days_left": None}
    else:
        facts |= {
            "owner": held.owner,
            "issuer": held.issuer,
            "serial": held.serial,
            "not_before": held.not_before.isoformat(),
            "not_after": held.not_after.isoformat(),
            "days_left": (held.not_after - now).days if now <= held.not_after else -1,
            "unit_identifier": held.unit_identifier,
        }
    return facts


def _local(moment: str) -> str:
    try:
        return f"{datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M}"
    except ValueError:
        return moment


def _left(days: str | int | None) -> str:
    if not isinstance(days, int):
        return ""
    return f"{days} 天" if days >= 0 else "已过期"
