"""Arguments of raw calls as values that keep their C memory alive.

Each of them stands for one or more C arguments in a row: `parts` gives those. A call written with
them reads like the standard: call("Encrypt", session, data, Room(64)).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from ukey_harness.cryptoki.abi import declared
from ukey_harness.cryptoki.names import CKD_NULL, CKM, CKZ_DATA_SPECIFIED

Value: TypeAlias = "bool | int | bytes | str | Mapping[int, Value] | Sequence[int] | None"
Pairs: TypeAlias = "Mapping[int, Value] | Sequence[tuple[int, Value]]"


SPARE = 64  # bytes behind memory that a module writes to, to see whether it writes too far
FILL = 0xA5
_GUARD = int.from_bytes(bytes([FILL]) * 8, "little")


class Argument:
    """One or more C arguments."""

    parts: tuple[Any, ...]

    def trespass(self, name: str) -> str:
        """Tell what a call that returned `name` wrote or claimed beyond this argument, or ""."""
        del name
        return ""


class Raw(Argument):
    """One pointer or number, given as it is."""

    def __init__(self, value: Any) -> None:  # noqa: ANN401 - a C value
        self.parts = (value,)


class Cell(Argument):
    """A pointer to one CK_ULONG, for the module to write to."""

    def __init__(self, value: int = 0) -> None:
        self._cell = declared().new("CK_ULONG[]", [value, _GUARD])
        self.parts = (self._cell,)

    def trespass(self, name: str) -> str:
        """See whether more than the number was written."""
        del name
        return "" if self._cell[1] == _GUARD else "wrote behind a number"

    @property
    def value(self) -> int:
        """What stands there now."""
        return int(self._cell[0])


class Room(Argument):
    """An output buffer and the pointer to its length (§5.2).

    size: what the length says; None asks for the needed length with a NULL buffer. The memory
    behind the buffer is larger than that, and `overrun` tells whether a call has written there.
    """

    def __init__(self, size: int | None = 4096, *, content: bytes = b"") -> None:
        ffi = declared()
        self._size = size
        self._length = ffi.new("CK_ULONG *", size or 0)
        self._buffer = None
        if size is not None:
            self._buffer = ffi.new("CK_BYTE[]", bytes([FILL]) * (size + SPARE))
            ffi.memmove(self._buffer, content, len(content))
        self.parts = (ffi.NULL if self._buffer is None else self._buffer, self._length)

    @property
    def length(self) -> int:
        """The length that stands there now."""
        return int(self._length[0])

    @property
    def data(self) -> bytes:
        """What the module has written: as many bytes as it says."""
        if self._buffer is None or self._size is None:
            return b""
        return bytes(declared().buffer(self._buffer, min(self.length, self._size)))

    @property
    def memory(self) -> bytes:
        """The whole buffer as long as its size said, whatever the length says now."""
        if self._buffer is None or self._size is None:
            return b""
        return bytes(declared().buffer(self._buffer, self._size))

    @property
    def untouched(self) -> bool:
        """Whether nothing was written into the buffer."""
        return set(self.memory) <= {FILL}

    @property
    def overrun(self) -> bool:
        """Whether something was written behind the buffer."""
        if self._buffer is None or self._size is None:
            return False
        return _behind(self._buffer, self._size) != bytes([FILL]) * SPARE

    def trespass(self, name: str) -> str:
        """See whether more was written, or told as written, than there is room for."""
        if self.overrun:
            return f"wrote behind a buffer of {self._size} bytes"
        if name == "OK" and self._size is not None and self.length > self._size:
            return f"returned CKR_OK and a length of {self.length} for {self._size} bytes"
        return ""

    @property
    def pointer(self) -> Any:  # noqa: ANN401 - a C pointer
        """The buffer itself, for calls that read and write in one place."""
        return self.parts[0]


class Numbers(Argument):
    """A list of CK_ULONG for the module to fill, and the pointer to its count (§5.2).

    size: what the count says; None asks for the count with a NULL list. `apart`: the size is an
    argument of its own between them, as C_FindObjects wants it.
    """

    def __init__(self, size: int | None, *, apart: bool = False) -> None:
        ffi = declared()
        self._size = size
        self._count = Cell(0 if apart else size or 0)
        self._array = None if size is None else ffi.new("CK_ULONG[]", [_GUARD] * (size + SPARE))
        array = ffi.NULL if self._array is None else self._array
        self.parts = (array, *([size] if apart else []), *self._count.parts)

    @property
    def count(self) -> int:
        """The count that stands there now."""
        return self._count.value

    @property
    def values(self) -> list[int]:
        """The numbers that were written: as many as the count says."""
        if self._array is None or self._size is None:
            return []
        return [int(self._array[index]) for index in range(min(self.count, self._size))]

    @property
    def untouched(self) -> bool:
        """Whether nothing was written into the list."""
        return self._array is None or all(each == _GUARD for each in self._array)

    def trespass(self, name: str) -> str:
        """See whether more was written, or told as written, than there is room for."""
        if self._array is None or self._size is None:
            return self._count.trespass(name)
        if any(each != _GUARD for each in list(self._array)[self._size :]):
            return f"wrote behind a list of {self._size}"
        if name == "OK" and self.count > self._size:
            return f"returned CKR_OK and a count of {self.count} for a list of {self._size}"
        return self._count.trespass(name)


class Record(Argument):
    """A C structure for the module to fill, with memory behind it."""

    def __init__(self, kind: str) -> None:
        ffi = declared()
        self._size = ffi.sizeof(kind)
        self._memory = ffi.new("CK_BYTE[]", bytes(self._size) + bytes([FILL]) * SPARE)
        self.structure = ffi.cast(f"{kind} *", self._memory)
        self.parts = (self.structure,)

    @property
    def memory(self) -> Any:  # noqa: ANN401 - a C array
        """What the structure stands in: it is gone when this is."""
        return self._memory

    def trespass(self, name: str) -> str:
        """See whether more than the structure was written."""
        del name
        behind = _behind(self._memory, self._size)
        return "" if behind == bytes([FILL]) * SPARE else "wrote behind a structure"


class Template(Argument):
    """Attributes: a CK_ATTRIBUTE array and its count (§3.4).

    Values: bool becomes CK_BBOOL, int CK_ULONG, text UTF-8; a mapping is an array of attributes, a
    list an array of CK_ULONG; None has no value at all (NULL, 0).
    """

    def __init__(self, pairs: Pairs = ()) -> None:
        items = list(pairs.items() if isinstance(pairs, Mapping) else pairs)
        ffi = declared()
        self._kept: list[Any] = []
        self.array = ffi.new("CK_ATTRIBUTE[]", max(1, len(items)))
        for index, (kind, value) in enumerate(items):
            pointer, length = self._encoded(value)
            self.array[index].type = int(kind)
            self.array[index].pValue = pointer
            self.array[index].ulValueLen = length
        self.parts = (self.array, len(items))

    def _encoded(self, value: Value) -> tuple[Any, int]:
        ffi = declared()
        if value is None:
            return ffi.NULL, 0
        if isinstance(value, Mapping):
            inner = Template(value)
            self._kept.append(inner)
            return inner.array, len(value) * ffi.sizeof("CK_ATTRIBUTE")
        if isinstance(value, bool):
            memory, length = ffi.new("CK_BBOOL *", int(value)), 1
        elif isinstance(value, int):
            memory, length = ffi.new("CK_ULONG *", int(value)), ffi.sizeof("CK_ULONG")
        elif isinstance(value, bytes | str):
            content = value.encode() if isinstance(value, str) else value
            memory, length = ffi.new("CK_BYTE[]", max(1, len(content))), len(content)
            ffi.memmove(memory, content, length)
        else:
            memory = ffi.new("CK_ULONG[]", [int(each) for each in value])
            length = len(value) * ffi.sizeof("CK_ULONG")
        self._kept.append(memory)
        return memory, length


class Query(Argument):
    """Attributes to be read (§5.7.5), each into a buffer of that size; None asks for the length."""

    def __init__(self, kinds: Iterable[int | tuple[int, int | None]], room: int = 1024) -> None:
        ffi = declared()
        items = [each if isinstance(each, tuple) else (each, room) for each in kinds]
        self.array = ffi.new("CK_ATTRIBUTE[]", max(1, len(items)))
        self._buffers = [
            None if size is None else ffi.new("CK_BYTE[]", bytes([FILL]) * (size + SPARE))
            for _, size in items
        ]
        self._sizes = [size for _, size in items]
        for index, (kind, size) in enumerate(items):
            self.array[index].type = int(kind)
            self.array[index].pValue = self._buffers[index] or ffi.NULL
            self.array[index].ulValueLen = size or 0
        self.parts = (self.array, len(items))

    def trespass(self, name: str) -> str:
        """See whether a value was written behind its buffer, or where there is none."""
        del name
        for buffer, size in zip(self._buffers, self._sizes, strict=True):
            if buffer is not None and _behind(buffer, size or 0) != bytes([FILL]) * SPARE:
                return f"wrote behind an attribute's buffer of {size} bytes"
        return ""

    def length(self, index: int) -> int:
        """Return the length that the module has written for an attribute."""
        return int(self.array[index].ulValueLen)

    def value(self, index: int) -> bytes | None:
        """Return the value of an attribute, None where the module gave none."""
        length, size = self.length(index), self._sizes[index]
        if size is None or length > size:
            return None
        return bytes(declared().buffer(self._buffers[index], length))


class Mechanism(Argument):
    """A CK_MECHANISM with its parameter: bytes, a C structure or nothing."""

    def __init__(self, kind: int, parameter: Any = None, *kept: Any) -> None:  # noqa: ANN401 - C
        ffi = declared()
        self.kind = int(kind)
        self._kept = (parameter, *kept)
        if isinstance(parameter, bytes):
            memory = ffi.new("CK_BYTE[]", max(1, len(parameter)))
            ffi.memmove(memory, parameter, len(parameter))
            self._kept += (memory,)
            pointer, length = memory, len(parameter)
        elif parameter is None:
            pointer, length = ffi.NULL, 0
        else:
            pointer, length = parameter, ffi.sizeof(parameter[0])
        self.parameter = parameter
        self.parts = (ffi.new("CK_MECHANISM *", [self.kind, pointer, length]),)


def memory(content: bytes) -> Any:  # noqa: ANN401 - a C array
    """Return C memory with that content; whoever calls keeps it alive."""
    array = declared().new("CK_BYTE[]", max(1, len(content)))
    declared().memmove(array, content, len(content))
    return array


def gcm(iv: bytes, associated: bytes = b"", tag_bits: int = 128) -> Mechanism:
    """CKM_AES_GCM (§6.13)."""
    held, data = memory(iv), memory(associated)
    fields = [held, len(iv), len(iv) * 8, data, len(associated), tag_bits]
    parameter = declared().new("CK_GCM_PARAMS *", fields)
    return Mechanism(CKM.AES_GCM, parameter, held, data)


def oaep(hash_mechanism: int, mask: int, label: bytes = b"") -> Mechanism:
    """CKM_RSA_PKCS_OAEP (§6.1)."""
    held = memory(label) if label else declared().NULL
    fields = [hash_mechanism, mask, CKZ_DATA_SPECIFIED, held, len(label)]
    parameter = declared().new("CK_RSA_PKCS_OAEP_PARAMS *", fields)
    return Mechanism(CKM.RSA_PKCS_OAEP, parameter, held)


def pss(hash_mechanism: int, mask: int, salt: int) -> Mechanism:
    """CKM_RSA_PKCS_PSS (§6.1) with a salt of so many bytes."""
    fields = [hash_mechanism, mask, salt]
    return Mechanism(CKM.RSA_PKCS_PSS, declared().new("CK_RSA_PKCS_PSS_PARAMS *", fields))


def ecdh(point: bytes) -> Mechanism:
    """CKM_ECDH1_DERIVE (§6.3) without a key derivation function."""
    held = memory(point)
    fields = [CKD_NULL, 0, declared().NULL, len(point), held]
    return Mechanism(CKM.ECDH1_DERIVE, declared().new("CK_ECDH1_DERIVE_PARAMS *", fields), held)


def _behind(memory_given: Any, size: int) -> bytes:  # noqa: ANN401 - a C array
    """Return the spare bytes that follow so many of the memory."""
    return bytes(declared().buffer(memory_given, size + SPARE))[size:]
