"""An application: a process that called C_Initialize, with its sessions, logins and handles."""

import itertools
import secrets
import threading
from collections.abc import Iterator

from ukey_emulator.chip import Chip, Refusal, Role
from ukey_emulator.chip.mechanisms import Digester
from ukey_emulator.chip.objects import Object
from ukey_emulator.slots import Slot, Slots
from ukey_emulator.terms import CKR, CKS

from .session import Session

STATE_LENGTH = 32
_MOST_STATES = 256


class Application:
    """What one process has open on the keys (PKCS#11 3.2 §5.6).

    `pid` and `name` are what the process said of itself, for the trace alone.
    """

    def __init__(self, slots: Slots, pid: int, name: str) -> None:
        self.slots = slots
        self.pid = pid
        self.name = name
        self.lock = threading.RLock()
        self.ended = False
        self.seen_changes = slots.changes()
        self._visible = frozenset(self.seen_changes)
        self._numbers = itertools.count(1)
        self._sessions: dict[int, Session] = {}
        self._logins: dict[Chip, Role] = {}
        self._by_handle: dict[int, tuple[Chip, Object]] = {}
        self._handles: dict[Object, int] = {}
        self._saved: dict[bytes, Digester] = {}

    # Slots

    def look_for_slots(self) -> None:
        """Take note of slots that came or went; until then an application does not see them.

        PKCS#11 3.2 §5.5.1: only C_GetSlotList without a list looks.
        """
        self._visible = frozenset(slot.number for slot in self.slots)

    def visible_slots(self) -> list[Slot]:
        """Give the slots that were there when the application last looked."""
        return [slot for slot in self.slots if slot.number in self._visible]

    def next_event(self) -> int | None:
        """Give a slot in which a key was plugged in or pulled out since it was last given."""
        with self.lock:
            for number, changes in self.slots.changes().items():
                if self.seen_changes.get(number, 0) != changes:
                    self.seen_changes[number] = changes
                    self._visible |= {number}
                    return number
            return None

    def slot(self, number: int) -> Slot:
        """Give a slot; CKR_SLOT_ID_INVALID if the application sees none of that number."""
        slot = self.slots.get(number) if number in self._visible else None
        if slot is None:
            raise Refusal(CKR.SLOT_ID_INVALID, f"slot {number}")
        return slot

    def chip(self, number: int) -> Chip:
        """Give the key in a slot; CKR_TOKEN_NOT_PRESENT if there is none."""
        chip = self.slot(number).chip
        if chip is None:
            raise Refusal(CKR.TOKEN_NOT_PRESENT, f"slot {number} is empty")
        return chip

    # Sessions

    def open_session(self, slot: Slot, chip: Chip, *, writable: bool) -> Session:
        """Open a session."""
        with self.lock:
            if not writable and self._logins.get(chip) is Role.SO:
                raise Refusal(CKR.SESSION_READ_WRITE_SO_EXISTS)
            session = Session(next(self._numbers), slot, chip, writable)
            self._sessions[session.handle] = session
            slot.count(1)
            return session

    def session(self, handle: int) -> Session:
        """Give an open session.

        CKR_SESSION_HANDLE_INVALID if it is none; CKR_DEVICE_REMOVED, once, if its key has been
        pulled out.
        """
        session = self._sessions.get(handle)
        if session is None:
            raise Refusal(CKR.SESSION_HANDLE_INVALID, f"session {handle}")
        if session.slot.chip is not session.chip:
            with self.lock:
                self._drop(session.chip)
            raise Refusal(CKR.DEVICE_REMOVED, f"the key of slot {session.slot.number} is gone")
        return session

    def sessions(self, chip: Chip) -> list[Session]:
        """Give all sessions with a key."""
        return [session for session in list(self._sessions.values()) if session.chip is chip]

    def close_session(self, session: Session) -> None:
        """Close a session; the last one with a key ends the login."""
        with self.lock:
            if self._sessions.pop(session.handle, None) is not None:
                session.slot.count(-1)
            self._forget_objects(session.objects)
            session.objects.clear()
            session.operations.clear()
            if not self.sessions(session.chip):
                self._drop(session.chip)

    def end(self) -> None:
        """End everything: the process has finished or died."""
        with self.lock:
            self.ended = True
            for chip in {session.chip for session in self._sessions.values()}:
                self._drop(chip)
        self.slots.wake()

    def _drop(self, chip: Chip) -> None:
        """End all that this application has with a key."""
        for session in self.sessions(chip):
            self._sessions.pop(session.handle, None)
            session.slot.count(-1)
            session.operations.clear()
            session.objects.clear()
        for handle, (owner, obj) in list(self._by_handle.items()):
            if owner is chip:
                del self._by_handle[handle], self._handles[obj]
        role = self._logins.pop(chip, None)
        if role is not None:
            chip.log_out(role)

    # Saved states

    def save(self, context: Digester) -> bytes:
        """Keep a digest under a name that nobody guesses; the oldest give way to new ones."""
        name = secrets.token_bytes(STATE_LENGTH)
        with self.lock:
            while len(self._saved) >= _MOST_STATES:
                self._saved.pop(next(iter(self._saved)))
            self._saved[name] = context
        return name

    def saved(self, name: bytes) -> Digester:
        """Give what was kept under a name; CKR_SAVED_STATE_INVALID if nothing was."""
        context = self._saved.get(name)
        if context is None:
            raise Refusal(CKR.SAVED_STATE_INVALID)
        return context

    # Logins

    def role(self, chip: Chip) -> Role | None:
        """Tell who is logged in to a key."""
        return self._logins.get(chip)

    def state(self, session: Session) -> CKS:
        """Give the state of a session (PKCS#11 3.2 §3.3)."""
        role = self._logins.get(session.chip)
        if role is Role.SO:
            return CKS.RW_SO_FUNCTIONS
        if role is Role.USER:
            return CKS.RW_USER_FUNCTIONS if session.writable else CKS.RO_USER_FUNCTIONS
        return CKS.RW_PUBLIC_SESSION if session.writable else CKS.RO_PUBLIC_SESSION

    def log_in(self, chip: Chip, role: Role, pin: bytes) -> None:
        """Log in to a key (PKCS#11 3.2 §5.6.8)."""
        with self.lock:
            present = self._logins.get(chip)
            if present is role:
                raise Refusal(CKR.USER_ALREADY_LOGGED_IN)
            if present is not None:
                raise Refusal(CKR.USER_ANOTHER_ALREADY_LOGGED_IN)
            if role is Role.SO and not all(s.writable for s in self.sessions(chip)):
                raise Refusal(CKR.SESSION_READ_ONLY_EXISTS)
            chip.log_in(role, pin)
            self._logins[chip] = role

    def log_out(self, chip: Chip) -> None:
        """Log out: private objects are gone from sight (PKCS#11 3.2 §5.6.10)."""
        with self.lock:
            role = self._logins.pop(chip, None)
            if role is None:
                raise Refusal(CKR.USER_NOT_LOGGED_IN)
            hidden = [obj for owner, obj in self._by_handle.values() if owner is chip]
            self._forget_objects([obj for obj in hidden if obj.private])
            for session in self.sessions(chip):
                session.objects = [obj for obj in session.objects if not obj.private]
                session.operations = {
                    name: operation
                    for name, operation in session.operations.items()
                    if operation.key is None or not operation.key.private
                }
            chip.log_out(role)

    # Objects

    def find(self, session: Session, wanted: dict[int, bytes]) -> Iterator[Object]:
        """Give the objects that match and that this session sees, of the token and all sessions."""
        user = self._logins.get(session.chip) is Role.USER
        yield from session.chip.find(wanted, private=user)
        for other in self.sessions(session.chip):
            for obj in list(other.objects):
                if (user or not obj.private) and obj.matches(wanted):
                    yield obj

    def handle(self, session: Session, obj: Object) -> int:
        """Give the handle of an object, the same for all sessions with the key."""
        with self.lock:
            handle = self._handles.get(obj)
            if handle is None:
                handle = next(self._numbers)
                self._handles[obj] = handle
                self._by_handle[handle] = (session.chip, obj)
            return handle

    def object(
        self, session: Session, handle: int, code: CKR = CKR.OBJECT_HANDLE_INVALID
    ) -> Object:
        """Give the object of a handle, or refuse with `code`."""
        chip, obj = self._by_handle.get(handle, (None, None))
        if chip is not session.chip or obj is None:
            raise Refusal(code, f"object {handle}")
        if obj.row is not None and not chip.holds(obj):
            self._forget_objects([obj])
            raise Refusal(code, f"object {handle} has been destroyed")
        return obj

    def place(self, session: Session, *objects: Object) -> list[int]:
        """Put new objects on the token or into the session, all or none; give their handles."""
        for obj in objects:
            self.require_writable(session, obj)
        token_objects = [obj for obj in objects if obj.on_token]
        if token_objects:
            session.chip.keep(*token_objects)
        with self.lock:
            session.objects.extend(obj for obj in objects if not obj.on_token)
            return [self.handle(session, obj) for obj in objects]

    def remove(self, session: Session, obj: Object) -> None:
        """Destroy an object."""
        session.chip.destroy(obj)
        with self.lock:
            for other in self.sessions(session.chip):
                if obj in other.objects:
                    other.objects.remove(obj)
            self._forget_objects([obj])

    def require_writable(self, session: Session, obj: Object) -> None:
        """Refuse what the session may not write (PKCS#11 3.2 §4.4)."""
        if obj.on_token and not session.writable:
            raise Refusal(CKR.SESSION_READ_ONLY)
        if obj.private and self._logins.get(session.chip) is not Role.USER:
            raise Refusal(CKR.USER_NOT_LOGGED_IN)

    def _forget_objects(self, objects: list[Object]) -> None:
        for obj in objects:
            handle = self._handles.pop(obj, None)
            if handle is not None:
                del self._by_handle[handle]
