"""Where objects stand: by row, and by the attributes that programs search for."""

from collections.abc import Iterator

from ukey_emulator.terms import CKA

from .object import Object

_INDEXED = (CKA.LABEL, CKA.ID, CKA.UNIQUE_ID, CKA.SUBJECT, CKA.SERIAL_NUMBER, CKA.CLASS)


class Shelf:
    """Objects in the order of their rows, found without looking at each of them."""

    def __init__(self) -> None:
        self._rows: dict[int, Object] = {}
        self._index: dict[tuple[int, bytes], dict[int, Object]] = {}

    def holds(self, obj: Object) -> bool:
        """Tell whether it is this very object that stands in its row: rows are used again."""
        return obj.row is not None and self._rows.get(obj.row) is obj

    def put(self, row: int, obj: Object) -> None:
        """Put an object on the shelf."""
        obj.row = row
        self._rows[row] = obj
        self._list(row, obj)

    def take(self, row: int) -> None:
        """Take an object off the shelf, if it stands there."""
        obj = self._rows.pop(row, None)
        if obj is not None:
            self._unlist(row, obj.attributes)

    def change(self, obj: Object, attributes: dict[int, bytes]) -> None:
        """Give an object that stands here other attributes."""
        assert obj.row is not None  # noqa: S101 - what stands here has a row
        self._unlist(obj.row, obj.attributes)
        obj.attributes = attributes
        self._list(obj.row, obj)

    def find(self, wanted: dict[int, bytes]) -> Iterator[Object]:
        """Give the objects that match, by way of the rarest of the wanted attributes."""
        buckets = [
            self._index.get((attribute, wanted[attribute]), {})
            for attribute in _INDEXED
            if attribute in wanted
        ]
        candidates = min(buckets, key=len) if buckets else self._rows
        # A copy: another program may put or take objects meanwhile.
        return (obj for obj in list(candidates.values()) if obj.matches(wanted))

    def _list(self, row: int, obj: Object) -> None:
        index = self._index
        for key in _keys(obj.attributes):
            bucket = index.get(key)
            if bucket is None:
                index[key] = {row: obj}
            else:
                bucket[row] = obj

    def _unlist(self, row: int, attributes: dict[int, bytes]) -> None:
        for key in _keys(attributes):
            bucket = self._index.get(key)
            if bucket is not None:
                bucket.pop(row, None)
                if not bucket:
                    del self._index[key]


def _keys(attributes: dict[int, bytes]) -> list[tuple[int, bytes]]:
    return [(what, attributes[what]) for what in _INDEXED if what in attributes]
