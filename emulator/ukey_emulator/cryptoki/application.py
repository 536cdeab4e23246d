"""An application: a process that called C_Initialize, with its sessions, logins and handles."""

import itertools
import secrets
import threading
from collections import Counter
from collections.abc import Iterator, Mapping

from ukey_emulator.chip import Chip, Refusal, Role
from ukey_emulator.chip.objects import Object
from ukey_emulator.profiles.quirks import Quirk
from ukey_emulator.slots import Slot, Slots
from ukey_emulator.terms import CKR, CKS

from .operations import Operation
from .session import Session

STATE_LENGTH = 32
_MOST_STATES = 256
_FEW_HANDLES = 64
_MOST_KEYS = 4096

# Handles of sessions and objects. No two are the same, so that one from before C_Finalize is none.
_numbers = itertools.count(1)


class Application:
    """What one process has open on the keys (PKCS#11 3.2 §5.6).

    `pid` and `name` are what the process said of itself, for the trace alone. Its threads call at
    the same time, and it may end while they do: what depends on a session being open or on a login
    is done under `lock`.
    """

    def __init__(self, slots: Slots, pid: int, name: str) -> None:
        self.slots = slots
        self.pid = pid
        self.name = name
        self.lock = threading.RLock()
        self.ended = False
        self.seen_changes = slots.changes()
        self._visible = frozenset(self.seen_changes)
        self.keys: dict[int, str] = {}  # by session, also a closed one: for the trace alone
        self._sessions: dict[int, Session] = {}
        self._untold: dict[int, Slot] = {}  # sessions that a pulled key has ended, not yet told so
        self._logins: dict[Chip, tuple[Role, int]] = {}  # and the chip's era
        self._by_handle: dict[int, tuple[Chip, Object]] = {}
        self._handles: dict[Object, int] = {}
        self._most_handles = _FEW_HANDLES
        self._saved: dict[bytes, tuple[Chip, CKS, Operation]] = {}

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
        if writable:
            chip.require_unprotected()
        with self.lock:
            if self.ended:
                raise Refusal(CKR.CRYPTOKI_NOT_INITIALIZED, "C_Finalize was called meanwhile")
            if chip.identity.max_sessions or chip.identity.max_rw_sessions:
                self._require_session(chip, writable=writable)
            if not writable and self.role(chip) is Role.SO:
                raise Refusal(CKR.SESSION_READ_WRITE_SO_EXISTS)
            session = Session(next(_numbers), slot, chip, writable)
            slot.count(chip, 1)
            self._sessions[session.handle] = session
            self.keys[session.handle] = slot.key
            if len(self.keys) > _MOST_KEYS:
                del self.keys[next(iter(self.keys))]
            return session

    def _require_session(self, chip: Chip, *, writable: bool) -> None:
        """Refuse one session more than the key lets one program have with CKR_SESSION_COUNT."""
        identity, sessions = chip.identity, self.sessions(chip)
        full = 0 < identity.max_sessions <= len(sessions)
        rw_full = 0 < identity.max_rw_sessions <= sum(each.writable for each in sessions)
        if full or (writable and rw_full):
            raise Refusal(CKR.SESSION_COUNT, f"{len(sessions)} sessions are open")

    def session(self, handle: int) -> Session:
        """Give an open session.

        CKR_SESSION_HANDLE_INVALID if it is none; CKR_DEVICE_REMOVED, once, if its key has been
        pulled out.
        """
        session = self._sessions.get(handle)
        if session is None:
            slot = self._untold.pop(handle, None)
            if slot is not None:
                raise _removed(slot)
            raise Refusal(CKR.SESSION_HANDLE_INVALID, f"session {handle}")
        if session.slot.chip is not session.chip:
            raise self.removed(session)
        return session

    def removed(self, session: Session) -> Refusal:
        """End all that there was with a key that has been pulled out; give what to tell of it.

        To each session this is told once, by the call that it has under way or the next one.
        """
        with self.lock:
            ended = {other.handle: other.slot for other in self.sessions(session.chip)}
            self._drop(session.chip)
            if Quirk.REMOVED_HANDLE in session.chip.identity.quirks:
                return Refusal(CKR.SESSION_HANDLE_INVALID, f"session {session.handle}")
            self._untold.update(ended)
            self._untold.pop(session.handle, None)
        return _removed(session.slot)

    def open_sessions(self) -> Mapping[int, Session]:
        """Give the sessions by their handles."""
        return self._sessions

    def slot_of(self, handle: int) -> Slot | None:
        """Give the slot of a session, also of one that has not been told yet that it has ended."""
        session = self._sessions.get(handle)
        return self._untold.get(handle) if session is None else session.slot

    def tell_again(self, handle: int, slot: Slot) -> None:
        """Tell a session once more, at its next call, that its key is gone: nobody has heard it."""
        self._untold[handle] = slot

    def sessions(self, chip: Chip) -> list[Session]:
        """Give all sessions with a key."""
        return [session for session in list(self._sessions.values()) if session.chip is chip]

    def in_use(self) -> dict[Chip, int]:
        """Tell how many sessions there are with each key that is used."""
        return Counter(session.chip for session in list(self._sessions.values()))

    def close_session(self, session: Session) -> None:
        """Close a session; the last one with a key ends the login."""
        with self.lock:
            self._require_open(session)
            if self.sessions(session.chip) == [session]:
                self._drop(session.chip)
                return
            del self._sessions[session.handle]
            self._forget_objects(session.objects)
            session.objects.clear()
            session.operations.clear()
            session.slot.count(session.chip, -1)

    def close_sessions(self, slot: Slot) -> None:
        """Close all sessions with what is in a slot, or was in it."""
        with self.lock:
            for chip in {each.chip for each in self._sessions.values() if each.slot is slot}:
                self._drop(chip)
            self._untold = {each: of for each, of in self._untold.items() if of is not slot}

    def _require_open(self, session: Session) -> None:
        """Refuse if another thread has closed the session meanwhile; under `lock`."""
        if session.handle not in self._sessions:
            raise Refusal(CKR.SESSION_CLOSED, f"session {session.handle}")

    def end(self) -> None:
        """End everything: the process has finished or died."""
        self.ended = True
        self.slots.faults.wake()  # who hangs in one may hold the lock
        with self.lock:
            for chip in {session.chip for session in self._sessions.values()}:
                self._drop(chip)
        self.slots.wake()

    def _drop(self, chip: Chip) -> None:
        """End all that this application has with a key.

        The sessions are counted down last: once there are none, the key may be initialised.
        """
        sessions = self.sessions(chip)
        for session in sessions:
            del self._sessions[session.handle]
            session.operations.clear()
            session.objects.clear()
        for handle, (owner, obj) in list(self._by_handle.items()):
            if owner is chip:
                del self._by_handle[handle], self._handles[obj]
        login = self._logins.pop(chip, None)
        if login is not None:
            chip.log_out(*login)
        for session in sessions:
            session.slot.count(chip, -1)

    # Saved states

    def save(self, session: Session, operation: Operation) -> bytes:
        """Keep a digest under a name that nobody guesses; the oldest give way to new ones."""
        name = secrets.token_bytes(STATE_LENGTH)
        with self.lock:
            while len(self._saved) >= _MOST_STATES:
                self._saved.pop(next(iter(self._saved)))
            self._saved[name] = session.chip, self.state(session), operation
        return name

    def saved(self, session: Session, name: bytes) -> Operation:
        """Give what was kept under a name (PKCS#11 3.2 §5.6.7).

        CKR_SAVED_STATE_INVALID if nothing was, or with another token or in another session state.
        """
        chip, state, operation = self._saved.get(name, (None, None, None))
        if operation is None or chip is not session.chip or state is not self.state(session):
            raise Refusal(CKR.SAVED_STATE_INVALID)
        return operation

    # Logins

    def role(self, chip: Chip) -> Role | None:
        """Tell who is logged in to a key: nobody any more once a card has wiped it."""
        role, era = self._logins.get(chip, (None, 0))
        if role is None or era == chip.era:
            return role
        with self.lock:
            self._logins.pop(chip, None)
            self._hide(chip)
        return None

    def state(self, session: Session) -> CKS:
        """Give the state of a session (PKCS#11 3.2 §3.3)."""
        role = self.role(session.chip)
        if role is Role.SO:
            return CKS.RW_SO_FUNCTIONS
        if role is Role.USER:
            return CKS.RW_USER_FUNCTIONS if session.writable else CKS.RO_USER_FUNCTIONS
        return CKS.RW_PUBLIC_SESSION if session.writable else CKS.RO_PUBLIC_SESSION

    def log_in(self, session: Session, role: Role, pin: bytes) -> None:
        """Log in to the key of a session (PKCS#11 3.2 §5.6.8)."""
        chip = session.chip
        with self.lock:
            self.require_no_login(session, role)
            self._logins[chip] = role, chip.log_in(role, pin)

    def require_no_login(self, session: Session, role: Role) -> None:
        """Refuse a login that cannot be, whatever the PIN is."""
        chip = session.chip
        with self.lock:
            self._require_open(session)
            present = self.role(chip)
            if present is role:
                raise Refusal(CKR.USER_ALREADY_LOGGED_IN)
            if present is not None:
                raise Refusal(CKR.USER_ANOTHER_ALREADY_LOGGED_IN)
            if role is Role.SO and not all(s.writable for s in self.sessions(chip)):
                raise Refusal(CKR.SESSION_READ_ONLY_EXISTS)

    def log_out(self, chip: Chip) -> None:
        """Log out: private objects are gone from sight (PKCS#11 3.2 §5.6.10)."""
        with self.lock:
            if self.role(chip) is None:
                raise Refusal(CKR.USER_NOT_LOGGED_IN)
            login = self._logins.pop(chip)
            self._hide(chip)
            chip.log_out(*login)

    def _hide(self, chip: Chip) -> None:
        """Take private objects of a key, and what goes on with them, from sight; under `lock`."""
        hidden = [obj for owner, obj in self._by_handle.values() if owner is chip]
        self._forget_objects([obj for obj in hidden if obj.private])
        for session in self.sessions(chip):
            session.objects = [obj for obj in session.objects if not obj.private]
            # A copy: other threads go on with their operations meanwhile.
            for name, operation in list(session.operations.items()):
                if operation.key is not None and operation.key.private:
                    session.operations.pop(name, None)

    # Objects

    def find(self, session: Session, wanted: dict[int, bytes], *, hidden: bool) -> list[int]:
        """Give the handles of the objects that match and that this session sees.

        They are those of the token and of all sessions, or else the key's `hidden` features.
        """
        with self.lock:
            found: Iterator[Object] = (
                (obj for obj in session.chip.features() if obj.matches(wanted))
                if hidden
                else self._find(session, wanted)
            )
            return [self.handle(session, obj) for obj in found]

    def _find(self, session: Session, wanted: dict[int, bytes]) -> Iterator[Object]:
        user = self.role(session.chip) is Role.USER
        yield from session.chip.find(wanted, private=user)
        for other in self.sessions(session.chip):
            for obj in other.objects:
                if (user or not obj.private) and obj.matches(wanted):
                    yield obj

    def handle(self, session: Session, obj: Object) -> int:
        """Give the handle of an object, the same for all sessions with the key."""
        with self.lock:
            handle = self._handles.get(obj)
            if handle is None:
                handle = next(_numbers)
                self._handles[obj] = handle
                self._by_handle[handle] = (session.chip, obj)
                if len(self._by_handle) > self._most_handles:
                    self._forget_destroyed()
            return handle

    def _forget_destroyed(self) -> None:
        """Forget what other programs have destroyed, which nobody may ever ask for again."""
        handles = self._by_handle.values()
        gone = [obj for chip, obj in handles if obj.row is not None and not chip.holds(obj)]
        self._forget_objects(gone)
        self._most_handles = max(_FEW_HANDLES, 2 * len(self._by_handle))

    def object(
        self, session: Session, handle: int, code: CKR = CKR.OBJECT_HANDLE_INVALID
    ) -> Object:
        """Give the object of a handle, or refuse with `code`."""
        chip, obj = self._by_handle.get(handle, (None, None))
        if chip is not session.chip or obj is None:
            raise Refusal(code, f"object {handle}")
        if obj.row is not None and not chip.holds(obj):
            with self.lock:
                self._forget_objects([obj])
            raise Refusal(code, f"object {handle} has been destroyed")
        return obj

    def place(self, session: Session, *objects: Object) -> list[int]:
        """Put new objects on the token or into the session, all or none; give their handles."""
        if session.pause is not None:
            for obj in objects:
                self.require_writable(session, obj)
            pause, session.pause = session.pause, None
            pause()
        token_objects = [obj for obj in objects if obj.on_token]
        with self.lock:
            self._require_open(session)
            for obj in objects:
                self.require_writable(session, obj)
            if token_objects:
                session.chip.keep(*token_objects)
            session.objects.extend(obj for obj in objects if not obj.on_token)
            return [self.handle(session, obj) for obj in objects]

    def remove(self, session: Session, obj: Object) -> None:
        """Destroy an object; CKR_OBJECT_HANDLE_INVALID if another thread was quicker."""
        with self.lock:
            if obj not in self._handles:
                raise Refusal(CKR.OBJECT_HANDLE_INVALID, "it has been destroyed meanwhile")
            session.chip.destroy(obj)
            for other in self.sessions(session.chip):
                if obj in other.objects:
                    other.objects.remove(obj)
            self._forget_objects([obj])

    def require_writable(self, session: Session, obj: Object) -> None:
        """Refuse what the session may not write (PKCS#11 3.2 §4.4)."""
        if obj.on_token and not session.writable:
            session.chip.require_unprotected()  # which says more, and so comes first (§5.1.6)
            raise Refusal(CKR.SESSION_READ_ONLY)
        if obj.private and self.role(session.chip) is not Role.USER:
            raise Refusal(CKR.USER_NOT_LOGGED_IN)

    def _forget_objects(self, objects: list[Object]) -> None:
        for obj in objects:
            handle = self._handles.pop(obj, None)
            if handle is not None:
                del self._by_handle[handle]


def _removed(slot: Slot) -> Refusal:
    return Refusal(CKR.DEVICE_REMOVED, f"the key of slot {slot.number} is gone")
