"""One client: its context, its handles, and the answers to its messages."""

import socket
from collections.abc import Callable
from typing import Any

from .handle import Handle, check_connect, connect
from .incoming import Incoming
from .messages import (
    ATTRIBUTE,
    CANCEL,
    CONNECT,
    CONTROL,
    COUNT,
    DISPOSE,
    ESTABLISH,
    FIXED_READERS,
    LONGEST_ATTRIBUTE,
    LONGEST_DATA,
    ON_CARD,
    READER_EVENTS,
    RECONNECT,
    RELEASE,
    TRANSMIT,
    VERSION,
    MessageError,
)
from .readers import Readers
from .terms import SCARD, Command, ReaderRefusal, Scope

_MAJOR = 4
_MINORS = range(4, 7)
_ANY_NUMBER = 6  # the minor version since when there may be any number of readers
_MOST_HANDLES = 200


class Client:
    """A client's end of the conversation, spoken by one thread.

    What a message asks for is answered as pcscd 1.9.9 does. A message about a context or a handle
    that is not this client's ends the conversation, as it does there.
    """

    def __init__(self, readers: Readers, connection: socket.socket) -> None:
        self._readers = readers
        self._connection = connection
        self._context = 0
        self._handles: dict[int, Handle] = {}
        self._minor = _MINORS[0]
        self._told_readers = FIXED_READERS
        self._registering = False
        self._answers: dict[int, Callable[[tuple[Any, ...], bytes], bytes | None]] = {
            Command.VERSION: self._version,
            Command.ESTABLISH_CONTEXT: self._establish_context,
            Command.RELEASE_CONTEXT: self._release_context,
            Command.CONNECT: self._connect,
            Command.RECONNECT: self._reconnect,
            Command.DISCONNECT: self._disconnect,
            Command.BEGIN_TRANSACTION: self._begin_transaction,
            Command.END_TRANSACTION: self._end_transaction,
            Command.TRANSMIT: self._transmit,
            Command.CONTROL: self._control,
            Command.STATUS: self._status,
            Command.CANCEL: self._cancel,
            Command.GET_ATTRIB: self._get_attribute,
            Command.SET_ATTRIB: self._set_attribute,
            Command.GET_READERS_STATE: self._readers_state,
            Command.WAIT_READER_STATE_CHANGE: self._wait,
            Command.STOP_WAITING_READER_STATE_CHANGE: self._stop_waiting,
            Command.GET_READER_EVENTS: self._reader_events,
            Command.GET_READERS_STATE_SIZE: self._readers_state_size,
            Command.GET_READERS_STATE_ARRAY: self._readers_state_array,
        }

    def talk(self) -> None:
        """Answer messages until the client hangs up; MessageError if it sends what is none."""
        take = Incoming(self._connection).take
        send = self._connection.sendall
        answers = self._answers
        try:
            while (message := take()) is not None:
                command, fields, data = message
                answer = answers[command](fields, data)
                if answer:
                    send(answer)
        finally:
            self._readers.events.leave(self._connection)
            self._leave_context()

    def _version(self, fields: tuple[Any, ...], _: bytes) -> bytes:
        major, minor, _rv = fields
        if major != _MAJOR or minor not in _MINORS:
            return VERSION.pack(_MAJOR, _MINORS[-1], SCARD.E_SERVICE_STOPPED)
        self._minor = minor
        return VERSION.pack(_MAJOR, minor, SCARD.S_SUCCESS)

    def _establish_context(self, fields: tuple[Any, ...], _: bytes) -> bytes:
        scope = fields[0]
        if scope not in set(Scope):
            return ESTABLISH.pack(scope, 0, SCARD.E_INVALID_VALUE)
        self._forget_context()
        self._context = self._readers.add_context(self._connection)
        return ESTABLISH.pack(scope, self._context, SCARD.S_SUCCESS)

    def _release_context(self, fields: tuple[Any, ...], _: bytes) -> bytes:
        context = fields[0]
        if not self._context:
            rv = SCARD.E_INVALID_HANDLE
        elif context != self._context:
            rv = SCARD.E_INVALID_VALUE
        else:
            self._leave_context()
            rv = SCARD.S_SUCCESS
        return RELEASE.pack(context, rv)

    def _connect(self, fields: tuple[Any, ...], _: bytes) -> bytes:
        context, name, share, protocols, _card, active, _rv = fields
        number = self._readers.numbers.take()
        given, rv = 0, SCARD.S_SUCCESS
        try:
            check_connect(share, protocols)
            reader = self._readers.reader(name[:-1].split(b"\0", 1)[0])
            self._check_context(context)
            self._handles[number], active = connect(
                reader, number, share, protocols, self._is_there
            )
            given = number
        except ReaderRefusal as refusal:
            rv = refusal.rv
        finally:
            if not given:
                self._readers.numbers.give_back(number)
        return CONNECT.pack(context, name, share, protocols, given, active, rv)

    def _check_context(self, context: int) -> None:
        """Refuse a further handle to a context that is none, or has too many."""
        if not self._context:
            raise ReaderRefusal(SCARD.E_INVALID_HANDLE)
        if context != self._context:
            raise ReaderRefusal(SCARD.E_INVALID_VALUE)
        if len(self._handles) >= _MOST_HANDLES:
            raise ReaderRefusal(SCARD.E_NO_MEMORY)

    def _reconnect(self, fields: tuple[Any, ...], _: bytes) -> bytes:
        card, share, protocols, initialization, active, _rv = fields
        rv = SCARD.S_SUCCESS
        try:
            active = self._handle(card).reconnect(share, protocols, initialization)
        except ReaderRefusal as refusal:
            rv, active = refusal.rv, 0
        return RECONNECT.pack(card, share, protocols, initialization, active, rv)

    def _disconnect(self, fields: tuple[Any, ...], _: bytes) -> bytes:
        card, disposition, _rv = fields
        handle = self._handle(card)
        rv = _rv_of(handle.disconnect, disposition)
        if rv is SCARD.S_SUCCESS:
            del self._handles[card]
            self._readers.numbers.give_back(card)
        return DISPOSE.pack(card, disposition, rv)

    def _begin_transaction(self, fields: tuple[Any, ...], _: bytes) -> bytes:
        return ON_CARD.pack(fields[0], _rv_of(self._handle(fields[0]).begin_transaction))

    def _end_transaction(self, fields: tuple[Any, ...], _: bytes) -> bytes:
        card, disposition, _rv = fields
        rv = _rv_of(self._handle(card).end_transaction, disposition)
        return DISPOSE.pack(card, disposition, rv)

    def _status(self, fields: tuple[Any, ...], _: bytes) -> bytes:
        return ON_CARD.pack(fields[0], _rv_of(self._handle(fields[0]).status))

    def _transmit(self, fields: tuple[Any, ...], data: bytes) -> bytes:
        card, protocol, length, size, receive, receive_length, room, _rv = fields
        try:
            answer = self._handle(card).transmit(protocol, data)
        except ReaderRefusal as refusal:
            return TRANSMIT.pack(
                card, protocol, length, size, receive, receive_length, 0, refusal.rv
            )
        got = len(answer)
        if got > min(room, LONGEST_DATA):
            rv = SCARD.E_INSUFFICIENT_BUFFER
            return TRANSMIT.pack(card, protocol, length, size, receive, receive_length, got, rv)
        return (
            TRANSMIT.pack(card, protocol, length, size, protocol, receive_length, got, 0) + answer
        )

    def _control(self, fields: tuple[Any, ...], data: bytes) -> bytes:
        card, code, size, room, _returned, _rv = fields
        try:
            answer = self._handle(card).control(code, data)
        except ReaderRefusal as refusal:
            return CONTROL.pack(card, code, size, room, 0, refusal.rv)
        if len(answer) > room:
            rv = SCARD.E_INSUFFICIENT_BUFFER
            return CONTROL.pack(card, code, size, room, len(answer), rv)
        return CONTROL.pack(card, code, size, room, len(answer), SCARD.S_SUCCESS) + answer

    def _get_attribute(self, fields: tuple[Any, ...], _: bytes) -> bytes:
        card, attribute, value, room, _rv = fields
        handle = self._handle(card)
        if room > LONGEST_ATTRIBUTE:
            raise MessageError(f"an attribute of {room} bytes")
        try:
            found = handle.get_attribute(attribute)
        except ReaderRefusal as refusal:
            return ATTRIBUTE.pack(card, attribute, value, 0, refusal.rv)
        if len(found) > room:
            rv = SCARD.E_INSUFFICIENT_BUFFER
            return ATTRIBUTE.pack(card, attribute, value, len(found), rv)
        return ATTRIBUTE.pack(card, attribute, found, len(found), SCARD.S_SUCCESS)

    def _set_attribute(self, fields: tuple[Any, ...], _: bytes) -> bytes:
        card, attribute, value, length, _rv = fields
        handle = self._handle(card)
        if length > LONGEST_ATTRIBUTE:
            raise MessageError(f"an attribute of {length} bytes")
        rv = _rv_of(handle.set_attribute, attribute, value[:length])
        return ATTRIBUTE.pack(card, attribute, value, length, rv)

    def _cancel(self, fields: tuple[Any, ...], _: bytes) -> bytes:
        context = fields[0]
        waiting = self._readers.client_of(context)
        if waiting is not None and self._readers.events.leave(waiting, SCARD.E_CANCELLED):
            return CANCEL.pack(context, SCARD.S_SUCCESS)
        return CANCEL.pack(context, SCARD.E_INVALID_HANDLE)

    def _readers_state(self, _fields: tuple[Any, ...], _: bytes) -> bytes:
        return self._readers.states(FIXED_READERS)

    def _readers_state_size(self, _fields: tuple[Any, ...], _: bytes) -> bytes:
        self._told_readers = self._readers.room()
        return COUNT.pack(self._told_readers)

    def _readers_state_array(self, _fields: tuple[Any, ...], _: bytes) -> bytes | None:
        if not self._registering:
            return self._readers.states(self._told_readers)
        self._registering = False
        self._readers.events.wait(
            self._connection, lambda: self._readers.states(self._told_readers)
        )
        return None

    def _wait(self, _fields: tuple[Any, ...], _: bytes) -> None:
        if self._minor >= _ANY_NUMBER:
            # It will ask for the number of readers and then for their states. An event in between
            # it would take for one of those answers; it is waiting when it has the states.
            self._registering = True
            return
        self._readers.events.wait(self._connection, lambda: self._readers.states(FIXED_READERS))

    def _stop_waiting(self, _fields: tuple[Any, ...], _: bytes) -> None:
        # Nothing is answered to a client that an event was sent to already: it reads that.
        self._readers.events.leave(self._connection, SCARD.S_SUCCESS)

    def _reader_events(self, _fields: tuple[Any, ...], _: bytes) -> bytes:
        return READER_EVENTS.pack(self._readers.events.readers, SCARD.S_SUCCESS)

    def _handle(self, card: int) -> Handle:
        handle = self._handles.get(card)
        if handle is None:
            raise MessageError("the handle is not this client's")
        return handle

    def _is_there(self) -> bool:
        """Tell whether the client has not hung up."""
        try:
            return bool(self._connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return True

    def _forget_context(self) -> None:
        if self._context:
            self._readers.remove_context(self._context)
            self._context = 0

    def _leave_context(self) -> None:
        """Give all handles up; with the transaction of one, if any, the card is reset."""
        while self._handles:
            number, handle = self._handles.popitem()
            handle.release()
            self._readers.numbers.give_back(number)
        self._forget_context()


def _rv_of(call: Callable[..., None], *arguments: Any) -> SCARD:  # noqa: ANN401
    try:
        call(*arguments)
    except ReaderRefusal as refusal:
        return refusal.rv
    return SCARD.S_SUCCESS
