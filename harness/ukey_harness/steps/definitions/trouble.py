# ruff: noqa: D401 - a step's docstring says what is done or seen, as its words do
"""Steps about sealing a file of one's own, and what can break in the middle of it."""

from ukey_harness.device.capability import PLUGGING
from ukey_harness.steps.documents import BAD_DOCUMENTS, plain_pdf
from ukey_harness.steps.gate import CutOff, Gate
from ukey_harness.steps.grammar import given, then, when
from ukey_harness.steps.pinbox import PinBox
from ukey_harness.steps.stage import Stage
from ukey_harness.steps.workplace import Outcome
from ukey_harness.verdicts.unmet import demand

FULL_DISK = 40 * 1024  # bytes into one file; a sealed PDF is larger


@given("单位有一个 PDF 文件")
def has_pdf(stage: Stage) -> None:
    """A plain PDF of one page."""
    _put(stage, plain_pdf("单位的文件"))


@given("文件是{kind}")
def has_bad_file(stage: Stage, kind: str) -> None:
    """A file that cannot be sealed."""
    _put(stage, BAD_DOCUMENTS[kind]())


@given("文件已经签章")
def already_sealed(stage: Stage) -> None:
    """The file bears the unit's seal."""
    seal_file(stage)
    sealed(stage)


@when("单位用口令给文件签章")
def seal_file(stage: Stage) -> None:
    """`ukey seal FILE`."""
    _seal(stage)


@when("单位用口令给签章后的文件再签一次")
def seal_twice(stage: Stage) -> None:
    """The sealed file as the input."""
    stage.memory["document"] = stage.memory["sealed_file"]
    stage.memory["sealed_file"] = stage.file("twice-sealed.pdf")
    _seal(stage)


@when("单位给一个不存在的文件签章")
def seal_nothing(stage: Stage) -> None:
    """A path where nothing is."""
    stage.memory["document"] = stage.file("no-such-file.pdf")
    _seal(stage)


@then("签章完成")
def sealed(stage: Stage) -> None:
    """The client says so, and the file is there."""
    outcome = stage.outcome
    good = outcome.code == 0 and stage.memory["sealed_file"].is_file()
    demand(good, "签章完成", f"退出码 {outcome.code}", outcome.said)


@then("原件没有改变，签章后的文件以原件的字节开头")
def original_is_untouched(stage: Stage) -> None:
    """An incremental update (ISO 32000-2 §7.5.6)."""
    original = stage.memory["document"].read_bytes()
    demand(original == stage.memory["original"], "原件没有改变", "原件改变了")
    starts = stage.memory["sealed_file"].read_bytes().startswith(original)
    demand(starts, "以原件的字节开头", "不是增量更新")


@then("没有留下签章文件")
def nothing_left(stage: Stage) -> None:
    """Neither the result nor a part of it lies in the folder."""
    wanted = stage.memory["sealed_file"].name
    left = [each.name for each in stage.folder.iterdir() if wanted in each.name]
    demand(not left, "没有", left)


@given("磁盘已满")
def disk_full(stage: Stage) -> None:
    """A limit on the size of a file stands for the full disk: both end a write with an error."""
    stage.largest_file = FULL_DISK
    stage.note(f"以每个文件至多 {FULL_DISK} 字节（RLIMIT_FSIZE）代替写满的磁盘")


@given("时间戳的应答会在路上丢失")
def timestamp_is_lost(stage: Stage) -> None:
    """The first request goes through, the answer to the second does not come back."""

    def lose(number: int) -> None:
        if number > 1:
            raise CutOff

    gate = stage.closing.enter_context(Gate(stage.world.ca_url, after=lose))
    stage.settings["UKEY_CA"] = gate.url


@given("等时间戳的时候钥匙会被拔出", needs={PLUGGING})
def pulled_out_at_timestamp(stage: Stage) -> None:
    """The key goes while the second request is on its way."""

    def pull(number: int) -> None:
        if number == 2:  # noqa: PLR2004 - the second
            stage.device.take_out()

    gate = stage.closing.enter_context(Gate(stage.world.ca_url, before=pull))
    stage.settings["UKEY_CA"] = gate.url


@then("要么签章完整，要么没有留下签章文件")
def all_or_nothing(stage: Stage) -> None:
    """Both are right; half a seal is not."""
    if stage.outcome.code == 0:
        from ukey_harness.steps.definitions.sealing import (  # noqa: PLC0415 - steps of another matter
            pyhanko_accepts,
        )

        pyhanko_accepts(stage)
    else:
        nothing_left(stage)
    stage.settings.pop("UKEY_CA", None)


@when("单位开始签章，口令框打开时拔出钥匙，再输入口令", needs={PLUGGING})
def pulled_out_at_pin_box(stage: Stage) -> None:
    """The key goes while the PIN is asked for."""
    with PinBox(stage.folder) as box:
        program = stage.start_ukey(*_arguments(stage, box.path))
        box.wait_until_asked(program)
        stage.device.take_out()
        box.enter(stage.device.pin)
        stage.finish(program)


@when("单位开始签章，口令框打开时断电")
def power_cut_at_pin_box(stage: Stage) -> None:
    """The program is killed while the PIN is asked for."""
    with PinBox(stage.folder) as box:
        program = stage.start_ukey(*_arguments(stage, box.path))
        box.wait_until_asked(program)
        stage.last = program.kill()
    demand(stage.outcome.code < 0, "程序被中断", f"退出码 {stage.outcome.code}")


def _put(stage: Stage, content: bytes) -> None:
    document = stage.file("document.pdf")
    document.write_bytes(content)
    stage.memory |= {
        "document": document,
        "original": content,
        "sealed_file": stage.file("document-sealed.pdf"),
    }


def _arguments(stage: Stage, pin_file: str) -> tuple[str, ...]:
    output = str(stage.memory["sealed_file"])
    return ("seal", str(stage.memory["document"]), "-o", output, "--pin-file", pin_file)


def _seal(stage: Stage) -> Outcome:
    pin = stage.memory.get("new_pin", stage.device.pin)
    return stage.ukey(*_arguments(stage, "-"), typed=f"{pin}\n")
