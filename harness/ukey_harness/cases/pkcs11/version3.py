"""What came with PKCS#11 3.0: C_SessionCancel, messages, profiles, interfaces: V3."""

import hmac

from ukey_harness.cases.case import Changes, NotApplicable, Section
from ukey_harness.cases.pkcs11.digest import SHA256
from ukey_harness.cases.pkcs11.encrypt import GENERATED
from ukey_harness.cases.pkcs11.general import exported, interface_of
from ukey_harness.cases.pkcs11.keys import MESSAGE, aes, data, secret
from ukey_harness.cases.pkcs11.needs import all_of, mechanism, version
from ukey_harness.cases.pkcs11.objects import copied, created
from ukey_harness.cases.pkcs11.stand import Stand
from ukey_harness.cryptoki.abi import LISTS, declared
from ukey_harness.cryptoki.arguments import Mechanism, Raw, Room, Template, gcm, memory
from ukey_harness.cryptoki.names import (
    CKA,
    CKF,
    CKF_INTERFACE_FORK_SAFE,
    CKG_GENERATE,
    CKG_GENERATE_COUNTER,
    CKG_GENERATE_RANDOM,
    CKG_NO_GENERATE,
    CKM,
    CKO,
    CKU,
)

version3 = Section("PKCS#11 3.2", "Version 3.0")

VERSION_3 = version(3, 0)
MESSAGES = all_of(
    VERSION_3, GENERATED, mechanism(CKM.AES_GCM, use=CKF.MESSAGE_ENCRYPT | CKF.DECRYPT)
)
IV_LENGTH, TAG_LENGTH = 12, 16


class Envelope:
    """CK_GCM_MESSAGE_PARAMS with room for an IV that the token makes, and for the tag.

    generator: how it makes the IV (CKG_…), of which so many bits at the front stay.
    """

    def __init__(
        self,
        iv: bytes = bytes(IV_LENGTH),
        tag: bytes = bytes(TAG_LENGTH),
        *,
        generator: int = CKG_GENERATE,
        fixed_bits: int = 0,
    ) -> None:
        self._iv, self._tag = memory(iv), memory(tag)
        fields = [self._iv, IV_LENGTH, fixed_bits, generator, self._tag, TAG_LENGTH * 8]
        self.structure = declared().new("CK_GCM_MESSAGE_PARAMS *", fields)
        self.length = declared().sizeof("CK_GCM_MESSAGE_PARAMS")

    @property
    def iv(self) -> bytes:
        """The IV that stands there now."""
        return bytes(self._iv)[:IV_LENGTH]

    @property
    def tag(self) -> bytes:
        """The tag that stands there now."""
        return bytes(self._tag)[:TAG_LENGTH]

    def mechanism(self) -> Mechanism:
        """Return CKM_AES_GCM with this parameter."""
        return Mechanism(CKM.AES_GCM, self.structure)


@version3.case(
    "V3-02",
    "5.6.5",
    "C_SessionCancel overlooks operations that were not begun, and ends those that were.",
    "OK, OK, OPERATION_NOT_INITIALIZED",
    allow=("OK, OPERATION_CANCEL_FAILED, OK",),
    needs=(VERSION_3, SHA256),
)
def _v3_02(stand: Stand) -> tuple[str, ...]:
    session = stand.session()
    first = stand.rv("SessionCancel", session, CKF.SIGN | CKF.ENCRYPT | CKF.FIND_OBJECTS)
    stand.must("DigestInit", session, Mechanism(CKM.SHA256))
    second = stand.rv("SessionCancel", session, CKF.DIGEST | CKF.VERIFY)
    return first, second, stand.rv("Digest", session, MESSAGE, Room())


@version3.case(
    "V3-03",
    "5.9",
    "Messages are encrypted in their order: one beginning, then messages, parts only after theirs.",
    "OPERATION_ACTIVE, OPERATION_NOT_INITIALIZED, OK, OPERATION_NOT_INITIALIZED",
    needs=(MESSAGES,),
)
def _v3_03(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    key, envelope = aes(stand, session), Envelope()
    stand.must("MessageEncryptInit", session, envelope.mechanism(), key)
    second = stand.rv("MessageEncryptInit", session, envelope.mechanism(), key)
    parameter = Raw(envelope.structure), envelope.length
    part = stand.rv("EncryptMessageNext", session, *parameter, MESSAGE, Room(), 0)
    final = stand.rv("MessageEncryptFinal", session)
    return second, part, final, stand.rv("MessageEncryptFinal", session)


@version3.case(
    "V3-04",
    "5.9.2",
    "After one beginning many messages are encrypted, each with an IV that the token makes and a "
    "tag, which are given back.",
    "OK, OK, OK, distinct, decrypts",
    needs=(MESSAGES,),
)
def _v3_04(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    key = aes(stand, session)
    stand.must("MessageEncryptInit", session, Envelope().mechanism(), key)
    names, ivs, right = [], set(), 0
    sealed: list[tuple[Envelope, bytes]] = []
    for _ in range(3):
        envelope = Envelope()
        parameter = Raw(envelope.structure), envelope.length
        name, text = stand.output("EncryptMessage", session, *parameter, b"header", MESSAGE)
        names.append(name)
        ivs.add(envelope.iv)
        sealed.append((envelope, text))
    stand.must("MessageEncryptFinal", session)
    for envelope, text in sealed:
        stand.begin("Decrypt", session, gcm(envelope.iv, b"header"), key)
        back = stand.output("Decrypt", session, text + envelope.tag)[1]
        right += back == MESSAGE
    distinct = "distinct" if len(ivs) == len(sealed) and bytes(IV_LENGTH) not in ivs else "repeated"
    return *names, distinct, "decrypts" if right == len(sealed) else f"{right} decrypt"


@version3.case(
    "V3-09",
    "6.13.4",
    "The bits of an IV that are fixed stay, whoever makes the others, and no IV comes twice.",
    "kept, distinct",
    needs=(MESSAGES,),
)
def _v3_09(stand: Stand) -> tuple[str, str]:
    session = stand.user()
    key, front = aes(stand, session), b"keep"
    kept, made, tried = True, [], 0
    for generator in (CKG_GENERATE, CKG_GENERATE_COUNTER, CKG_GENERATE_RANDOM):
        bits = 8 * len(front)
        start = Envelope(generator=generator, fixed_bits=bits)
        stand.must("MessageEncryptInit", session, start.mechanism(), key)
        ivs = []
        for _ in range(4):
            iv = front.ljust(IV_LENGTH, b"\0")
            envelope = Envelope(iv, generator=generator, fixed_bits=bits)
            given = Raw(envelope.structure), envelope.length
            name = stand.output("EncryptMessage", session, *given, b"", MESSAGE)[0]
            if name == "MECHANISM_PARAM_INVALID":
                break  # a token need not have each generator
            if name != "OK":
                return name, "nothing"
            ivs.append(envelope.iv)
        stand.rv("MessageEncryptFinal", session)
        kept = kept and all(each[: len(front)] == front for each in ivs)
        made.append(len(set(ivs)) == len(ivs))
        tried += bool(ivs)
    if not tried:
        raise NotApplicable("The token makes no IV with a fixed part (CK_GCM_MESSAGE_PARAMS).")
    return "kept" if kept else "changed", "distinct" if all(made) else "repeated"


@version3.case(
    "V3-10",
    "5.11.2",
    "A message is decrypted with its own IV, header and tag, and with no others.",
    "OK, same, refused, refused, refused, refused",
    needs=(all_of(MESSAGES, mechanism(CKM.AES_GCM, use=CKF.MESSAGE_DECRYPT)),),
)
def _v3_10(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    key = aes(stand, session)
    nonce = bytes(range(IV_LENGTH))
    whole = stand.done("Encrypt", session, gcm(nonce, b"header"), key, MESSAGE)
    text, tag = whole[:-TAG_LENGTH], whole[-TAG_LENGTH:]
    seen: list[str] = []
    for iv, header, sealed, ends in (
        (nonce, b"header", text, tag),
        (nonce[::-1], b"header", text, tag),
        (nonce, b"Header", text, tag),
        (nonce, b"header", bytes([text[0] ^ 1]) + text[1:], tag),
        (nonce, b"header", text, tag[:-1] + bytes([tag[-1] ^ 1])),
    ):
        each = stand.session()
        envelope = Envelope(iv, ends, generator=CKG_NO_GENERATE)
        stand.must("MessageDecryptInit", each, envelope.mechanism(), key)
        given = Raw(envelope.structure), envelope.length
        name, back = stand.output("DecryptMessage", each, *given, header, sealed)
        if not seen:
            seen += [name, "same" if back == MESSAGE else "another"]
        else:
            seen.append(name if name == "OK" else "refused")
    return tuple(seen)


@version3.case(
    "V3-11",
    "5.14",
    "After one beginning many messages are signed and verified, each for itself.",
    "right, right, OK, SIGNATURE_INVALID, OK, OPERATION_NOT_INITIALIZED",
    needs=(VERSION_3, mechanism(CKM.SHA256_HMAC, use=CKF.MESSAGE_SIGN | CKF.MESSAGE_VERIFY)),
)
def _v3_11(stand: Stand) -> tuple[str, ...]:
    session, how, value = stand.user(), Mechanism(CKM.SHA256_HMAC), bytes(range(32))
    key = stand.create(session, secret(value=value))
    stand.must("MessageSignInit", session, how, key)
    seen, codes = [], []
    for text in (MESSAGE, b"another"):
        code = stand.made("SignMessage", session, None, 0, text)
        codes.append(code)
        seen.append("right" if code == hmac.new(value, text, "sha256").digest() else "another")
    stand.must("MessageSignFinal", session)
    stand.must("MessageVerifyInit", session, how, key)
    for text, code in ((MESSAGE, codes[0]), (MESSAGE, codes[1]), (b"another", codes[1])):
        seen.append(stand.rv("VerifyMessage", session, None, 0, text, code))
    stand.must("MessageVerifyFinal", session)
    return *seen, stand.rv("VerifyMessage", session, None, 0, MESSAGE, codes[0])


@version3.case(
    "V3-12",
    "6.13.4",
    "No IV that the token makes for a key comes twice, however often encryption begins anew.",
    "distinct",
    needs=(MESSAGES,),
)
def _v3_12(stand: Stand) -> str:
    session, ivs = stand.user(), []
    key = aes(stand, session)
    for _ in range(4):
        stand.must("MessageEncryptInit", session, Envelope().mechanism(), key)
        for _ in range(2):
            envelope = Envelope()
            given = Raw(envelope.structure), envelope.length
            stand.made("EncryptMessage", session, *given, b"", MESSAGE)
            ivs.append(envelope.iv)
        stand.must("MessageEncryptFinal", session)
    return "distinct" if len(set(ivs)) == len(ivs) else "repeated"


@version3.case(
    "V3-05",
    "4.2.2",
    "A copy has a unique identifier of its own; one object is found by it, and nobody sets it.",
    "another, 1, 0, ATTRIBUTE_READ_ONLY, ATTRIBUTE_READ_ONLY",
    needs=(VERSION_3,),
)
def _v3_05(stand: Stand) -> tuple[str | int, ...]:
    session = stand.session()
    source = stand.create(session, data())
    name, copy = copied(stand, session, source, {CKA.APPLICATION: "copy"})
    if name != "OK":
        return (name,)
    one, two = (stand.attribute(session, each, CKA.UNIQUE_ID) for each in (source, copy))
    found = stand.find(session, {CKA.UNIQUE_ID: one or b""})
    more = Template({CKA.UNIQUE_ID: "mine"})
    return (
        "another" if one and two and one != two else "the same",
        len(found) if found == [source] else f"{len(found)} others",
        len(stand.find(session, {CKA.UNIQUE_ID: "nobody's"})),
        stand.rv("SetAttributeValue", session, source, more),
        copied(stand, session, source, {CKA.UNIQUE_ID: "mine"})[0],
    )


@version3.case(
    "V3-06",
    "4.14",
    "Profiles are told by the token: nobody makes one, destroys one or changes one.",
    "refused, refused, refused",
    changes=Changes.TOKEN,
    needs=(VERSION_3,),
)
def _v3_06(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    made = created(stand, session, {CKA.CLASS: CKO.PROFILE, CKA.PROFILE_ID: 1})
    if made == "OK":
        return made, "", ""
    found = stand.find(session, {CKA.CLASS: CKO.PROFILE})
    if not found:
        raise NotApplicable("The token has no profile object that could be changed or destroyed.")
    changed = stand.rv("SetAttributeValue", session, found[0], Template({CKA.PROFILE_ID: 6}))
    gone = stand.rv("DestroyObject", session, found[0])
    return "refused", *("refused" if name != "OK" else name for name in (changed, gone))


@version3.case(
    "V3-07",
    "5.6.9",
    "C_LoginUser logs a named user in, or says that the token knows no names.",
    "OK, 3",
    allow=("FUNCTION_NOT_SUPPORTED | USER_TYPE_INVALID | PIN_INCORRECT | ARGUMENTS_BAD, 2",),
    changes=Changes.PIN,
    needs=(VERSION_3,),
)
def _v3_07(stand: Stand) -> tuple[str | int, ...]:
    session = stand.session()
    pin = stand.pin().encode()
    name = stand.rv("LoginUser", session, CKU.USER, pin, "张三".encode())
    seen = name, stand.state(session)
    stand.login(session)
    return seen


@version3.case(
    "V3-08",
    "5.4.6",
    "C_GetInterface gives the version and flags that were asked for, or refuses.",
    "matching, matching",
    needs=(VERSION_3,),
)
def _v3_08(stand: Stand) -> tuple[str, str]:
    ffi = stand.module.ffi
    odd = []
    for major, minor in [*LISTS, (1, 0), (9, 9)]:
        name, *given = interface_of(stand, major, minor)
        right = name == "OK" and given[1:] == [f"{major}.{minor}"]
        if not right and name not in {"FUNCTION_FAILED", "ARGUMENTS_BAD"}:
            odd.append(f"{major}.{minor}: {name} {' '.join(given)}")
    found = ffi.new("CK_INTERFACE **")
    name = exported(stand, "C_GetInterface", None, None, found, CKF_INTERFACE_FORK_SAFE)
    safe = name == "OK" and bool(found[0].flags & CKF_INTERFACE_FORK_SAFE)
    flagged = (
        "matching" if safe or name in {"FUNCTION_FAILED", "ARGUMENTS_BAD"} else f"{name} without it"
    )
    return "; ".join(odd) or "matching", flagged
