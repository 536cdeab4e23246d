"""What a module and its token claim, held against what they do (PKCS#11 3.2 §3, §5.4, §5.5)."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from ukey_harness.cases.case import Changes, NotApplicable, Section
from ukey_harness.cases.pkcs11.encrypt import GENERATED
from ukey_harness.cases.pkcs11.general import MOST_INTERFACES, exported
from ukey_harness.cases.pkcs11.keys import aes, aes_template, secret
from ukey_harness.cases.pkcs11.keys_made import generated
from ukey_harness.cases.pkcs11.needs import version
from ukey_harness.cases.pkcs11.random import drawn, wanted
from ukey_harness.cases.pkcs11.slots import init_token
from ukey_harness.cases.pkcs11.stand import Stand
from ukey_harness.cryptoki.abi import LISTS
from ukey_harness.cryptoki.arguments import Cell, Mechanism, Room
from ukey_harness.cryptoki.names import CKA, CKF, CKM, UNAVAILABLE, TokenFlag

claims = Section("PKCS#11 3.2", "Claims")

USES = {
    "EncryptInit": CKF.ENCRYPT,
    "DecryptInit": CKF.DECRYPT,
    "SignInit": CKF.SIGN,
    "VerifyInit": CKF.VERIFY,
    "DigestInit": CKF.DIGEST,
    "WrapKey": CKF.WRAP,
}
DRAWN = 4096
LONG_LABEL = "标签 with blanks  inside".encode()
VERSIONS = {f"{major}.{minor}" for major, minor in LISTS}


@claims.case(
    "ST-30",
    "5.5.6",
    "The flags of a mechanism say what it does: what is flagged the token knows, what is not it "
    "does not begin.",
    "agree",
    needs=(GENERATED,),
    limit=60.0,
)
def _st_30(stand: Stand) -> str:
    session, odd = stand.user(), []
    cipher = aes(stand, session, {CKA.SIGN: True, CKA.VERIFY: True})
    keys = cipher, stand.create(session, secret())
    for kind in stand.mechanisms:
        flags = stand.mechanism_flags(kind)
        for use, flag in USES.items():
            for key in keys[:1] if use in {"DigestInit", "WrapKey"} else keys:
                name = _begun(stand, use, kind, key)
                if flags & flag and name == "MECHANISM_INVALID":
                    odd.append(f"0x{kind:X} is flagged {flag.name}, and is none to C_{use}")
                if not flags & flag and name == "OK":
                    odd.append(f"0x{kind:X} is not flagged {flag.name}, and C_{use} takes it")
    return "; ".join(dict.fromkeys(odd)) or "agree"


def _begun(stand: Stand, use: str, kind: int, key: int) -> str:
    """Begin one use of a mechanism with a key, in a session of its own; return the name."""
    session, how = stand.session(), Mechanism(kind)
    given = {"DigestInit": (how,), "WrapKey": (how, key, key, Room())}.get(use, (how, key))
    name = stand.rv(use, session, *given)
    stand.must("CloseSession", session)
    return name


@claims.case(
    "ST-31",
    "5.5.6",
    "Keys of the smallest and of the largest size of CKM_AES_KEY_GEN can be generated, and none "
    "that is smaller or larger.",
    "OK, OK, refused, refused",
    needs=(GENERATED,),
)
def _st_31(stand: Stand) -> tuple[str, ...]:
    info = stand.structure(
        "GetMechanismInfo", "CK_MECHANISM_INFO", stand.slot, int(CKM.AES_KEY_GEN)
    )
    session, least, most = stand.user(), int(info.ulMinKeySize), int(info.ulMaxKeySize)
    names = [generated(stand, session, aes_template(size=size)) for size in (least, most)]
    if not 8 < least <= most < UNAVAILABLE - 8:  # noqa: PLR2004 - as many more or less is another size
        return f"sizes {least} to {most}", "", "", ""
    for size in (least - 8, most + 8):
        name = generated(stand, session, aes_template(size=size))
        names.append(name if name == "OK" else "refused")
    return tuple(names)


@claims.case(
    "ST-32",
    "5.5.7",
    "A label is kept byte by byte, with the blanks inside it and all its 32 bytes.",
    "OK, same, OK, same",
    changes=Changes.TOKEN,
)
def _st_32(stand: Stand) -> tuple[str, ...]:
    slot, seen = stand.slot, []
    for label in (LONG_LABEL.ljust(32), b"0123456789abcdefghijklmnopqrstuv"):
        seen.append(init_token(stand, label=label))
        same = bytes(stand.token_info(slot).label) == label
        seen.append("same" if same else "another")
    return tuple(seen)


@claims.case(
    "ST-33",
    "3.2",
    "A token that says that it has a clock tells the time by it.",
    "a time",
)
def _st_33(stand: Stand) -> str:
    if TokenFlag.CLOCK_ON_TOKEN not in stand.token_flags():
        raise NotApplicable("The token does not show CKF_CLOCK_ON_TOKEN.")
    told = bytes(stand.token_info().utcTime).decode("ascii", "replace")
    try:
        datetime.strptime(told, "%Y%m%d%H%M%S00").replace(tzinfo=UTC)
    except ValueError:
        return f"no time: {told!r}"
    return "a time"


@claims.case(
    "GP-22",
    "5.4.5",
    "Each interface of the list has a name, a version of the standard where that is its name, and "
    "no empty entry; C_GetInterface gives the same one.",
    "OK, sound",
    needs=(version(3, 0),),
)
def _gp_22(stand: Stand) -> tuple[str, str]:
    ffi = stand.module.ffi
    count = Cell()
    exported(stand, "C_GetInterfaceList", None, count.parts[0])
    if not 0 < count.value < MOST_INTERFACES:
        return "OK", f"{count.value} interfaces"
    room = ffi.new("CK_INTERFACE[]", count.value)
    name = exported(stand, "C_GetInterfaceList", room, count.parts[0])
    odd = []
    for index in range(count.value):
        told = room[index].pInterfaceName
        if told == ffi.NULL or room[index].pFunctionList == ffi.NULL:
            odd.append("an empty entry")
        elif ffi.string(ffi.cast("char *", told)) == b"PKCS 11":
            odd += _unsound(stand, room[index])
    return name, "; ".join(odd) or "sound"


def _unsound(stand: Stand, interface: Any) -> list[str]:  # noqa: ANN401 - a C struct
    """Return what is wrong with an interface of the standard."""
    ffi = stand.module.ffi
    bears = ffi.cast("CK_VERSION *", interface.pFunctionList)
    text = f"{bears.major}.{bears.minor}"
    if text not in VERSIONS:
        return [] if bears.major in {2, 3} else [f"version {text}"]
    kind, functions = LISTS[int(bears.major), int(bears.minor)]
    table = ffi.cast(f"{kind} *", interface.pFunctionList)
    empty = [each for each in functions if getattr(table, f"C_{each}") == ffi.NULL]
    odd = [f"{text}: NULL {' '.join(empty)}"] if empty else []
    found = ffi.new("CK_INTERFACE **")
    asked = ffi.new("CK_VERSION *", [bears.major, bears.minor])
    name = exported(stand, "C_GetInterface", b"PKCS 11", asked, found, 0)
    if name != "OK" or found[0] == ffi.NULL:
        odd.append(f"{text}: C_GetInterface {name}")
    elif found[0].pFunctionList != interface.pFunctionList:
        odd.append(f"{text}: C_GetInterface gives another list")
    return odd


@claims.case(
    "RN-07",
    "5.19.2",
    "Numbers drawn by lot do not repeat, within one draw, in another session or after a restart, "
    "and all bytes are among them about as often.",
    "OK, no block twice, even, fresh",
)
def _rn_07(stand: Stand) -> tuple[str, ...]:
    name, one = drawn(stand, wanted(stand), DRAWN)
    if name in {"ARGUMENTS_BAD", "DATA_LEN_RANGE"}:
        raise NotApplicable(f"The token draws no {DRAWN} bytes at once: CKR_{name}.")
    draws = [one, drawn(stand, stand.session(), DRAWN)[1]]
    stand.finalize()
    stand.forget_slot()
    draws.append(drawn(stand, stand.session(), DRAWN)[1])
    blocks = [each[at : at + 8] for each in draws for at in range(0, DRAWN, 8)]
    # Each byte is expected 48 times among 12288; as rare as 10 or as often as 110 is no chance.
    often = Counter(b"".join(draws))
    even = len(often) == 256 and min(often.values()) > 10 and max(often.values()) < 110  # noqa: PLR2004
    return (
        name,
        "no block twice" if len(set(blocks)) == len(blocks) else "a block twice",
        "even" if even else "uneven",
        "fresh" if len(set(draws)) == len(draws) else "the same again",
    )
