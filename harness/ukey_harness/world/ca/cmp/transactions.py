"""What goes on between the authority and those who ask it: the transactions of CMP.

They live in memory. A certificate that nobody confirms within the time set is revoked
(RFC 9810 §5.1.1.2); after a restart of the world an unconfirmed certificate stays valid.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from cryptography import x509

CONFIRM_WAIT = timedelta(minutes=10)
"""How long a certificate waits for its confirmation."""
_MEMORY = timedelta(hours=1)
_MOST = 10_000


class State(Enum):
    """How far a transaction has come."""

    UNCONFIRMED = auto()
    CONFIRMED = auto()
    REJECTED = auto()


@dataclass
class Transaction:
    """One certificate on its way: who asked, what was issued, and what was said last."""

    id: bytes
    signer: x509.Certificate
    certificate: x509.Certificate
    cert_req_id: int
    state: State
    deadline: datetime
    nonce: bytes
    """The senderNonce of the last response, which the next request must repeat."""


class Transactions:
    """The transactions of the last hour, by their transactionID; not safe for many threads."""

    def __init__(self) -> None:
        self._known: dict[bytes, Transaction] = {}

    def __contains__(self, transaction_id: object) -> bool:
        return transaction_id in self._known

    def add(self, transaction: Transaction) -> None:
        """Keep a new transaction, and forget the oldest finished ones beyond ten thousand."""
        self._known[transaction.id] = transaction
        finished = [one for one in self._known.values() if one.state is not State.UNCONFIRMED]
        for one in finished[: max(0, len(self._known) - _MOST)]:
            del self._known[one.id]

    def find(self, transaction_id: bytes) -> Transaction | None:
        """Return the transaction with this ID, None where none is known."""
        return self._known.get(transaction_id)

    def holds_unconfirmed(self, certificate: x509.Certificate) -> bool:
        """Tell whether a certificate still waits for its confirmation."""
        return any(
            one.state is State.UNCONFIRMED and one.certificate == certificate
            for one in self._known.values()
        )

    def overdue(self, now: datetime) -> Iterator[Transaction]:
        """Yield those whose confirmation has not come in time; forget those long finished."""
        for one in list(self._known.values()):
            if one.state is State.UNCONFIRMED and now > one.deadline:
                yield one
            elif one.state is not State.UNCONFIRMED and now > one.deadline + _MEMORY:
                del self._known[one.id]
