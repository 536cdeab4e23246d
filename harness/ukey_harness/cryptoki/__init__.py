"""Raw calls of a PKCS#11 module through cffi, wrong arguments included."""

from ukey_harness.cryptoki.module import CryptokiError, Module, ModuleLoadError

__all__ = ["CryptokiError", "Module", "ModuleLoadError"]
