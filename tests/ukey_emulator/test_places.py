"""Which key stands in which slot, whatever comes and goes."""

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from ukey_emulator.card.piv import places
from ukey_emulator.card.piv.held import (
    AUTHENTICATION,
    CARD_AUTHENTICATION,
    RETIRED,
    SLOTS,
    Algorithm,
)
from ukey_emulator.card.piv.places import Place, Table
from ukey_emulator.chip import making
from ukey_emulator.chip.objects import Object
from ukey_emulator.chip.objects.kinds import boolean
from ukey_emulator.terms import CKA

_KEY = Algorithm.ED25519.make()
IDENTS = st.sampled_from([b"", b"a", b"b"])
INFO = _KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def key(ident: bytes, info: bytes, *, always: bool, private: bool, signs: bool) -> Object:
    """Make a private key that claims to have any public key, which is all that is looked at."""
    wanted: dict[int, bytes] = {
        CKA.ID: ident,
        CKA.PRIVATE: boolean(private or always),
        CKA.ALWAYS_AUTHENTICATE: boolean(always),
        CKA.SIGN: boolean(signs),
    }
    _, obj = making.adopt(_KEY, (), wanted.items(), generated=True)
    obj.attributes[CKA.PUBLIC_KEY_INFO] = info
    return obj


def suitable(obj: Object) -> list[int]:
    """Give the slots that suit a key, before the retired ones."""
    if obj.flag(CKA.ALWAYS_AUTHENTICATE):
        return [0x9C, 0x9A]
    if not obj.flag(CKA.PRIVATE):
        return [0x9E]
    return [0x9A, 0x9C] if obj.flag(CKA.SIGN) else [0x9D]


class Token(RuleBasedStateMachine):
    """Keys and certificates come and go; the card looks after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: list[Object] = []
        self.certified: set[bytes] = set()
        self.table: Table = {}
        self.before: Table = {}
        self.count = 0

    @initialize(count=st.integers(0, 8))
    def begin(self, count: int) -> None:
        for _ in range(count):
            self.come(b"", always=False, private=True, signs=True)

    def look(self) -> None:
        self.before = self.table
        self.table = places.settle(self.table, self.keys, self.certified)

    @rule(ident=IDENTS, always=st.booleans(), private=st.booleans(), signs=st.booleans())
    def come(self, ident: bytes, *, always: bool, private: bool, signs: bool) -> None:
        self.count += 1
        info = INFO + bytes([self.count])
        self.keys.append(key(ident, info, always=always, private=private, signs=signs))
        self.look()

    @rule(which=st.integers(0, 30))
    def copy(self, which: int) -> None:
        if self.keys:
            self.keys.append(self.keys[which % len(self.keys)].twin())
            self.look()

    @rule(which=st.integers(0, 30))
    def go(self, which: int) -> None:
        if self.keys:
            del self.keys[which % len(self.keys)]
            self.look()

    @rule(which=st.integers(0, 30), ident=IDENTS)
    def rename(self, which: int, ident: bytes) -> None:
        if self.keys:
            self.keys[which % len(self.keys)].attributes[CKA.ID] = ident
            self.look()

    @rule(ident=IDENTS.filter(bool), there=st.booleans())
    def certify(self, ident: bytes, *, there: bool) -> None:
        (self.certified.add if there else self.certified.discard)(ident)
        self.look()

    @rule(slot=st.sampled_from(SLOTS), ident=IDENTS.filter(bool))
    def put(self, slot: int, ident: bytes) -> None:
        """Have the card put a key somewhere, in the place of whatever was there."""
        gone = self.table[slot].key if slot in self.table else b""
        self.keys = [obj for obj in self.keys if obj.attributes[CKA.UNIQUE_ID] != gone]
        self.count += 1
        info = INFO + bytes([self.count])
        obj = key(ident, info, always=False, private=True, signs=True)
        self.keys.append(obj)
        self.table = {**self.table, slot: Place(ident, obj.attributes[CKA.UNIQUE_ID])}
        self.look()

    @invariant()
    def each_key_stands_in_one_place(self) -> None:
        names = [place.key for place in self.table.values() if place.key]
        assert len(names) == len(set(names))
        there = {obj.attributes[CKA.UNIQUE_ID]: obj for obj in self.keys}
        assert there.keys() >= set(names)
        infos = [there[name].attributes[CKA.PUBLIC_KEY_INFO] for name in names]
        assert len(infos) == len(set(infos))
        free = set(RETIRED) - self.table.keys()
        assert not free or set(infos) == {obj.attributes[CKA.PUBLIC_KEY_INFO] for obj in self.keys}

    @invariant()
    def a_place_without_key_has_a_certificate(self) -> None:
        assert all(place.key or place.ident in self.certified for place in self.table.values())

    @invariant()
    def what_was_put_stays_and_others_only_leave_for_the_four_first(self) -> None:
        now = {place.key: slot for slot, place in self.table.items() if place.key}
        for slot, place in self.before.items():
            if place.key in now and now[place.key] != slot:
                assert not place.fixed
                assert now[place.key] not in RETIRED

    @invariant()
    def no_better_slot_is_free(self) -> None:
        there = {obj.attributes[CKA.UNIQUE_ID]: obj for obj in self.keys}
        for slot, place in self.table.items():
            if place.key and not place.fixed:
                better = suitable(there[place.key])
                better = better[: better.index(slot)] if slot in better else better
                assert self.table.keys() >= set(better)

    @invariant()
    def looking_again_changes_nothing(self) -> None:
        assert places.settle(self.table, self.keys, self.certified) == self.table

    @invariant()
    def it_is_stored_as_it_is(self) -> None:
        assert places.unpack(places.pack(self.table)) == self.table


def test_a_key_whose_certificate_waits_in_a_poor_slot_goes_on_at_once() -> None:
    """It comes by the certificate of a key that signed, needs no PIN, and so belongs into 9E."""
    old = key(b"b", INFO + b"old", always=False, private=True, signs=True)
    new = key(b"b", INFO + b"new", always=False, private=False, signs=False)
    table = places.settle({}, [old], {b"b"})
    assert list(table) == [AUTHENTICATION]
    table = places.settle(table, [new], {b"b"})
    assert list(table) == [CARD_AUTHENTICATION]
    assert places.settle(table, [new], {b"b"}) == table


def test_every_key_keeps_its_place() -> None:
    run_state_machine_as_test(
        Token, settings=settings(max_examples=60, stateful_step_count=30, deadline=None)
    )
