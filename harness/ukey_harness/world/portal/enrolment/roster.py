"""Drawing 企业养老保险人员参保登记名册 as a PDF: same persons and time in, same bytes out."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from ukey_harness.world.portal.screens import environment
from ukey_harness.world.portal.settings import CHINA
from ukey_harness.world.units import Unit

from .fields import Enrolment
from .persons import Person

# WeasyPrint stands on Pango and fontconfig, whose state is the process's: one at a time.
_drawing = threading.Lock()


@dataclass(frozen=True)
class Draft:
    """What a roster says: whose it is, for which month, who stands on it, made when (UTC)."""

    id: str
    unit: Unit
    month: str
    batch: int
    persons: Sequence[Person]
    created: datetime


def draw_roster(draft: Draft, rules: Enrolment, site: str) -> bytes:
    """Return the roster as PDF: A4 landscape, Chinese, times and identifier from the draft."""
    # WeasyPrint takes a second to load, which a world that draws nothing need not wait for.
    from weasyprint import HTML, URLFetcher  # type: ignore[import-untyped]  # noqa: PLC0415

    columns = rules.columns()
    rows = [
        [field.shown(person.values[field.code]) for field in columns] for person in draft.persons
    ]
    total = sum((Decimal(person.values["AAC040"]) for person in draft.persons), Decimal(0))
    year, month = draft.month.split("-")
    text = (
        environment()
        .get_template("roster.html")
        .render(
            draft=draft,
            rules=rules,
            site=site,
            columns=columns,
            rows=rows,
            total=f"{total:,.2f}",
            period=f"{year}年{month}月",
            created=draft.created.astimezone(CHINA),
            stamp=draft.created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
    )
    identifier = hashlib.sha256(text.encode()).digest()[:16]
    with _drawing:
        # Nothing is fetched: the page carries its style, and a name in it must not open a file.
        page = HTML(string=text, url_fetcher=URLFetcher(allowed_protocols=()))
        drawn: bytes = page.write_pdf(pdf_identifier=identifier, finisher=_add_form)
    return drawn


def _add_form(_: object, pdf: Any) -> None:  # noqa: ANN401 - pydyf has no types
    """Give the document an empty form, as the seal will be a field of it.

    What sealing adds can then be told from other changes (the hand-in compares the two forms);
    SigFlags (ISO 32000-2 table 225) stands ready, so that sealing does not change it.
    """
    import pydyf  # type: ignore[import-untyped]  # noqa: PLC0415 - comes with WeasyPrint

    pdf.catalog["AcroForm"] = pydyf.Dictionary({"Fields": pydyf.Array([]), "SigFlags": 3})
