"""Finding objects: the same as by looking at each of them."""

from hypothesis import given
from hypothesis import strategies as st

from ukey_emulator.chip.objects import Object, Shelf
from ukey_emulator.chip.objects.kinds import number
from ukey_emulator.terms import CKA, CKO

labels = st.sampled_from([b"", b"a", b"b"])
steps = st.lists(
    st.tuples(st.sampled_from(["put", "take", "change"]), st.integers(0, 7), labels, labels),
    max_size=30,
)
searches = st.dictionaries(st.sampled_from([CKA.LABEL, CKA.ID, CKA.VALUE]), labels)


def item(label: bytes, ident: bytes) -> dict[int, bytes]:
    return {
        CKA.CLASS: number(CKO.DATA),
        CKA.LABEL: label,
        CKA.ID: ident,
        CKA.VALUE: label + ident,
    }


@given(steps=steps, wanted=searches)
def test_a_search_is_what_looking_at_each_object_gives(
    steps: list[tuple[str, int, bytes, bytes]], wanted: dict[int, bytes]
) -> None:
    shelf, plain = Shelf(), dict[int, Object]()
    for step, row, label, ident in steps:
        if step == "take":
            shelf.take(row)
            plain.pop(row, None)
        elif step == "change" and row in plain:
            shelf.change(plain[row], item(label, ident))
        elif row not in plain:
            plain[row] = Object(item(label, ident), {})
            shelf.put(row, plain[row])
    found = {obj.row for obj in shelf.find(wanted)}
    assert found == {row for row, obj in plain.items() if obj.matches(wanted)}
    assert all(shelf.holds(obj) for obj in plain.values())
    assert not shelf.holds(Object(item(b"", b""), {}, row=1))
