"""Single functions of the standard, called as they are, with nothing around them."""

from tokens import PIN

from ukey_harness.cryptoki.arguments import Cell, Mechanism, Numbers, Query, Room, Template
from ukey_harness.cryptoki.module import USER, Module, padded_text
from ukey_harness.cryptoki.names import CKA, CKK, CKM, CKO

KIB = 1024
ALREADY_LOGGED_IN = 0x100


class Calls:
    """A session of the user on the token of a label, and the measures in it."""

    def __init__(self, path: str, label: str) -> None:
        self._module = Module(path)
        slot = next(each for each in self._module.slots() if self._label(each) == label)
        self._session = self._module.open_session(slot, write=True)
        code = self._module.call("Login", self._session, USER, PIN.encode(), len(PIN))
        if code not in {0, ALREADY_LOGGED_IN}:
            raise SystemExit(f"bench: C_Login gave {code:#x}")
        self._slot = slot
        self._objects = 0
        self._labels: list[str] = []  # of those that `fill` has made
        self._handle, self._four, self._room = Cell(), Numbers(4, apart=True), Room(2 * KIB)
        self._message = self._module.ffi.new("CK_BYTE[]", KIB)
        aes = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES, CKA.VALUE: bytes(16)}
        self._aes = self._create(aes | {CKA.ENCRYPT: True, CKA.TOKEN: False})
        self._another = Template(self._data_with("another"))
        self._known = self._create(self._data_with("known"))
        self._label_of = Query([CKA.LABEL], 64)
        self._sha256, self._cbc = Mechanism(CKM.SHA256), Mechanism(CKM.AES_CBC, bytes(16))

    def _label(self, slot: int) -> str:
        return padded_text(self._module.structure("GetTokenInfo", "CK_TOKEN_INFO", slot).label)

    def _create(self, wanted: dict[int, bool | int | bytes | str | None]) -> int:
        template = Template(wanted)
        self._module.must("CreateObject", self._session, *template.parts, *self._handle.parts)
        return self._handle.value

    @staticmethod
    def _data_with(label: str) -> dict[int, bool | int | bytes | str | None]:
        return {
            CKA.CLASS: CKO.DATA,
            CKA.TOKEN: True,
            CKA.PRIVATE: False,
            CKA.LABEL: label,
            CKA.VALUE: bytes(100),
        }

    def fill(self, count: int) -> None:
        """Create token objects until there are so many, labelled "0", "1" and so on."""
        while self._objects < count:
            self._create(self._data_with(str(self._objects)))
            self._labels.append(str(self._objects))
            self._objects += 1

    def create(self) -> None:
        """Create a token object, C_CreateObject."""
        self._module.must("CreateObject", self._session, *self._another.parts, *self._handle.parts)
        self._objects += 1

    def find(self) -> None:
        """Find an object by its label: C_FindObjectsInit, C_FindObjects, C_FindObjectsFinal."""
        wanted = Template({CKA.LABEL: self._labels[len(self._labels) // 2]})
        must, session = self._module.must, self._session
        must("FindObjectsInit", session, *wanted.parts)
        must("FindObjects", session, *self._four.parts)
        must("FindObjectsFinal", session)
        if self._four.count != 1:
            raise SystemExit(f"bench: {self._four.count} objects found, not 1")

    def attribute(self) -> None:
        """Read an object's label, C_GetAttributeValue."""
        self._label_of.array[0].ulValueLen = 64
        self._module.must("GetAttributeValue", self._session, self._known, *self._label_of.parts)

    def session(self) -> None:
        """Open a session and close it, C_OpenSession and C_CloseSession."""
        self._module.must("CloseSession", self._module.open_session(self._slot))

    def random(self) -> None:
        """Make 32 random bytes, C_GenerateRandom."""
        self._module.must("GenerateRandom", self._session, self._room.pointer, 32)

    def digest(self) -> None:
        """Digest 1 KiB with SHA-256, C_DigestInit and C_Digest."""
        self._module.must("DigestInit", self._session, *self._sha256.parts)
        self._into_room("Digest")

    def aes(self) -> None:
        """Encrypt 1 KiB with AES-128 in CBC, C_EncryptInit and C_Encrypt."""
        self._module.must("EncryptInit", self._session, *self._cbc.parts, self._aes)
        self._into_room("Encrypt")

    def _into_room(self, function: str) -> None:
        self._room.parts[1][0] = 2 * KIB
        self._module.must(function, self._session, self._message, KIB, *self._room.parts)
