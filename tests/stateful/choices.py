"""What a drawn number stands for, by what there is when the step is made: handles and data.

A number that is drawn means the same on every device: the n-th of what fits, the last two numbers
something that does not.
"""

from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from standard import algorithms, material
from standard.state import Application, Object, Operation, Session, World
from standard.values import GcmMessage, Null

DEAD, ANY = 9, 8
NOBODY = -1
IV = bytes(range(16))
GCM_IV = bytes(range(12))
TEXT = bytes(range(32, 32 + 64)) * 8


class Choices:
    """Picks for one program."""

    def __init__(self, world: World, app: Application) -> None:
        self.world = world
        self.app = app

    @property
    def slot(self) -> int:
        """The slot of the token."""
        return self.world.traits.slot

    def session(self, number: int) -> int:
        """Return an open session, or one that is none."""
        live = list(self.app.sessions)
        if number == DEAD or not live:
            dead = [each for each in self.app.dead_sessions if each not in self.app.sessions]
            return dead[-1] if dead else NOBODY
        return live[number % len(live)]

    def operation(self, session: int, kind: str) -> Operation | None:
        """Return the operation of that kind in a session."""
        found: Session | None = self.app.sessions.get(session)
        return found.operations.get(kind) if found else None

    def object(self, number: int, fits: Callable[[Object], bool] = lambda _: True) -> int:
        """Return an object that fits, one of any kind, or none."""
        live = [h for h, o in self.app.handles.items() if self.app.sees(o) and not o.built_in]
        if number == DEAD or not live:
            dead = [each for each in self.app.dead_handles if each not in self.app.handles]
            return dead[-1] if dead else NOBODY
        fitting = [h for h in live if fits(self.app.handles[h])] if number != ANY else live
        if not fitting:
            return live[number % len(live)]
        return fitting[number % len(fitting)]

    def key(self, number: int, key_type: str, side: str) -> int:
        """Return a key of that type and class, or what does not fit."""
        return self.object(number, lambda o: (o.key_type, o.kind) == (key_type, side))

    def data(self, operation: Operation | None, size: int | None, *, right: bool = True) -> Any:
        """Return data of a size (None: a NULL pointer) that suits an operation."""
        if size is None:
            return Null(5)
        if operation is None or not right:
            return TEXT[:size]
        if operation.mechanism.name == "ECDSA":
            return TEXT[:32]
        return TEXT[:size]

    def sealed(self, operation: Operation | None, size: int | None, *, right: bool) -> Any:
        """Return what a decryption opens, or not."""
        if size is None or operation is None or operation.key is None or not right:
            return self.data(None, size)
        name, key = operation.mechanism.name, operation.key
        clear = TEXT[:size] if name != "RSA_PKCS" else TEXT[: min(size, 200)]
        if name == "RSA_PKCS":
            return material.RSA.public_key().encrypt(clear, padding.PKCS1v15())
        result = algorithms.encrypt(name, key, operation.mechanism.parameter, clear)
        return result.data if result.data is not None else TEXT[:size]

    def signature(self, operation: Operation | None, data: Any, how: str) -> Any:
        """Return a signature over data: right, wrong, short or null."""
        if how == "null":
            return Null(32)
        made = bytes(32)
        if operation is not None and operation.key is not None and isinstance(data, bytes):
            made = self._sign(operation.mechanism.name, operation.key, data)
        if how == "wrong":
            return bytes([made[0] ^ 1]) + made[1:]
        return made[:-1] if how == "short" else made

    @staticmethod
    def _sign(name: str, key: Object, data: bytes) -> bytes:
        if name == "ECDSA":
            signed = material.EC.sign(data[:32].ljust(32), ec.ECDSA(Prehashed(hashes.SHA256())))
            return b"".join(each.to_bytes(32, "big") for each in decode_dss_signature(signed))
        result = algorithms.sign(name, key, data)
        return result.data or bytes(result.length or algorithms.SIGNATURE_BYTES[name])

    def message(
        self, operation: Operation | None, extra: Any, data: Any, *, opening: bool, right: bool
    ) -> tuple[GcmMessage, Any]:
        """Return the parameter of a message and its data, sealed where it is to be opened."""
        if not opening or not isinstance(data, bytes) or not right or operation is None:
            return GcmMessage(GCM_IV, bytes(16)), data
        result = algorithms.seal(operation.key, GCM_IV, extra, data)  # type: ignore[arg-type]
        if result.data is None:
            return GcmMessage(GCM_IV, bytes(16)), data
        return GcmMessage(GCM_IV, result.data[-16:]), result.data[:-16]
