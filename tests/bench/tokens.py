"""Fresh keys of the emulator and fresh tokens of SoftHSM2, for programs that sign on them."""

import os
from pathlib import Path

from ukey_emulator.remote import Remote
from ukey_harness.cryptoki.module import SO, Module

PIN, SO_PIN = "123456", "12345678"
CKF_TOKEN_INITIALIZED = 0x400


class Emulated:
    """Fresh keys of the rack that UKEY_HOME names."""

    def __init__(self) -> None:
        self._remote = Remote(Path(os.environ["UKEY_HOME"]))

    def new(self, label: str) -> None:
        """Make a key, initialised and with its PIN."""
        self._remote.new_key(name=label, label=label, pin=PIN, so_pin=SO_PIN)

    def done(self, label: str) -> None:
        """Remove a key, as the fixture does after each test."""
        self._remote.remove(label)


class Soft:
    """Fresh tokens of SoftHSM2, by the shortest way there is: C_InitToken and C_InitPIN."""

    def __init__(self, path: str) -> None:
        self._module = Module(path)

    def new(self, label: str) -> None:
        """Initialise the free slot's token and set its PIN."""
        module = self._module
        slot = next(each for each in reversed(module.slots()) if not self._initialized(each))
        module.init_token(slot, SO_PIN, label)
        session = module.open_session(slot, write=True)
        module.login(session, SO, SO_PIN)
        module.init_pin(session, PIN)
        module.must("CloseSession", session)

    def done(self, label: str) -> None:
        """Leave the token: PKCS#11 has no call that removes one."""

    def _initialized(self, slot: int) -> bool:
        told = self._module.structure("GetTokenInfo", "CK_TOKEN_INFO", slot)
        return bool(told.flags & CKF_TOKEN_INITIALIZED)
