"""The holder's commands: certs, login, bind, seal, renew, pin.

Only this layer prints, asks and knows of exit codes. What is heavy (pyHanko, python-pkcs11) is
imported when a command runs, so that `--help` answers at once.
"""
# ruff: noqa: PLC0415 - imports inside the commands are the point, see above

import contextlib
import dataclasses
import functools
import json
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ukey_client.errors import (
    Declined,
    ExitCode,
    HolderError,
    NotLoggedIn,
    OrderIncomplete,
    TokenAmbiguous,
)

if TYPE_CHECKING:
    from ukey_client.login import Challenge
    from ukey_client.login.portal import BrowserLink, Portal
    from ukey_client.token import HeldCertificate, Token, Way

EXIT_CODES = (
    "Exit codes: 0 done, 1 internal error, 2 usage, 3 module or key, 4 certificate, 5 PIN, "
    "6 refused by the portal, 7 unreachable, 8 document, 9 file, 10 declined, 11 renewal."
)
_DEBUG = "UKEY_DEBUG"


class HolderCommand(click.Command):
    """A command whose faults are messages: a HolderError in Chinese, anything else in short."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Run the command; every fault becomes a message and an exit code."""
        try:
            with _quiet_libraries():
                return super().invoke(ctx)
        except HolderError as error:
            _report(ctx, error)
            ctx.exit(int(error.exit_code))
        except (click.exceptions.Exit, click.Abort, click.ClickException, BrokenPipeError):
            raise
        except Exception as error:  # noqa: BLE001 - the face: no traceback reaches a user
            if os.environ.get(_DEBUG):
                traceback.print_exc()
            click.echo(
                f"internal error（程序内部错误）: {type(error).__name__}. "
                f"Please report it with the output of the same command under {_DEBUG}=1.",
                err=True,
            )
            ctx.exit(int(ExitCode.INTERNAL))


@contextlib.contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Keep what libraries say to developers off the holder's screen, tracebacks included.

    They log, which Python prints where nobody takes the log; and python-pkcs11 cannot end a
    search on a key that has gone when its objects are collected, which Python prints as well.
    """
    if os.environ.get(_DEBUG):
        yield
        return
    unraised, printed, silence = sys.unraisablehook, sys.excepthook, logging.NullHandler()

    def ignore(fault: "sys.UnraisableHookArgs") -> None:
        if not type(fault.exc_value).__module__.startswith("pkcs11."):
            unraised(fault)

    def leave_out(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if not kind.__module__.startswith("pkcs11."):
            printed(kind, error, trace)

    # Cython first prints such an error like an uncaught one, then hands it to the other hook.
    sys.unraisablehook, sys.excepthook = ignore, leave_out
    logging.getLogger().addHandler(silence)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(silence)
        sys.unraisablehook, sys.excepthook = unraised, printed


def _report(ctx: click.Context, error: HolderError) -> None:
    if ctx.params.get("as_json"):
        fault = {"error": type(error).__name__, "message": error.message}
        click.echo(json.dumps(fault, ensure_ascii=False))
    click.echo(error.message, err=True)


def _key_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say which key is meant: the command gets them as its `way`."""

    @functools.wraps(command)
    def gathered(*, module: str, reader: str | None, uri: str | None, **rest: Any) -> None:  # noqa: ANN401 - the command's own options
        command(way=_way(module, reader, uri), **rest)

    decorated: Callable[..., None] = gathered
    for option in (
        click.option("--module", envvar="PKCS11_MODULE", default="", help="PKCS#11 module."),
        click.option(
            "--reader",
            envvar="UKEY_READER",
            help="PC/SC reader of a PIV card, instead of --module: a part of its name, '' for any.",
        ),
        click.option(
            "--token",
            "uri",
            envvar="UKEY_TOKEN",
            help="PKCS#11 URI (RFC 7512) of key or certificate.",
        ),
    ):
        decorated = option(decorated)
    return decorated


def _way(module: str, reader: str | None, uri: str | None) -> "Way":
    """Choose between module and reader: what the command line says goes before the environment."""
    from ukey_client.token import Way

    said = click.get_current_context().get_parameter_source
    if said("module") is ParameterSource.COMMANDLINE:
        if said("reader") is ParameterSource.COMMANDLINE:
            raise OrderIncomplete("--module 和 --reader 只能给出一个")
        reader = None
    return Way(module, reader, uri)


def _token_options(command: Callable[..., None]) -> Callable[..., None]:
    pin_file = "File with the PIN in its first line, - for standard input."
    return _key_options(click.option("--pin-file", help=pin_file)(command))


_portal_option = click.option(
    "--portal", envvar="UKEY_PORTAL", required=True, help="Address of the portal (UKEY_PORTAL)."
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_command = functools.partial(click.command, cls=HolderCommand, epilog=EXIT_CODES)


@_command()
@_key_options
@_json_option
def certs(way: "Way", *, as_json: bool) -> None:
    """List the certificates on every key that is plugged in (我的证书). No PIN is needed."""
    from ukey_client.listing import list_certificates, print_table

    listed = list_certificates(way, datetime.now(UTC))
    if as_json:
        click.echo(json.dumps(listed, ensure_ascii=False, indent=2))
    else:
        print_table(listed)


@_command()
@_token_options
@_portal_option
@click.option("--browser", is_flag=True, help="Give a one-time address to go on in a browser.")
@_json_option
def login(
    way: "Way",
    pin_file: str | None,
    portal: str,
    *,
    browser: bool,
    as_json: bool,
) -> None:
    """Log in to the portal with the key (登录). The session is kept for the other commands.

    With --browser a one-time address is printed that takes the login over into a browser; on a
    desktop it is opened as well.
    """
    from ukey_client.login import log_in

    def show_and_ask(challenge: "Challenge") -> None:
        click.echo("将对以下登录文字签名：", err=True)
        click.echo(challenge.text.rstrip("\n"), err=True)
        _enter_pin(token, way.uri, pin_file)

    with _open(way) as token, _portal(portal) as site:
        certificate = _choose(token, way.uri)
        result = log_in(token, certificate, site, before_signing=show_and_ask)
        _keep_session(site)
        link = site.browser_link() if browser else None
    if as_json:
        facts: dict[str, Any] = {"state": result.state, "unit": result.unit}
        if link is not None:
            facts |= {"url": link.url, "seconds": link.seconds}
        click.echo(json.dumps(facts, ensure_ascii=False))
        return
    if result.state == "bind":
        click.echo(f"{result.unit}：证书有效，首次使用需绑定原有账户，请执行 ukey bind。")
    else:
        click.echo(f"登录成功：{result.unit}")
    if link is not None:
        _hand_to_browser(link)


@_command()
@_portal_option
@click.option("--user", help="User name of the old account; asked for if absent.")
@click.option("--password-file", help="File with the password, - for standard input.")
def bind(portal: str, user: str | None, password_file: str | None) -> None:
    """Bind the certificate to the unit's old account, once (CA用户绑定). Log in first."""
    from ukey_client.binding import bind as bind_account
    from ukey_client.token.pin import pin_entry

    with _portal(portal) as site:
        state = site.session().state
        if state == "none":
            raise NotLoggedIn
        if user is None:
            user = click.prompt("原用户名", err=True)
        entry = pin_entry(password_file, variable="UKEY_PORTAL_PASSWORD")
        result = bind_account(site, user, entry.ask("原密码"))
        _keep_session(site)
    click.echo(f"绑定成功：{result.unit}。今后只用证书即可登录。")


@_command()
@click.argument("document", required=False, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where the result goes.")
@click.option("--roster", metavar="ID", help="Seal this roster of the portal; latest: the newest.")
@click.option("--list", "listing", is_flag=True, help="List the rosters of the portal instead.")
@click.option("--upload", is_flag=True, help="Hand the sealed roster in.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before sealing a roster.")
@click.option("--page", type=int, default=-1, show_default=True, help="Page, 1 first, -1 last.")
@click.option("--box", metavar="L,B,R,T", help="Place of the seal on the page, in points.")
@click.option("--long-term", is_flag=True, help="Embed the proof of validity (PAdES B-LT).")
@click.option("--portal", envvar="UKEY_PORTAL", help="Address of the portal (UKEY_PORTAL).")
@click.option("--ca", envvar="UKEY_CA", help="Address of the CA; its TSA is below it (UKEY_CA).")
@click.option("--tsa", envvar="UKEY_TSA", help="Address of the TSA, if it is elsewhere.")
@_token_options
@_json_option
def seal(
    way: "Way",
    pin_file: str | None,
    document: Path | None,
    roster: str | None,
    *,
    listing: bool,
    as_json: bool,
    **wishes: Any,  # noqa: ANN401 - the options of the order, by their names
) -> None:
    """Seal a PDF with the key's seal (电子签章), or a roster of the portal.

    The result is DOCUMENT-sealed.pdf beside DOCUMENT, or what -o says. Nothing is overwritten.
    """
    if listing:
        if document is not None or roster is not None:
            raise OrderIncomplete("--list 只列出名册，不能同时给出文件或 --roster")
        _list_rosters(wishes["portal"], as_json=as_json)
        return

    from ukey_client.sealing.order import Order, carry_out

    order = Order.of(document=document, roster=roster, **wishes)

    def sign_in(token: "Token") -> None:
        _enter_pin(token, way.uri, pin_file)

    done = carry_out(
        order,
        open_token=lambda: _open(way),
        choose=lambda token: _choose(token, way.uri),
        open_portal=_portal,
        sign_in=sign_in,
        confirm=_confirm,
        say=lambda text: click.echo(text, err=True),
    )
    if as_json:
        click.echo(json.dumps(done, ensure_ascii=False))
    else:
        click.echo(f"签章完成：{done['output']}")
        if "state" in done:
            click.echo("已上传，网报系统已接收签章后的名册。")


@_command()
@_token_options
@click.option("--ca", envvar="UKEY_CA", required=True, help="Address of the CA (UKEY_CA).")
@click.option(
    "--ca-certificate",
    "ca_files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Certificate of the CA (PEM or DER), if the key does not hold it.",
)
def renew(way: "Way", pin_file: str | None, ca: str, ca_files: Sequence[Path]) -> None:
    """Renew the certificate on the key (延期): a new key pair, CMP, the new certificate."""
    from ukey_client.listing import read_certificates
    from ukey_client.renewal import renew as renew_certificate

    with _open(way) as token:
        certificate = _choose(token, way.uri)
        known = [*read_certificates(ca_files), *token.authorities()]
        _enter_pin(token, way.uri, pin_file)
        fresh = renew_certificate(
            token, certificate, ca.rstrip("/") + "/cmp", ca_certificates=known
        )
    click.echo(f"延期成功：{fresh.owner}，新证书有效期至 {fresh.not_after.astimezone():%Y-%m-%d}。")


@click.group(epilog=EXIT_CODES)
def pin() -> None:
    """PIN of the key (证书口令)."""


@pin.command(cls=HolderCommand, epilog=EXIT_CODES)
@_token_options
@click.option("--new-pin-file", help="File with the new PIN; otherwise UKEY_NEW_PIN or a question.")
def change(way: "Way", pin_file: str | None, new_pin_file: str | None) -> None:
    """Change the PIN (密码修改): the old one once, the new one twice."""
    from ukey_client.errors import PinUnacceptable
    from ukey_client.pin import change_pin, require_acceptable
    from ukey_client.token.pin import TerminalPin, pin_entry

    with _open(way) as token:
        _warn(token)
        old = pin_entry(pin_file, _pin_source(way.uri)).ask("原证书口令")
        entry = pin_entry(new_pin_file, variable="UKEY_NEW_PIN")
        new = entry.ask("新证书口令")
        require_acceptable(token, old, new)
        if isinstance(entry, TerminalPin) and entry.ask("再次输入新口令") != new:
            raise PinUnacceptable("两次输入的新口令不一致")
        change_pin(token, old, new)
    click.echo("证书口令修改成功。")


# --- what the commands share ------------------------------------------------------------------


def _open(way: "Way") -> "Token":
    """Open the key that is meant; the holder chooses if there are several."""
    try:
        return way.open()
    except TokenAmbiguous as error:
        if not sys.stdin.isatty() or not error.uris:
            raise
        chosen = error.uris[_ask_which("证书介质", error.present)]
        return dataclasses.replace(way, uri=chosen).open()


def _choose(token: "Token", uri: str | None) -> "HeldCertificate":
    from ukey_client.token.choice import choose_certificate
    from ukey_client.token.port import describe

    def ask(held: Sequence["HeldCertificate"]) -> "HeldCertificate":
        from ukey_client.errors import CertificateAmbiguous
        from ukey_client.renewal import unfinished

        # A renewal that broke leaves two that are good: the one it began with is surely in force.
        settled = [one for one in held if not unfinished.is_marked(one.label)]
        if len(settled) == 1:
            return settled[0]
        if not sys.stdin.isatty():
            raise CertificateAmbiguous(describe(held))
        return held[_ask_which("证书", describe(held))]

    return choose_certificate(token, uri, datetime.now(UTC), ask)


def _ask_which(what: str, lines: Sequence[str]) -> int:
    for number, line in enumerate(lines, 1):
        click.echo(f"  {number}. {line}", err=True)
    chosen = click.prompt(f"请选择{what}", type=click.IntRange(1, len(lines)), err=True)
    return int(chosen) - 1


def _warn(token: "Token") -> None:
    """Say how the PIN stands before it is asked for; PinLocked if it cannot be tried at all."""
    from ukey_client.errors import PinLocked
    from ukey_client.token.pin import warning_of

    state = token.pin_state()
    if state.locked:
        raise PinLocked
    warning = warning_of(state)
    if warning:
        click.echo(warning, err=True)


def _enter_pin(token: "Token", uri: str | None, pin_file: str | None) -> None:
    from ukey_client.token.pin import pin_entry

    _warn(token)
    if token.has_own_pin_entry:
        click.echo("请在证书介质上输入口令。", err=True)
        token.login(None)
        return
    token.login(pin_entry(pin_file, _pin_source(uri)).ask("证书口令"))


def _pin_source(uri: str | None) -> Path | None:
    from ukey_client.token.uri import TokenUri

    return TokenUri.parse(uri).pin_source if uri else None


def _portal(url: str) -> "Portal":
    """Open the portal with the session that an earlier command kept."""
    from ukey_client.login.portal import Portal
    from ukey_client.login.session_store import SessionStore, default_folder

    portal = Portal(url)
    portal.resume(SessionStore(default_folder()).load(portal.origin))
    return portal


def _list_rosters(portal: str | None, *, as_json: bool) -> None:
    from ukey_client.listing import print_rosters

    if not portal:
        raise OrderIncomplete("请用 --portal 指明网报系统的地址")
    with _portal(portal) as site:
        rosters = site.rosters()
    if as_json:
        facts = [dataclasses.asdict(one) for one in rosters]
        click.echo(json.dumps(facts, ensure_ascii=False, indent=2))
    else:
        print_rosters(rosters)


def _hand_to_browser(link: "BrowserLink") -> None:
    """Print the address; on a desktop, with somebody at the terminal, open it as well."""
    lifetime = f"{link.seconds} 秒内有效，" if link.seconds else "很快失效，"
    click.echo(f"请在浏览器中打开以下一次性登录链接（{lifetime}只能使用一次，请勿转发）：")
    click.echo(link.url)
    desktop = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if desktop and sys.stdout.isatty():
        import webbrowser

        with contextlib.suppress(webbrowser.Error, OSError):  # the address stands above
            webbrowser.open(link.url)


def _keep_session(portal: "Portal") -> None:
    from ukey_client.login.session_store import SessionStore, default_folder

    SessionStore(default_folder()).save(portal.origin, portal.cookies)


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise Declined("需要确认才能签章：请在终端中操作，或加 -y。")
    if not click.confirm(question, err=True):
        raise Declined
