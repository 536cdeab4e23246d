"""The holder's commands as they are typed: words, exit codes, no traceback, no PIN shown."""

import io
import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pkcs11 import Attribute, CertificateType, ObjectClass
from pyhanko.pdf_utils.reader import PdfFileReader
from small_ca import SmallCa
from small_pdf import make_pdf
from small_portal import SmallPortal
from softhsm_key import LABEL, MODULE, PIN, UNIT, Key, Library, configure, init_token, provision

from ukey_client import cli
from ukey_client.token.cryptoki.token import CryptokiToken
from ukey_client.token.port import PinState


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("PKCS11_MODULE", MODULE)
    monkeypatch.setenv("UKEY_PIN", PIN)

    def call(command: str, *arguments: object, **wishes: str) -> Result:
        given = [str(one) for one in arguments]
        return CliRunner().invoke(getattr(cli, command), given, **wishes)  # type: ignore[arg-type]

    return call


Run = Callable[..., Result]


def assert_clean(result: Result, code: int, *words: str) -> None:
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    assert PIN not in result.output
    for word in words:
        assert word in result.output


# --- certs ------------------------------------------------------------------------------------


def test_certs_as_a_table(run: Run, key: Key) -> None:
    assert key.label == LABEL
    assert_clean(run("certs"), 0, "我的证书", "颁发者", "测试签发机", "天")


def test_certs_as_json(run: Run, key: Key) -> None:
    result = run("certs", "--json")
    assert_clean(result, 0)
    (one,) = json.loads(result.stdout)
    assert one["owner"] == UNIT
    assert one["issuer"] == "测试签发机构"
    assert one["days_left"] in {363, 364}
    assert one["id"] == key.id.hex()
    assert one["unit_identifier"] == "91130100MA0TESTXX1"
    assert one["token"] == LABEL


def test_certs_of_several_keys(run: Run, key: Key) -> None:
    assert key
    init_token("第二把")
    assert_clean(run("certs", "--json"), 0, UNIT)
    assert_clean(run("certs", "--token", "pkcs11:token=第二把"), 0, "没有证书")


def test_certs_of_an_expired_certificate(run: Run, make_key: Callable[..., Key]) -> None:
    make_key("p256", starts=timedelta(days=-30), ends=timedelta(days=-1))
    assert_clean(run("certs"), 0, "已过期")


# --- the way to the key -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--module", "/nowhere.so"], 3, "无法加载证书介质驱动 /nowhere.so"),
        (["--module", "/etc/passwd"], 3, "不是程序库"),
        (["--token", "serial=1"], 2, "pkcs11:"),
        (["--token", "pkcs11:serial=nobody"], 3, "没有找到与 pkcs11:serial=nobody 相符"),
        (["--token", "pkcs11:?pin-value=123456"], 2, "pin-source"),
    ],
)
def test_ways_that_lead_to_no_key(
    run: Run, key: Key, arguments: list[str], code: int, words: str
) -> None:
    assert key
    assert_clean(run("certs", *arguments), code, words)
    result = run("certs", "--json", *arguments)
    assert_clean(result, code)
    assert words in json.loads(result.stdout)["message"]


def test_no_module_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PKCS11_MODULE")
    assert_clean(run("certs"), 3, "PKCS11_MODULE")


def test_an_empty_key(run: Run, tmp_path: Path) -> None:
    configure(tmp_path / "bare")
    init_token()
    assert_clean(run("certs"), 0, "没有证书")
    assert_clean(run("login", "--portal", "http://127.0.0.1:9"), 4, "没有可用的证书")


# --- login and bind ---------------------------------------------------------------------------


def test_login_bind_and_the_session_between(run: Run, key: Key, portal: SmallPortal) -> None:
    assert key
    result = run("login", "--portal", portal.url)
    assert_clean(result, 0, f"origin: {portal.url}", "ukey bind")
    os.environ["UKEY_PORTAL_PASSWORD"] = "old-password"
    try:
        result = run("bind", "--portal", portal.url, "--user", "old-user")
    finally:
        del os.environ["UKEY_PORTAL_PASSWORD"]
    assert_clean(result, 0, "绑定成功", UNIT)
    result = run("login", "--portal", portal.url, "--json")
    assert_clean(result, 0)
    assert json.loads(result.stdout) == {"state": "ok", "unit": UNIT}


def test_bind_without_login(run: Run, portal: SmallPortal) -> None:
    assert_clean(run("bind", "--portal", portal.url, "--user", "u"), 6, "尚未登录")


def test_login_with_a_wrong_pin(
    run: Run, key: Key, portal: SmallPortal, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert key
    monkeypatch.setenv("UKEY_PIN", "975310")
    result = run("login", "--portal", portal.url)
    assert_clean(result, 5, "证书口令错误")
    assert "975310" not in result.output
    assert_clean(run("login", "--portal", portal.url), 5, "此前曾输错证书口令")


def test_a_wrong_pin_as_json(
    run: Run, key: Key, portal: SmallPortal, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert key
    monkeypatch.setenv("UKEY_PIN", "975310")
    result = run("login", "--portal", portal.url, "--json")
    assert json.loads(result.stdout)["error"] == "PinIncorrect"


@pytest.mark.parametrize(
    ("state", "code", "words"),
    [
        (PinState(0, low=True, final_try=False, locked=True), 5, "柜台解锁"),
        (PinState(1, low=True, final_try=True, locked=False), 0, "仅剩最后一次机会"),
        (PinState(4, low=True, final_try=False, locked=False), 0, "剩余 4 次机会"),
    ],
)
def test_how_the_pin_stands_is_said_before(
    run: Run,
    key: Key,
    portal: SmallPortal,
    monkeypatch: pytest.MonkeyPatch,
    state: PinState,
    code: int,
    words: str,
) -> None:
    assert key
    monkeypatch.setattr(CryptokiToken, "pin_state", lambda _: state)
    assert_clean(run("login", "--portal", portal.url), code, words)


def test_portals_that_do_not_answer(run: Run, key: Key) -> None:
    assert key
    assert_clean(run("login", "--portal", "http://127.0.0.1:9"), 7, "无法连接网报系统")
    assert_clean(run("login", "--portal", "http://portal.example"), 2, "https")


def test_the_pin_from_a_file(
    run: Run, key: Key, portal: SmallPortal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert key
    monkeypatch.delenv("UKEY_PIN")
    (tmp_path / "pin").write_text(f"{PIN}\n")
    where = ["--portal", portal.url]
    assert_clean(run("login", *where, "--pin-file", tmp_path / "pin"), 0)
    assert_clean(run("login", *where, "--token", f"pkcs11:?pin-source=file:{tmp_path}/pin"), 0)
    assert_clean(run("login", *where, "--pin-file", tmp_path / "none"), 5, "无法取得证书口令")
    (tmp_path / "empty").write_text("")
    assert_clean(run("login", *where, "--pin-file", tmp_path / "empty"), 5, "没有证书口令")
    assert_clean(run("login", *where, "--pin-file", "-", input=f"{PIN}\n"), 0)


# --- seal -------------------------------------------------------------------------------------


def test_seal_a_file(run: Run, key: Key, ca: SmallCa, tmp_path: Path) -> None:
    assert key
    pdf = make_pdf()
    (tmp_path / "名册.pdf").write_bytes(pdf)
    result = run("seal", tmp_path / "名册.pdf", "--ca", ca.url, "--json")
    assert_clean(result, 0)
    assert result.stderr == ""
    sealed = Path(json.loads(result.stdout)["output"])
    assert sealed == tmp_path / "名册-sealed.pdf"
    assert sealed.read_bytes().startswith(pdf)
    assert (tmp_path / "名册.pdf").read_bytes() == pdf
    assert_clean(run("seal", tmp_path / "名册.pdf", "--ca", ca.url), 9, "已存在")
    assert_clean(run("seal", sealed, "--ca", ca.url), 8, "已有电子签章")


def test_where_the_seal_goes(run: Run, key: Key, ca: SmallCa, tmp_path: Path) -> None:
    assert key
    (tmp_path / "a.pdf").write_bytes(make_pdf(pages=3))
    where = ["--page", "2", "--box", "10,10,110,110", "-o", tmp_path / "b.pdf"]
    assert_clean(run("seal", tmp_path / "a.pdf", "--tsa", ca.tsa_url, *where), 0)
    reader = PdfFileReader(io.BytesIO((tmp_path / "b.pdf").read_bytes()))
    (signature,) = reader.embedded_signatures
    assert [float(one) for one in signature.sig_field["/Rect"]] == [10, 10, 110, 110]
    page = reader.root["/Pages"]["/Kids"][1]
    assert len(page["/Annots"]) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["none.pdf"], 9, "不存在"),
        (["a.pdf", "--page", "0"], 8, "页码从 1 开始"),
        (["a.pdf", "--page", "7"], 8, "没有第 7 页"),
        (["a.pdf", "--box", "1,2,3"], 8, "四个数"),
        (["a.pdf", "-o", "nowhere/b.pdf"], 9, "文件夹不存在"),
        (["text.pdf"], 8, "不是有效的 PDF"),
        ([], 2, "二者选一"),
        (["a.pdf", "--roster", "R1"], 2, "二者选一"),
        (["--roster", "R1"], 2, "--portal"),
        (["a.pdf", "--upload"], 2, "--roster"),
    ],
)
def test_orders_that_cannot_be_carried_out(
    run: Run,
    key: Key,
    ca: SmallCa,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    assert key
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UKEY_CA", ca.url)
    Path("a.pdf").write_bytes(make_pdf())
    Path("text.pdf").write_text("no PDF")
    before = sorted(tmp_path.iterdir())
    assert_clean(run("seal", *arguments), code, words)
    assert sorted(tmp_path.iterdir()) == before


def test_no_ca_is_named(run: Run, key: Key, tmp_path: Path) -> None:
    assert key
    (tmp_path / "a.pdf").write_bytes(make_pdf())
    assert_clean(run("seal", tmp_path / "a.pdf"), 2, "--ca")
    assert_clean(run("seal", tmp_path / "a.pdf", "--tsa", "http://127.0.0.1:9"), 7, "时间戳服务")


@pytest.fixture
def signed_in(run: Run, key: Key, portal: SmallPortal) -> SmallPortal:
    assert key
    portal.bound = True
    assert_clean(run("login", "--portal", portal.url), 0, "登录成功")
    return portal


def test_a_roster_from_the_portal_and_back(
    run: Run, signed_in: SmallPortal, ca: SmallCa, tmp_path: Path
) -> None:
    order = ["--roster", "R1", "--portal", signed_in.url, "--ca", ca.url]
    order += ["-o", tmp_path / "out.pdf", "--upload"]
    result = run("seal", *order, "-y")
    assert_clean(result, 0, "企业养老保险人员参保登记名册", signed_in.roster_sha256, "已上传")
    assert signed_in.uploaded == (tmp_path / "out.pdf").read_bytes()
    assert (tmp_path / "roster-R1.pdf").read_bytes() == signed_in.roster


def test_a_roster_that_was_handed_in_is_not_sealed_again(
    run: Run, signed_in: SmallPortal, ca: SmallCa, tmp_path: Path
) -> None:
    signed_in.uploaded = b"earlier"
    order = ["--roster", "R1", "--portal", signed_in.url, "--ca", ca.url, "-y", "--upload"]
    assert_clean(run("seal", *order, "-o", tmp_path / "out.pdf"), 6, "已经签章上传")
    assert ca.mood.calls == []


def test_an_upload_that_failed_is_made_good_without_a_second_seal(
    run: Run, signed_in: SmallPortal, ca: SmallCa, tmp_path: Path
) -> None:
    signed_in.refuse_upload = ("status_unavailable", "请稍后再试")
    order = ["--roster", "R1", "--portal", signed_in.url, "--ca", ca.url, "-y"]
    order += ["-o", tmp_path / "out.pdf", "--upload"]
    assert_clean(run("seal", *order), 6, "请稍后再试")
    sealed = (tmp_path / "out.pdf").read_bytes()
    signed_in.refuse_upload = None
    assert_clean(run("seal", *order), 0, "直接上传", "已上传")
    assert signed_in.uploaded == sealed


def test_a_roster_that_is_not_what_the_portal_says(
    run: Run, signed_in: SmallPortal, ca: SmallCa, tmp_path: Path
) -> None:
    signed_in.roster += b"% changed on the way\n"
    order = ["--roster", "R1", "--portal", signed_in.url, "--ca", ca.url, "-y"]
    assert_clean(run("seal", *order, "-o", tmp_path / "out.pdf"), 8, "摘要不一致")
    assert not (tmp_path / "out.pdf").exists()


def test_a_roster_is_not_sealed_unasked(
    run: Run, signed_in: SmallPortal, ca: SmallCa, tmp_path: Path
) -> None:
    order = ["--roster", "R1", "--portal", signed_in.url, "--ca", ca.url]
    assert_clean(run("seal", *order, "-o", tmp_path / "out.pdf"), 10, "-y")
    assert not (tmp_path / "out.pdf").exists()


@pytest.mark.parametrize("roster", ["R2", "../secret", "..", "a/b"])
def test_rosters_that_are_not_there(
    run: Run, signed_in: SmallPortal, ca: SmallCa, tmp_path: Path, roster: str
) -> None:
    order = ["--roster", roster, "--portal", signed_in.url, "--ca", ca.url, "-y"]
    assert_clean(run("seal", *order, "-o", tmp_path / "out.pdf"), 6, "没有编号")


def test_a_roster_without_login(
    run: Run, key: Key, portal: SmallPortal, ca: SmallCa, tmp_path: Path
) -> None:
    assert key
    order = ["--roster", "R1", "--portal", portal.url, "--ca", ca.url, "-y"]
    assert_clean(run("seal", *order, "-o", tmp_path / "out.pdf"), 6, "尚未登录")


# --- pin --------------------------------------------------------------------------------------


def test_change_the_pin(
    run: Run, key: Key, portal: SmallPortal, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert key
    monkeypatch.setenv("UKEY_NEW_PIN", "24681357")
    assert_clean(run("pin", "change"), 0, "修改成功")
    assert_clean(run("login", "--portal", portal.url), 5, "证书口令错误")
    monkeypatch.setenv("UKEY_PIN", "24681357")
    assert_clean(run("login", "--portal", portal.url), 0)


@pytest.mark.parametrize(
    ("new", "words"), [(PIN, "不能与原口令相同"), ("1", "至少 4 位"), ("1" * 256, "最多 255 位")]
)
def test_pins_that_are_refused(
    run: Run, key: Key, monkeypatch: pytest.MonkeyPatch, new: str, words: str
) -> None:
    assert key
    monkeypatch.setenv("UKEY_NEW_PIN", new)
    assert_clean(run("pin", "change"), 5, words, "原口令未改变")


# --- at a terminal, in a process of its own -----------------------------------------------------


def typed(arguments: list[str], *answers: str, cwd: Path) -> tuple[int, str]:
    """Run a command on a terminal, answering each question; what was seen comes back."""
    program = "import sys; from ukey_client import cli; getattr(cli, sys.argv.pop(1))()"
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(cwd)
        os.execv(sys.executable, [sys.executable, "-c", program, *arguments])  # noqa: S606 - a fixed program
    seen, left, ends = "", list(answers), time.monotonic() + 60
    data = b""
    while time.monotonic() < ends:
        try:
            more = os.read(terminal, 4096)
        except OSError:
            break  # the terminal's other end is closed
        if not more:
            break
        data += more
        seen = data.decode(errors="ignore")
        asked = seen.rsplit("\n", 1)[-1]
        if left and asked.rstrip().endswith(("：", ":")):
            os.write(terminal, f"{left.pop(0)}\n".encode())
            data += b"\n"
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), seen


@pytest.fixture
def at_terminal(key: Key, monkeypatch: pytest.MonkeyPatch) -> Key:
    monkeypatch.setenv("PKCS11_MODULE", key.module)
    return key


def test_the_pin_is_asked_for_and_not_shown(
    at_terminal: Key, portal: SmallPortal, tmp_path: Path
) -> None:
    code, seen = typed(["login", "--portal", portal.url], at_terminal.pin, cwd=tmp_path)
    assert code == 0, seen
    assert "证书口令：" in seen
    assert at_terminal.pin not in seen
    assert "ukey bind" in seen


def test_the_new_pin_is_asked_for_twice(at_terminal: Key, tmp_path: Path) -> None:
    code, seen = typed(["pin", "change"], at_terminal.pin, "246813", "246831", cwd=tmp_path)
    assert code == 5, seen
    assert "两次输入的新口令不一致" in seen
    code, seen = typed(["pin", "change"], at_terminal.pin, "246813", "246813", cwd=tmp_path)
    assert code == 0, seen
    assert "246813" not in seen


def test_the_holder_chooses_between_keys(
    at_terminal: Key, portal: SmallPortal, tmp_path: Path
) -> None:
    init_token("第二把")
    code, seen = typed(["login", "--portal", portal.url], "x", "1", "1", cwd=tmp_path)
    assert "请选择证书介质" in seen
    first = next(line for line in seen.splitlines() if line.strip().startswith("1."))
    # The second key holds no certificate (4); on the first one "1" is a wrong PIN (5).
    assert code == (5 if at_terminal.label in first else 4), seen


def test_without_terminal_nobody_is_asked(
    at_terminal: Key, portal: SmallPortal, tmp_path: Path
) -> None:
    assert at_terminal
    program = "from ukey_client import cli; cli.login()"
    done = subprocess.run(
        [sys.executable, "-c", program, "--portal", portal.url],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        start_new_session=True,  # or getpass would find the terminal of who runs the tests
        check=False,
        timeout=60,
    )
    assert done.returncode == 5, done.stderr
    assert "UKEY_PIN" in done.stderr
    assert "Traceback" not in done.stderr


# --- what nobody foresaw ------------------------------------------------------------------------


def test_an_internal_error_is_one_line(run: Run, key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    assert key

    def broken(_: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(CryptokiToken, "certificates", broken)
    result = run("certs")
    assert_clean(result, 1, "internal error", "UKEY_DEBUG=1")
    assert "secret detail" not in result.output
    monkeypatch.setenv("UKEY_DEBUG", "1")
    result = run("certs")
    assert result.exit_code == 1
    assert "Traceback" in result.output


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; from click.testing import CliRunner; from ukey_client import cli\n"
        "for name in ('certs', 'login', 'bind', 'seal', 'renew', 'pin'):\n"
        "    result = CliRunner().invoke(getattr(cli, name), ['--help'])\n"
        "    assert result.exit_code == 0 and 'Exit codes' in result.output, result.output\n"
        "print(*sorted({one.partition('.')[0] for one in sys.modules}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(done.stdout.split())
    assert not loaded & {"pyhanko", "pkcs11", "httpx2", "cryptography", "rich", "asn1crypto", "PIL"}


# --- several certificates, and broken ones -----------------------------------------------------


def write_garbage(id_: bytes) -> None:
    with Library() as library:
        token = library.get_token(token_label=LABEL)
        with token.open(rw=True, user_pin=PIN) as session:
            session.create_object(
                {
                    Attribute.CLASS: ObjectClass.CERTIFICATE,
                    Attribute.CERTIFICATE_TYPE: CertificateType.X_509,
                    Attribute.TOKEN: True,
                    Attribute.ID: id_,
                    Attribute.LABEL: "坏的",
                    Attribute.SUBJECT: b"\x30\x00",
                    Attribute.VALUE: b"\x30\x03\x02\x01\x01",
                }
            )


def test_a_damaged_certificate_is_shown_and_not_in_the_way(
    run: Run, key: Key, portal: SmallPortal
) -> None:
    assert key
    write_garbage(b"\x01")
    assert_clean(run("certs"), 0, "已损坏", "坏的", "测试签发机")
    listed = json.loads(run("certs", "--json").stdout)
    assert [one["owner"] for one in listed if one["label"] == "坏的"] == [None]
    assert_clean(run("login", "--portal", portal.url), 0)
    only_that = ["--token", "pkcs11:id=%01"]
    assert_clean(run("login", "--portal", portal.url, *only_that), 4, "坏的", "已损坏")
    assert_clean(run("certs", "--token", "pkcs11:object=坏的"), 0, "已损坏")


def test_of_an_old_and_a_new_certificate_the_valid_one_is_taken(
    run: Run, make_key: Callable[..., Key], ca: SmallCa, portal: SmallPortal
) -> None:
    make_key("p256", starts=timedelta(days=-30), ends=timedelta(days=-1))
    provision(ca, kind="p256")
    assert_clean(run("login", "--portal", portal.url), 0)


def test_several_valid_certificates_must_be_told_apart(
    run: Run, make_key: Callable[..., Key], ca: SmallCa, portal: SmallPortal
) -> None:
    make_key("p256")
    other = provision(ca, kind="p256", unit="另一单位", with_chain=False, with_seal=False)
    where = ["--portal", portal.url]
    assert_clean(run("login", *where), 4, "多张证书", "另一单位", UNIT)
    id_ = "".join(f"%{byte:02x}" for byte in other.id)
    assert_clean(run("login", *where, "--token", f"pkcs11:id={id_}"), 0)
    assert_clean(run("login", *where, "--token", "pkcs11:object=另一单位"), 0)
    assert_clean(run("login", *where, "--token", "pkcs11:object=无此单位"), 4, "没有与")
