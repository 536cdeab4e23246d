"""A software USB key that programs cannot tell from a real one."""

from pathlib import Path


def module_path() -> str:
    """Give the path of the PKCS#11 module; FileNotFoundError if it has not been built."""
    return _built("libukeypkcs11.so")


def record_module_path() -> str:
    """Give the path of the module that records the calls to another one."""
    return _built("libukeyrecord.so")


def _built(name: str) -> str:
    path = Path(__file__).parent / name
    if not path.exists():
        raise FileNotFoundError(
            f"{path} has not been built: install the package again with a C compiler at hand"
        )
    return str(path)
