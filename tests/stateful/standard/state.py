"""What there is: a token, its objects and PINs, and the applications that use it (§3.3, §4)."""

import itertools
from dataclasses import dataclass, field
from typing import Any

KEY_CLASSES = ("PUBLIC_KEY", "PRIVATE_KEY", "SECRET_KEY")


@dataclass(frozen=True)
class Traits:
    """What the standard leaves to the token.

    slot: its number; tries: of a PIN before it is locked, None for no limit; pin_lengths: least
    and most; version: of the standard; dual: CKF_DUAL_CRYPTO_OPERATIONS; mechanisms: flags of
    CK_MECHANISM_INFO by name; without: functions that are not supported; sees_others: whether
    C_InitToken knows of the sessions of other programs.
    """

    slot: int
    tries: int | None
    pin_lengths: tuple[int, int]
    version: tuple[int, int]
    dual: bool
    mechanisms: dict[str, int]
    without: frozenset[str] = frozenset()
    sees_others: bool = True


@dataclass
class Pin:
    """A PIN and how often in a row it was given wrong."""

    value: bytes
    failures: int = 0


@dataclass(eq=False)
class Object:
    """An object with the attributes that the model knows; `session` is set for a session object.

    `secret` is the value of a secret key, the name of a pair, or None if the model cannot know it;
    `built_in` is what the token itself has put there, as profile objects (§4.13).
    """

    attributes: dict[str, Any]
    session: "Session | None" = None
    secret: Any = None
    gone: bool = False
    built_in: bool = False

    def flag(self, name: str) -> bool:
        """Tell whether a truth attribute is there and true."""
        return self.attributes.get(name) is True

    @property
    def private(self) -> bool:
        """Whether only the user sees it."""
        return self.flag("PRIVATE")

    @property
    def kind(self) -> str:
        """Its class."""
        return str(self.attributes["CLASS"])

    @property
    def key_type(self) -> str | None:
        """Its key type, None where it is no key."""
        return self.attributes.get("KEY_TYPE")


@dataclass(eq=False)
class Operation:
    """An operation that is active in a session (§5.8 to §5.17).

    data: what came in; given: how much of the output went out; parts: whether an update came,
    None if only its length was asked for; unknown: its key is gone, or what came in is not known;
    waiting: its key wants a login first (CKA_ALWAYS_AUTHENTICATE); signature: the one to verify.
    """

    mechanism: Any
    key: Object | None = None
    data: bytes = b""
    given: int = 0
    parts: bool | None = False
    waiting: bool = False
    signature: bytes | None = None
    found: list[Object] = field(default_factory=list)
    age: int = 0
    unknown: bool = False


@dataclass(eq=False)
class Session:
    """A session.

    `doubtful` are operations of which only the module knows whether they live; `ended` are those
    that the last call ended by a fault, until that has been seen.
    """

    handle: int
    writable: bool
    operations: dict[str, Operation] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)
    ended: dict[str, Operation] = field(default_factory=dict)


@dataclass(eq=False)
class Application:
    """A program: its sessions, its login ("SO", "USER" or None), and the handles it holds."""

    sessions: dict[int, Session] = field(default_factory=dict)
    login: str | None = None
    handles: dict[int, Object] = field(default_factory=dict)
    dead_sessions: list[int] = field(default_factory=list)
    dead_handles: list[int] = field(default_factory=list)
    states: list[tuple[bytes, Operation]] = field(default_factory=list)

    def sees(self, obj: Object) -> bool:
        """Tell whether an object is visible to this program (§4.4, §5.6.10)."""
        if obj.gone or (obj.private and self.login != "USER"):
            return False
        return obj.session is None or self.sessions.get(obj.session.handle) is obj.session

    def object(self, handle: int) -> Object | None:
        """Return the object behind a handle, None if the handle is not valid now."""
        obj = self.handles.get(handle)
        return obj if obj is not None and self.sees(obj) else None

    def handle_of(self, obj: Object) -> int | None:
        """Return the handle by which this program knows an object."""
        return next((handle for handle, each in self.handles.items() if each is obj), None)

    def forget(self, obj: Object) -> None:
        """Let the handle of an object die."""
        for handle in [handle for handle, each in self.handles.items() if each is obj]:
            del self.handles[handle]
            self.dead_handles.append(handle)


@dataclass(eq=False)
class World:
    """The token and everything that uses it."""

    traits: Traits
    so_pin: Pin
    user_pin: Pin | None
    label: str
    applications: list[Application]
    objects: list[Object] = field(default_factory=list)
    changes: int = 0  # counts what makes another search find something else
    _names: Any = field(default_factory=lambda: itertools.count(1))

    def new_name(self) -> bytes:
        """Return a label that no object bears yet."""
        return b"object %d" % next(self._names)

    def visible(self, app: Application) -> list[Object]:
        """Return the objects that a program sees."""
        return [obj for obj in self.objects if app.sees(obj)]

    def add(self, app: Application, handle: int, obj: Object) -> None:
        """Put a new object there, with the handle that the module gave it."""
        self.objects.append(obj)
        app.handles[handle] = obj
        self.changes += 1

    def remove(self, obj: Object) -> None:
        """Take an object away: no handle to it is valid any more (§5.7.3)."""
        obj.gone = True
        self.objects.remove(obj)
        for app in self.applications:
            app.forget(obj)
            for session in app.sessions.values():
                for name, operation in session.operations.items():
                    if operation.key is obj:
                        operation.unknown = True
                        session.doubtful.add(name)
        self.changes += 1

    def pin(self, who: str) -> Pin | None:
        """Return the PIN of the SO or of the user."""
        return self.so_pin if who == "SO" else self.user_pin

    def locked(self, pin: Pin) -> bool:
        """Tell whether a PIN has no tries left."""
        return self.traits.tries is not None and pin.failures >= self.traits.tries
