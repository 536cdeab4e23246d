"""A PKCS#11 module in this process: loaded once, shared, finalised by whom it was initialised."""

import os
import threading
from pathlib import Path
from typing import Protocol

import pkcs11
from pkcs11 import _loaded as _libraries  # python-pkcs11 keeps its loaded modules here

from ukey_client.errors import ModuleUnusable
from ukey_client.token.cryptoki.faults import name_of


class Library(Protocol):
    """What of python-pkcs11's library object is used here."""

    initialized: bool
    manufacturer_id: str
    library_description: str

    @property
    def library_version(self) -> tuple[int, int]:
        """Major and minor."""

    def get_slots(self, token_present: bool = False) -> list[pkcs11.Slot]:  # noqa: FBT001, FBT002 - python-pkcs11's form
        """List slots, newly read."""

    def finalize(self) -> None:
        """C_Finalize."""


class Module:
    """A loaded and initialised module; `release` it as often as it was acquired."""

    _lock = threading.Lock()
    _users: dict[str, int] = {}  # noqa: RUF012 - one count for the process, under the lock

    def __init__(self, path: str, library: Library, *, owned: bool) -> None:
        self.path = path
        self.library = library
        self._owned = owned

    @classmethod
    def acquire(cls, path: str) -> "Module":
        """Load and initialise; ModuleUnusable says what is wrong with the path."""
        if not path:
            raise ModuleUnusable("（未指定）", "没有给出路径，请设置 --module 或 PKCS11_MODULE")
        if os.sep in path:
            path = str(Path(path).absolute())
            if not Path(path).exists():
                raise ModuleUnusable(path, "文件不存在")
        with cls._lock:
            path = _known_path(path)
            known = _libraries.get(path)
            owned = known is None or not known.initialized or path in cls._users
            try:
                library = pkcs11.lib(path)
            except pkcs11.PKCS11Error as error:
                raise ModuleUnusable(path, _reason(path, error)) from error
            if owned:
                cls._users[path] = cls._users.get(path, 0) + 1
            return cls(path, library, owned=owned)

    def release(self) -> None:
        """Finalise the module if nobody here uses it any more, and it was initialised here."""
        with self._lock:
            if not self._owned:
                return
            self._owned = False
            left = self._users[self.path] - 1
            if left:
                self._users[self.path] = left
                return
            del self._users[self.path]
            try:
                self.library.finalize()
            except pkcs11.PKCS11Error:
                return  # nothing is left that could be let go


def _known_path(path: str) -> str:
    """Keep the name under which the same file was loaded before.

    C_Initialize may not be called twice (PKCS#11 v3.2 §5.4), and one file is one module.
    """
    if path in _libraries or os.sep not in path:
        return path
    real = Path(path).resolve()
    for other in _libraries:
        if os.sep in other and Path(other).resolve() == real:
            return str(other)
    return path


def _reason(path: str, error: pkcs11.PKCS11Error) -> str:
    text = str(error)
    if "C_GetFunctionList" in text:
        return "它不是 PKCS#11 模块"
    if "invalid ELF header" in text or "file too short" in text or "Is a directory" in text:
        return "它不是程序库"
    if "cannot open shared object file" in text:
        return "文件不存在" if "No such file" in text else "文件无法打开"
    prefix = f"OS exception while loading {path}: "
    return text.removeprefix(prefix) or name_of(error)
