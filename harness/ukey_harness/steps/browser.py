"""The holder's browser on the portal: it fetches pages, fills forms in and presses buttons.

It has no script to run, because the portal's pages have none.
"""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx2

from ukey_harness.steps.page import Page

TIME_LIMIT = 60.0  # seconds; the roster's PDF is drawn within a request
API = {"X-Requested-With": "ukeylab"}


class BrowserError(Exception):
    """The portal answered what no person could go on with."""


class Browser:
    """One browser with its own cookies."""

    def __init__(self, origin: str, kept_sessions: Path) -> None:
        self.origin = origin
        self._kept = kept_sessions
        self._client = httpx2.Client(
            base_url=origin, timeout=TIME_LIMIT, trust_env=False, follow_redirects=True
        )

    def open(self, path: str) -> Page:
        """Open a page of the portal."""
        answer = self._client.get(path)
        return Page(str(answer.url), answer.status_code, answer.text)

    def press(
        self, page: Page, button: str, filled: dict[str, str] | None = None, file: bytes = b""
    ) -> Page:
        """Fill in the form that has this button, press it, and return the page that follows."""
        form = page.form_with(button)
        if form is None:
            raise BrowserError(f"there is no button “{button}” on {page.url}: {page.text[:300]}")
        fields = {**form.fields, **(filled or {})}
        headers = {"Origin": self.origin, "Referer": page.url}
        url = urljoin(page.url, form.action)
        if form.multipart:
            files = dict.fromkeys(form.files, ("sealed.pdf", file, "application/pdf"))
            answer = self._client.post(url, data=fields, files=files, headers=headers)
        else:
            answer = self._client.post(url, data=fields, headers=headers)
        return Page(str(answer.url), answer.status_code, answer.text)

    def fetch(self, path: str) -> bytes:
        """Return what lies at an address of the portal; BrowserError unless it is there."""
        answer = self._client.get(path)
        if not answer.is_success:
            raise BrowserError(f"GET {path}: {answer.status_code}")
        return bytes(answer.content)

    def api(self, path: str, body: bytes | dict[str, Any] | None = None) -> tuple[int, Any]:
        """Call the portal's JSON interface with this browser's session; return status and answer.

        body: None for GET; a mapping is sent as JSON, bytes as application/pdf.
        """
        if body is None:
            answer = self._client.get(path)
        elif isinstance(body, bytes):
            headers = {**API, "Content-Type": "application/pdf"}
            answer = self._client.post(path, content=body, headers=headers)
        else:
            answer = self._client.post(path, json=body, headers=API)
        return answer.status_code, answer.json()

    def take_over(self) -> Page:
        """Go on with the login of `ukey login`: its one-time address is opened here."""
        with httpx2.Client(base_url=self.origin, timeout=TIME_LIMIT, trust_env=False) as program:
            program.cookies.update(self._kept_cookies())
            answer = program.post("/api/session/ticket", headers=API)
        if not answer.is_success:
            raise BrowserError(f"the portal gives no ticket: {answer.text}")
        return self.open(answer.json()["url"])

    def close(self) -> None:
        """Close the browser."""
        self._client.close()

    def _kept_cookies(self) -> dict[str, str]:
        for file in self._kept.glob("session-*.json"):
            kept = json.loads(file.read_text(encoding="utf-8"))
            if kept["origin"] == self.origin:
                return dict(kept["cookies"])
        raise BrowserError(f"no login of `ukey login` at {self.origin} is kept")
