"""The pytest plugin: fresh keys as fixtures, and the options of the lab's scenarios.

Loaded into every pytest run of an environment that has ukeylab, so it imports nothing but pytest
until a fixture or a scenario of ours is used, and adds no option that another project may have.
"""

import os
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest

from ukey_harness.verdicts.pytest_run import DEVICE, REPORT, recorded, running

if TYPE_CHECKING:
    from ukey_emulator.remote import RackProcess
    from ukey_harness.fixtures.factory import Factory
    from ukey_harness.fixtures.key import Key
    from ukey_harness.steps.worlds import WorldPool
    from ukey_harness.world import World

MARKER = (
    "ukey(profile=, pin=, so_pin=, tries=, label=, initialized=, plugged=, snapshot=, keys=, "
    "faults=): give the test a fresh key like this, see docs/pytest.md of ukeylab."
)
_factory: "pytest.StashKey[Factory]" = pytest.StashKey()
_seen: pytest.StashKey[int] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options under names that are ours alone."""
    group = parser.getgroup("ukeylab", "ukeylab: keys and scenarios")
    group.addoption(
        "--ukey-device",
        dest=DEVICE,
        metavar="FILE",
        default=None,
        help="device under test: emulated (default), emulated-piv, emulated-opensc, softhsm2, or a "
        "device file's path",
    )
    group.addoption(
        "--ukey-report",
        dest=REPORT,
        metavar="DIR",
        default=None,
        help="folder for record.json, report.html and junit.xml of the scenarios' run",
    )


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> Generator[None, object, object]:
    """Add --device as a short form, once everybody else has had the chance to take that name."""
    del early_config, args
    result = yield
    if not _taken(parser, "--device"):
        parser.getgroup("ukeylab").addoption(
            "--device", dest=DEVICE, metavar="FILE", default=None, help="same as --ukey-device"
        )
    return result


def _taken(parser: pytest.Parser, name: str) -> bool:
    groups = [*parser._groups, parser._anonymous]  # noqa: SLF001 - pytest has no public way to ask
    return any(name in option.names() for group in groups for option in group.options)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker; remember the run, for the scenarios' module that is imported later."""
    config.addinivalue_line("markers", MARKER)
    running.append(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Forget the run."""
    if config in running:
        running.remove(config)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give a test that is marked a key, whether it asks for the fixture or not."""
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("ukey") is not None:
            _needs_key(item.fixturenames)


def _needs_key(fixtures: list[str]) -> None:
    if not {"ukey", "ukeys"} & set(fixtures):
        fixtures.append("ukey")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note which call was the last before this test."""
    factory = item.config.stash.get(_factory, None)
    item.stash[_seen] = 0 if factory is None else factory.seen()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a test that failed what was asked of its keys."""
    report = yield
    factory = item.config.stash.get(_factory, None)
    if report.failed and factory is not None and (told := factory.told(item.stash.get(_seen, 0))):
        report.sections.append(("ukey trace", told))
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Give pytest-xdist's workers the run that their records belong to."""
    from ukey_harness.verdicts.session import session_of  # noqa: PLC0415 - only with workers

    config, workerinput = node.config, node.workerinput  # type: ignore[attr-defined]
    session = session_of(config)
    if session is not None:
        workerinput["ukey_run"] = [session.run.id, session.run.started]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Put the record of this run together, if scenarios of ours were in it."""
    record = session.config.stash.get(recorded, None)
    if record is not None:
        from ukey_harness.views.files import write_report  # noqa: PLC0415 - only after scenarios

        interrupted = exitstatus == pytest.ExitCode.INTERRUPTED
        record.finish(write_report, interrupted=interrupted)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say where the record is."""
    record = config.stash.get(recorded, None)
    if record is not None and record.written is not None:
        terminalreporter.write_line(f"ukeylab: {record.summary()}")
        terminalreporter.write_line(f"ukeylab: report in {record.written}")


@pytest.fixture(scope="session")
def ukey_rack() -> Iterator["RackProcess"]:
    """Start a private rack for this process; the environment leads to it while the tests run."""
    from ukey_emulator import module_path  # noqa: PLC0415 - not in other people's runs
    from ukey_emulator.remote import RackProcess  # noqa: PLC0415 - the same

    with pytest.MonkeyPatch.context() as patch, RackProcess.start() as rack:
        patch.setenv("UKEY_HOME", str(rack.home))
        patch.setenv("PKCS11_MODULE", str(module_path()))
        patch.setenv("PCSCLITE_CSOCK_NAME", str(rack.readers_socket))
        with rack.remote() as remote:
            remote.trace_exactly()
        yield rack


@pytest.fixture(scope="session")
def ukey_module(ukey_rack: "RackProcess") -> str:
    """Give the path of the PKCS#11 module, with a rack behind it."""
    del ukey_rack
    return os.environ["PKCS11_MODULE"]


@pytest.fixture(scope="session")
def ukey_factory(
    ukey_rack: "RackProcess", ukey_module: str, pytestconfig: pytest.Config
) -> Iterator["Factory"]:
    """Make keys for fixtures of any scope: with ukey_factory.new(profile="tiny") as key."""
    from ukey_harness.fixtures.factory import Factory  # noqa: PLC0415 - not in other people's runs

    factory = Factory(ukey_rack, ukey_module)
    pytestconfig.stash[_factory] = factory
    yield factory
    del pytestconfig.stash[_factory]
    factory.close()


@pytest.fixture
def ukeys(ukey_factory: "Factory", request: pytest.FixtureRequest) -> Iterator[list["Key"]]:
    """Make as many fresh keys as @pytest.mark.ukey(keys=N) says, one without it."""
    from ukey_harness.fixtures.marked import keys_for  # noqa: PLC0415 - not in other people's runs

    with keys_for(request, ukey_factory) as keys:
        yield keys


@pytest.fixture
def ukey(ukeys: list["Key"]) -> "Key":
    """Make a fresh key, as @pytest.mark.ukey(...) wants it: label, pin, uri, env, and more.

    plug(), unplug(), snapshot(), rewind(), run([...]); trace and faults.
    """
    return ukeys[0]


@pytest.fixture(scope="session")
def _ukey_worlds() -> Iterator["WorldPool"]:
    from ukey_harness.steps.worlds import WorldPool  # noqa: PLC0415 - not in other people's runs

    pool = WorldPool()
    yield pool
    pool.close()


@pytest.fixture
def world(_ukey_worlds: "WorldPool") -> Iterator["World"]:
    """Start CA and portal on loopback, for tests only.

    One world serves test after test, and is replaced after one that changed its clock or took a
    service down.
    """
    from ukey_harness.fixtures.worlds import as_new  # noqa: PLC0415 - not in other people's runs

    running_world = _ukey_worlds.current()
    yield running_world
    if not as_new(running_world):
        _ukey_worlds.close()
