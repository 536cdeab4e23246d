"""What happens to a key as a PIV card while its power is cut."""

from collections.abc import Iterator

from bench import NEW_PIN, NEW_SO_PIN, WRONG, Bench, scene
from cryptography.hazmat.primitives.asymmetric import ec
from piv_program import tlv
from program import PIN, SO_PIN


@scene("card pins")
def card_pin_verified(bench: Bench) -> Iterator[None]:
    piv = bench.piv()
    yield
    assert piv.sw(0x20, 0, 0x80, _field(WRONG)) == 0x63C1
    yield
    piv.verify()
    yield


@scene("card pins")
def card_pin_and_puk_changed(bench: Bench) -> Iterator[None]:
    piv = bench.piv()
    yield
    for reference, old, new in ((0x80, PIN, NEW_PIN), (0x81, SO_PIN, NEW_SO_PIN)):
        assert piv.sw(0x24, 0, reference, _field(WRONG) + _field(new)) == 0x63C1
        yield
        piv.ok(0x24, 0, reference, _field(old) + _field(new))
        yield


@scene("card pins")
def card_pin_unblocked(bench: Bench) -> Iterator[None]:
    piv = bench.piv()
    for _ in range(4):
        piv.sw(0x20, 0, 0x80, _field(WRONG))
    yield
    assert piv.sw(0x2C, 0, 0x80, _field(WRONG) + _field(NEW_PIN)) == 0x63C1
    yield
    piv.ok(0x2C, 0, 0x80, _field(SO_PIN) + _field(NEW_PIN))
    yield


@scene("card pins")
def card_tries_set(bench: Bench) -> Iterator[None]:
    piv = bench.piv()
    piv.manage()
    piv.verify()
    yield
    piv.ok(0xFA, 3, 7)
    yield


@scene("card pins")
def card_reset(bench: Bench) -> Iterator[None]:
    piv = bench.piv()
    for _ in range(5):
        piv.sw(0x20, 0, 0x80, _field(WRONG))
        piv.sw(0x24, 0, 0x81, _field(WRONG) + _field(NEW_SO_PIN))
    yield
    piv.ok(0xFB, 0, 0)
    yield


@scene("card keys")
def card_objects_put(bench: Bench) -> Iterator[None]:
    piv = bench.piv()
    piv.manage()
    yield
    for content in (b"facial", b"", b"other"):
        piv.ok(0xDB, 0x3F, 0xFF, tlv(0x5C, bytes.fromhex("5FC108")) + tlv(0x53, content))
        yield


@scene("card keys")
def card_keys_generated(bench: Bench) -> Iterator[None]:
    """With no PIN, so that they go into the letterbox; then the PIN is given, which opens it."""
    piv = bench.piv()
    piv.manage()
    yield
    piv.generate(0x9C, 0x11)
    yield
    piv.generate(0x9C, 0x14)  # in place of the first
    yield
    piv.verify()
    yield


@scene("card keys")
def card_key_imported_moved_deleted(bench: Bench) -> Iterator[None]:
    piv = bench.piv()
    piv.manage()
    yield
    scalar = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
    piv.ok(0xFE, 0x11, 0x9D, tlv(0x06, scalar.to_bytes(32)))
    yield
    piv.ok(0xF6, 0x82, 0x9D)
    yield
    piv.ok(0xF6, 0xFF, 0x82)
    yield


@scene("card keys")
def card_management_key_set(bench: Bench) -> Iterator[None]:
    piv = bench.piv()
    piv.manage()
    yield
    piv.ok(0xFF, 0xFF, 0xFF, b"\x0a" + tlv(0x9B, bytes(range(24))))
    yield


def _field(pin: bytes) -> bytes:
    return pin.ljust(8, b"\xff")
