"""From the key into a browser, and from the browser's roster back to the key."""

import json
import sys
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from click.testing import CliRunner, Result
from small_ca import SmallCa
from small_portal import SmallPortal
from softhsm_key import LABEL, MODULE, PIN, Key, configure, init_token

from ukey_client import cli
from ukey_client.errors import PortalOdd
from ukey_client.login.portal import Portal
from ukey_harness.world import World
from ukey_harness.world.portal.enrolment.examples import example_person
from ukey_harness.world.units import Unit

ACCOUNT = ("old-user", "old-Password-1")
Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("PKCS11_MODULE", MODULE)
    monkeypatch.setenv("UKEY_PIN", PIN)
    monkeypatch.setenv("UKEY_PORTAL_PASSWORD", ACCOUNT[1])
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)

    def call(command: str, *arguments: object) -> Result:
        return CliRunner().invoke(getattr(cli, command), [str(one) for one in arguments])

    return call


def assert_clean(result: Result, code: int, *words: str) -> None:
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    for word in words:
        assert word in result.output


# --- at the real portal -------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> Iterator[World]:
    assert run
    configure(tmp_path / "softhsm")
    init_token()
    with World.start() as world:
        unit = Unit.example(3)
        world.counter.provision(MODULE, token_label=LABEL, pin=PIN, unit=unit, key="p256")
        world.add_account(*ACCOUNT, unit)
        monkeypatch.setenv("UKEY_PORTAL", world.portal_url)
        monkeypatch.setenv("UKEY_CA", world.ca_url)
        yield world


def produce(world: World, cookies: dict[str, str], person: int) -> str:
    told = example_person(person, world.clock.now().date())
    with httpx2.Client(
        base_url=world.portal_url, cookies=cookies, headers={"X-Requested-With": "ukeylab"}
    ) as program:
        assert program.post("/api/enrolment/persons", json=told).status_code == 201
        assert program.post("/api/enrolment/submit").status_code == 200
        made = program.post("/api/rosters")
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def kept_cookies(tmp_path: Path) -> dict[str, str]:
    (file,) = (tmp_path / "home" / "client").glob("session-*.json")
    return dict(json.loads(file.read_text())["cookies"])


def test_from_the_key_to_the_browser_and_the_newest_roster_back(
    run: Run, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # Before the account is bound the browser lands on the page that binds it.
    result = run("login", "--browser", "--json")
    assert_clean(result, 0)
    told = json.loads(result.stdout)
    assert (told["state"], told["seconds"]) == ("bind", 60)
    with httpx2.Client(base_url=world.portal_url) as browser:
        assert browser.get(told["url"]).status_code == 200
        assert "CA用户绑定" in browser.get("/bind").text
    assert_clean(run("bind", "--user", ACCOUNT[0]), 0, "绑定成功")

    result = run("login", "--browser")
    assert_clean(result, 0, "登录成功", "一次性登录链接", "60 秒内有效")
    url = result.stdout.splitlines()[-1]
    with httpx2.Client(base_url=world.portal_url) as browser:
        assert browser.get("/business").status_code != 200
        assert browser.get(url).status_code == 200
        assert browser.get("/business").status_code == 200
    with httpx2.Client() as late:
        assert late.get(url).status_code == 403

    assert_clean(run("seal", "--list"), 0, "没有名册")
    assert_clean(run("seal", "--roster", "latest"), 6, "没有待签章的名册")
    first = produce(world, kept_cookies(tmp_path), 0)
    order = ["seal", "--roster", "latest", "-y", "--upload"]
    result = run(*order, "--json")
    assert_clean(result, 0)
    assert json.loads(result.stdout)["roster"] == first
    assert (tmp_path / f"roster-{first}-sealed.pdf").is_file()
    second = produce(world, kept_cookies(tmp_path), 1)
    assert_clean(run("seal", "--list"), 0, first, second, "待签章", "已签章上传")
    listed = json.loads(run("seal", "--list", "--json").stdout)
    assert {one["id"]: one["state"] for one in listed} == {first: "sealed", second: "produced"}
    assert all(one["title"] and one["created"] for one in listed)
    assert_clean(run(*order), 0, second, "已上传")
    assert_clean(run(*order), 6, "没有待签章的名册")


def test_the_login_page_names_the_way_into_the_browser(world: World) -> None:
    page = httpx2.get(world.portal_url + "/login").text
    assert f"ukey login --portal {world.portal_url} --browser" in page


# --- what else may come -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/login/continue?ticket=x",
        "http://portal.example/login/continue?ticket=x",
        "https://portal.example/",
        "{origin}@portal.example/",
        "{origin}\\@portal.example/",
        "{origin}/\x1b]0;title\x07",
        "{origin}/a b",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "",
    ],
)
def test_an_address_that_leads_elsewhere_is_not_shown(portal: SmallPortal, url: str) -> None:
    told = json.dumps({"url": url.replace("{origin}", portal.url)}).encode()
    portal.broken = (200, "application/json", told)
    with Portal(portal.url) as site, pytest.raises(PortalOdd, match="登录链接"):
        site.browser_link()


@pytest.mark.parametrize("seconds", [None, "60", 0, -1, True])
def test_a_portal_that_tells_no_lifetime(portal: SmallPortal, seconds: object) -> None:
    url = f"{portal.url}/login/continue?ticket=x"
    told = json.dumps({"url": url, "seconds": seconds}).encode()
    portal.broken = (200, "application/json", told)
    with Portal(portal.url) as site:
        link = site.browser_link()
    assert (link.url, link.seconds) == (url, None)


@pytest.mark.parametrize(
    ("display", "terminal", "opened"), [(":0", True, 1), ("", True, 0), (":0", False, 0)]
)
def test_only_on_a_desktop_a_browser_is_opened(
    portal: SmallPortal,
    monkeypatch: pytest.MonkeyPatch,
    display: str,
    terminal: bool,
    opened: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from ukey_client.login.portal import BrowserLink  # noqa: PLC0415 - beside its use

    calls: list[str] = []

    def fail(url: str) -> bool:
        calls.append(url)
        raise webbrowser.Error("no browser")

    monkeypatch.setattr(webbrowser, "open", fail)
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    cli._hand_to_browser(BrowserLink(portal.url, 60))
    assert len(calls) == opened
    assert portal.url in capsys.readouterr().out


def test_the_list_stands_alone(run: Run, key: Key, portal: SmallPortal, ca: SmallCa) -> None:
    assert key
    assert ca
    assert_clean(run("seal", "--list"), 2, "--portal")
    assert_clean(run("seal", "--list", "a.pdf", "--portal", portal.url), 2, "--list")
    assert_clean(run("seal", "--list", "--roster", "R1", "--portal", portal.url), 2, "--list")
    assert_clean(run("seal", "--list", "--portal", portal.url), 6, "尚未登录")
