"""`ukey profile`: what keys can be like, and what a real one is like."""

import os
import tomllib
from pathlib import Path

import click

from .asking import fail, json_option, told


@click.group()
def profile() -> None:
    """List and show profiles, and capture one of a real device."""


@profile.command("list")
@json_option
def list_profiles(*, as_json: bool) -> None:
    """List the profiles that ship."""
    from ukey_emulator.profiles import Profile  # noqa: PLC0415 - loaded when it is asked for
    from ukey_emulator.profiles.profile import shipped  # noqa: PLC0415

    profiles = [Profile.load(name) for name in shipped()]
    if as_json:
        click.echo(told([{"name": each.name, "about": each.about} for each in profiles]))
        return
    width = max(len(each.name) for each in profiles)
    for each in profiles:
        click.echo(f"{each.name:<{width}}  {each.about}")


@profile.command("show")
@json_option
@click.argument("wanted", metavar="NAME|FILE")
def show_profile(wanted: str, *, as_json: bool) -> None:
    """Print a profile, one that ships or a file of yours, after a look whether it is one."""
    from ukey_emulator.profiles import Profile, ProfileError  # noqa: PLC0415
    from ukey_emulator.profiles.profile import shipped  # noqa: PLC0415

    try:
        Profile.load(wanted)
    except ProfileError as error:
        fail(str(error), "bad_argument", as_json=as_json)
    path = shipped().get(wanted, Path(wanted))
    text = path.read_text(encoding="utf-8")
    click.echo(told(tomllib.loads(text)) if as_json else text, nl=as_json)


@profile.command("capture")
@json_option
@click.option(
    "--module",
    "path",
    default=lambda: os.environ.get("PKCS11_MODULE"),
    metavar="PATH",
    help="The device's PKCS#11 module.  [default: $PKCS11_MODULE]",
)
@click.option("--slot", type=int, help="The number of the slot.  [default: the only token's]")
@click.option("--token", metavar="LABEL", help="The token with this label.")
@click.option("--name", help="What to call the profile.  [default: as the module]")
@click.option("--objects", is_flag=True, help="Take over what is on it and seen without a login.")
@click.option(
    "--trace",
    "recording",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="How long the device takes: a recording by ukey record.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write; one that is there is replaced.  [default: standard output]",
)
def capture(
    *,
    path: str | None,
    slot: int | None,
    token: str | None,
    name: str | None,
    objects: bool,
    recording: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Read a real device and write a profile by which the emulated key is like it.

    Nothing is written to the device, nobody logs in, and no PIN is tried. The module is loaded into
    this process: take one that you trust.
    """
    from ukey_emulator.capture.device import captured, chosen, default_name  # noqa: PLC0415
    from ukey_emulator.capture.module import CaptureError, opened  # noqa: PLC0415
    from ukey_emulator.capture.writing import as_toml  # noqa: PLC0415
    from ukey_emulator.profiles import Profile, ProfileError  # noqa: PLC0415

    if not path:
        raise click.UsageError("--module, or PKCS11_MODULE, must name the device's module")
    module = Path(path)
    try:
        with opened(module) as device:
            number = chosen(device, slot, token)
            wanted = name or default_name(module)
            members, remarks = captured(device, number, name=wanted, objects=objects)
    except CaptureError as error:
        fail(str(error), "refused", as_json=as_json)
    text = as_toml(members, remarks)
    if recording is not None:
        text += "\n" + _timings(recording, as_json=as_json)
    try:
        Profile.of(tomllib.loads(text), out or Path(f"{wanted}.toml"))
    except ProfileError as error:
        fail(f"the device says what no profile can: {error}", "refused", as_json=as_json)
    if out is not None:
        out.write_text(text, encoding="utf-8")
    if as_json:
        click.echo(told({"file": str(out) if out else None, "profile": tomllib.loads(text)}))
    elif out is None:
        click.echo(text, nl=False)
    else:
        for remark in remarks:
            click.echo(remark, err=True)


def _timings(recording: Path, *, as_json: bool) -> str:
    from ukey_emulator.recording.file import Recording, RecordingError  # noqa: PLC0415
    from ukey_emulator.recording.timing import as_toml, timings  # noqa: PLC0415

    try:
        return as_toml(timings(Recording.read(recording).calls))
    except RecordingError as error:
        fail(str(error), "refused", as_json=as_json)
