"""One order to seal, from the document to the portal's receipt."""

import hashlib
import hmac
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

from ukey_client.errors import (
    DocumentChanged,
    FileUnwritable,
    OrderIncomplete,
    PlaceAbsent,
    PortalRefused,
)
from ukey_client.login.portal import Portal, Roster
from ukey_client.sealing.document import Place
from ukey_client.sealing.files import read_document, require_writable, write_new
from ukey_client.sealing.seal import seal_pdf
from ukey_client.token import HeldCertificate, Token

LATEST: Final = "latest"
"""Stands in an order for the newest roster that waits for its seal."""


@dataclass(frozen=True)
class Order:
    """What is to be sealed, where on it, and where the result goes."""

    document: Path | None
    roster: str | None
    output: Path
    output_given: bool
    place: Place
    tsa_url: str
    portal: str
    upload: bool
    confirmed: bool
    long_term: bool

    @classmethod
    def of(
        cls,
        *,
        document: Path | None,
        roster: str | None,
        output: Path | None,
        upload: bool,
        yes: bool,
        page: int,
        box: str | None,
        long_term: bool,
        portal: str | None,
        ca: str | None,
        tsa: str | None,
    ) -> Self:
        """Make an order from a command line; OrderIncomplete says what is missing."""
        if (document is None) == (roster is None):
            raise OrderIncomplete("请给出一个 PDF 文件，或用 --roster 指明名册（二者选一）")
        if roster is not None and not portal:
            raise OrderIncomplete("用 --roster 时须用 --portal 指明网报系统的地址")
        if upload and roster is None:
            raise OrderIncomplete("--upload 只用于 --roster 指明的名册")
        tsa_url = tsa or (f"{ca.rstrip('/')}/tsa" if ca else "")
        if not tsa_url:
            raise OrderIncomplete("请用 --ca 或 --tsa 指明时间戳服务的地址")
        return cls(
            document=document,
            roster=roster,
            output=output or _sealed_name(document or _original_name(roster or "")),
            output_given=output is not None,
            place=Place(_page_index(page), _box(box)),
            tsa_url=tsa_url,
            portal=portal or "",
            upload=upload,
            confirmed=yes,
            long_term=long_term,
        )

    def of_roster(self, roster: Roster) -> Self:
        """Make the order that names the roster which was found, and its file after it."""
        output = self.output if self.output_given else _sealed_name(_original_name(roster.id))
        return replace(self, roster=roster.id, output=output)


def carry_out(
    order: Order,
    *,
    open_token: Callable[[], AbstractContextManager[Token]],
    choose: Callable[[Token], HeldCertificate],
    open_portal: Callable[[str], AbstractContextManager[Portal]],
    sign_in: Callable[[Token], None],
    confirm: Callable[[str], None],
    say: Callable[[str], None],
) -> dict[str, str]:
    """Seal and write, for a roster also fetch, show and hand in; facts of what was done.

    `confirm` raises if the holder does not want it; `sign_in` asks for the PIN when all else is
    ready; `say` tells the holder what happens.
    """

    def seal(pdf: bytes, output: Path) -> bytes:
        with open_token() as token:
            sealed = seal_pdf(
                token,
                choose(token),
                pdf,
                tsa_url=order.tsa_url,
                place=order.place,
                long_term=order.long_term,
                before_signing=lambda: sign_in(token),
            )
        write_new(output, sealed)
        return sealed

    if order.document is not None:
        require_writable(order.output)
        pdf = read_document(order.document)
        return _facts(order.output, seal(pdf, order.output))
    with open_portal(order.portal) as portal:
        return _seal_roster(order, portal, seal, confirm, say)


def _seal_roster(
    order: Order,
    portal: Portal,
    seal: Callable[[bytes, Path], bytes],
    confirm: Callable[[str], None],
    say: Callable[[str], None],
) -> dict[str, str]:
    roster = _find(portal, order.roster or "")
    pdf = portal.roster_pdf(roster.id)
    order = order.of_roster(roster)
    digest = hashlib.sha256(pdf).hexdigest()
    if not hmac.compare_digest(digest, roster.sha256):
        raise DocumentChanged
    sealed = _sealed_before(order, pdf)
    if order.upload and roster.state == "sealed":
        raise PortalRefused("already_sealed", "这份名册已经签章上传，不能再交一次")
    if sealed is None:
        require_writable(order.output)
        shown = _keep_beside(order.output, roster, pdf)
        say(f"名册：{roster.title}\n编号：{roster.id}\nSHA-256：{digest}\n原件已保存：{shown}")
        if not order.confirmed:
            confirm("确认对以上名册签章？")
        sealed = seal(pdf, order.output)
    else:
        say(f"{order.output} 已是这份名册签章后的文件，直接上传。")
    facts = _facts(order.output, sealed) | {"roster": roster.id, "title": roster.title}
    if order.upload:
        facts["state"] = portal.upload_sealed(roster.id, sealed)
    return facts


def _find(portal: Portal, roster_id: str) -> Roster:
    rosters = portal.rosters()
    if roster_id == LATEST:
        waiting = [roster for roster in rosters if roster.state == "produced"]
        if not waiting:
            raise PortalRefused("roster_unknown", "没有待签章的名册，请先在网报系统中生成")
        return max(waiting, key=lambda roster: roster.created)
    for roster in rosters:
        if roster.id == roster_id:
            return roster
    raise PortalRefused(
        "roster_unknown", f"没有编号为 {roster_id} 的名册，可用 ukey seal --list 查看"
    )


def _sealed_before(order: Order, pdf: bytes) -> bytes | None:
    """Read what an earlier order sealed and could not hand in: it is not sealed a second time."""
    if not order.upload or not order.output.is_file():
        return None
    before = read_document(order.output)
    return before if before.startswith(pdf) and len(before) > len(pdf) else None


def _keep_beside(output: Path, roster: Roster, pdf: bytes) -> Path:
    """Save what is shown to the holder; the same document may lie there already."""
    path = output.with_name(_original_name(roster.id).name)
    if path == output:
        raise FileUnwritable(path, "这个名称留给未签章的原件，请用 -o 换一个")
    if not (path.is_file() and read_document(path) == pdf):
        write_new(path, pdf)
    return path


def _original_name(roster_id: str) -> Path:
    return Path(f"roster-{roster_id}.pdf")


def _sealed_name(source: Path) -> Path:
    return source.with_name(f"{source.stem}-sealed.pdf")


def _facts(output: Path, sealed: bytes) -> dict[str, str]:
    return {"output": str(output), "sha256": hashlib.sha256(sealed).hexdigest()}


def _page_index(page: int) -> int:
    """From how people count (1 first, -1 last) to how pages are kept (0 first, -1 last)."""
    if page == 0:
        raise PlaceAbsent("页码从 1 开始；-1 是最后一页。")
    return page - 1 if page > 0 else page


def _box(text: str | None) -> tuple[float, float, float, float] | None:
    if text is None:
        return None
    try:
        left, bottom, right, top = (float(part) for part in text.split(","))
    except ValueError as error:
        raise PlaceAbsent("印章位置应写成 左,下,右,上 四个数，单位为点（1/72 英寸）。") from error
    return left, bottom, right, top
