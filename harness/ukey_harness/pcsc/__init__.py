"""Raw calls of the PC/SC resource manager, and the APDUs that go through it."""

from ukey_harness.pcsc.apdu import Answer
from ukey_harness.pcsc.context import Connection, Context, ReaderStatus

__all__ = ["Answer", "Connection", "Context", "ReaderStatus"]
