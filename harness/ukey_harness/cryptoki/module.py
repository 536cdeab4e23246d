"""A PKCS#11 module, called as it is: no argument is checked or completed on the way."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ukey_harness.cryptoki.abi import FUNCTIONS, FUNCTIONS_2_40, LISTS, declared
from ukey_harness.cryptoki.returns import return_name

OS_LOCKING_OK = 0x2
RW_SESSION = 0x2
SERIAL_SESSION = 0x4
SO = 0
USER = 1
LABEL_LENGTH = 32


class ModuleLoadError(Exception):
    """The file is no module: not there, not loadable, or without C_GetFunctionList."""


class CryptokiError(Exception):
    """A call returned another value than CKR_OK: its function, its code and the code's name."""

    def __init__(self, function: str, code: int) -> None:
        self.function = function
        self.code = code
        self.name = return_name(code)
        super().__init__(f"{function} returned {self.name}")


class Module:
    """A loaded module: `call` gives return values, the other methods raise CryptokiError.

    One module can be loaded once per process; a C library keeps its state there.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self.ffi = declared()
        try:
            self.library: Any = self.ffi.dlopen(self.path)
            table = self.ffi.new("CK_FUNCTION_LIST **")
            code = self.library.C_GetFunctionList(table)
        except (OSError, AttributeError) as error:
            raise ModuleLoadError(f"{self.path} is no PKCS#11 module: {error}") from error
        if code != 0 or table[0] == self.ffi.NULL:
            raise ModuleLoadError(f"{self.path}: C_GetFunctionList returned {return_name(code)}")
        self._table = table[0]
        self._newest: tuple[Any, set[str]] | None = None
        self._pointers: dict[str, Any] = {}

    @property
    def table_version(self) -> str:
        """The version that the function table bears."""
        return f"{self._table.version.major}.{self._table.version.minor}"

    @property
    def has_interfaces(self) -> bool:
        """Whether the library exports C_GetInterface, with which version 3.0 begins (§5.4.6)."""
        return hasattr(self.library, "C_GetInterface")

    def interface(self, major: int, minor: int) -> Any | None:  # noqa: ANN401 - a C function list
        """Return the function list of the interface "PKCS 11" of that version (§5.4.6), or None."""
        if not self.has_interfaces:
            return None
        version = self.ffi.new("CK_VERSION *", [major, minor])
        found = self.ffi.new("CK_INTERFACE **")
        code = self.library.C_GetInterface(b"PKCS 11", version, found, 0)
        if code != 0 or found[0] == self.ffi.NULL or found[0].pFunctionList == self.ffi.NULL:
            return None
        kind, _ = LISTS[major, minor]
        return self.ffi.cast(f"{kind} *", found[0].pFunctionList)

    def use(self, major: int, minor: int) -> bool:
        """Call all functions through the interface of that version, if the module gives it."""
        table = self.interface(major, minor) if (major, minor) in LISTS else None
        if table is None:
            return False
        self._table, self._newest = table, (table, set(LISTS[major, minor][1]))
        self._pointers.clear()
        return True

    @property
    def version(self) -> tuple[int, int]:
        """The newest version of the standard whose interface the module gives."""
        for version in sorted(LISTS, reverse=True):
            if version[0] > 2 and self.interface(*version) is not None:  # noqa: PLR2004 - 3.x
                return version
        return int(self._table.version.major), int(self._table.version.minor)

    def has(self, function: str) -> bool:
        """Tell whether some table of the module has C_<function>."""
        return bool(self._pointer(function) != self.ffi.NULL)

    def _pointer(self, function: str) -> Any:  # noqa: ANN401 - a C function, or NULL
        if function not in FUNCTIONS:
            raise KeyError(f"PKCS#11 3.2 has no function C_{function}")
        known = self._pointers.get(function)
        if known is None:
            table = self._table if function in FUNCTIONS_2_40 else self._table_with(function)
            known = getattr(table, f"C_{function}") if table is not None else self.ffi.NULL
            self._pointers[function] = known
        return known

    def _table_with(self, function: str) -> Any | None:  # noqa: ANN401 - a C function list
        if self._newest is None:
            version = self.version
            table = self.interface(*version)
            self._newest = table, set(LISTS[version][1] if table is not None else ())
        table, functions = self._newest
        return table if function in functions else None

    def call(self, function: str, *arguments: Any) -> int:  # noqa: ANN401 - C values of any kind
        """Call C_<function> with exactly these arguments (None is NULL); return its value.

        A function of 2.40 is called through C_GetFunctionList's table, a newer one through that of
        the newest interface. ModuleLoadError where the module has no such function.
        """
        pointer = self._pointer(function)
        if pointer == self.ffi.NULL:
            raise ModuleLoadError(f"{self.path}: no table has C_{function}")
        return int(pointer(*[self.ffi.NULL if each is None else each for each in arguments]))

    def must(self, function: str, *arguments: Any) -> None:  # noqa: ANN401 - as above
        """Call C_<function>; CryptokiError unless it returns CKR_OK."""
        code = self.call(function, *arguments)
        if code != 0:
            raise CryptokiError(f"C_{function}", code)

    def initialize(self) -> None:
        """C_Initialize with the system's locks (§5.4.1)."""
        arguments = self.ffi.new("CK_C_INITIALIZE_ARGS *")
        arguments.flags = OS_LOCKING_OK
        self.must("Initialize", self.ffi.cast("void *", arguments))

    def finalize(self) -> None:
        """C_Finalize (§5.4.2)."""
        self.must("Finalize", None)

    def slots(self, *, present: bool = True) -> list[int]:
        """C_GetSlotList (§5.5.1): the slots, with a token only unless told otherwise."""
        count = self.ffi.new("CK_ULONG *")
        self.must("GetSlotList", int(present), None, count)
        slots = self.ffi.new("CK_ULONG[]", max(1, count[0]))
        self.must("GetSlotList", int(present), slots, count)
        return [int(slots[index]) for index in range(count[0])]

    def structure(self, function: str, kind: str, *before: int) -> Any:  # noqa: ANN401 - a C struct
        """Return what C_<function> writes into a structure of that kind."""
        structure = self.ffi.new(f"{kind} *")
        self.must(function, *before, structure)
        return structure

    def mechanisms(self, slot: int) -> list[int]:
        """C_GetMechanismList (§5.5.5)."""
        count = self.ffi.new("CK_ULONG *")
        self.must("GetMechanismList", slot, None, count)
        kinds = self.ffi.new("CK_ULONG[]", max(1, count[0]))
        self.must("GetMechanismList", slot, kinds, count)
        return [int(kinds[index]) for index in range(count[0])]

    def open_session(self, slot: int, *, write: bool = False) -> int:
        """C_OpenSession (§5.6.1); return its handle."""
        handle = self.ffi.new("CK_ULONG *")
        flags = SERIAL_SESSION | (RW_SESSION if write else 0)
        self.must("OpenSession", slot, flags, None, None, handle)
        return int(handle[0])

    def login(self, session: int, user: int, pin: str) -> None:
        """C_Login (§5.6.8)."""
        secret = pin.encode()
        self.must("Login", session, user, secret, len(secret))

    def init_token(self, slot: int, so_pin: str, label: str) -> None:
        """C_InitToken (§5.5.7): everything on the token is lost."""
        secret = so_pin.encode()
        padded = label.encode().ljust(LABEL_LENGTH)[:LABEL_LENGTH]
        self.must("InitToken", slot, secret, len(secret), padded)

    def init_pin(self, session: int, pin: str) -> None:
        """C_InitPIN (§5.5.8): the SO gives the user a PIN, and unlocks it."""
        secret = pin.encode()
        self.must("InitPIN", session, secret, len(secret))

    def find(self, session: int, template: Sequence[tuple[int, int]], most: int = 16) -> list[int]:
        """C_FindObjectsInit, C_FindObjects, C_FindObjectsFinal (§5.7.7); number attributes only."""
        values = [self.ffi.new("CK_ULONG *", value) for _, value in template]
        attributes = self.ffi.new("CK_ATTRIBUTE[]", max(1, len(template)))
        for index, (kind, _) in enumerate(template):
            attributes[index].type = kind
            attributes[index].pValue = values[index]
            attributes[index].ulValueLen = self.ffi.sizeof("CK_ULONG")
        self.must("FindObjectsInit", session, attributes, len(template))
        try:
            handles = self.ffi.new("CK_ULONG[]", most)
            count = self.ffi.new("CK_ULONG *")
            self.must("FindObjects", session, handles, most, count)
            return [int(handles[index]) for index in range(count[0])]
        finally:
            self.must("FindObjectsFinal", session)

    def number(self, session: int, handle: int, kind: int) -> int | None:
        """Return an attribute that is a CK_ULONG (§5.7.5), None where the object has none."""
        value = self.ffi.new("CK_ULONG *")
        attribute = self.ffi.new("CK_ATTRIBUTE *")
        attribute.type, attribute.pValue = kind, value
        attribute.ulValueLen = self.ffi.sizeof("CK_ULONG")
        if self.call("GetAttributeValue", session, handle, attribute, 1) != 0:
            return None
        return int(value[0])


def padded_text(field: Any) -> str:  # noqa: ANN401 - a C array
    """Return the text of a blank-padded field (§3.1); bytes that are no UTF-8 show as U+FFFD."""
    return bytes(field).decode(errors="replace").rstrip(" \0")
