"""Steps of object management (§5.7)."""

from typing import Any

from choices import Choices
from hypothesis import strategies as st
from hypothesis.stateful import rule
from recipes import FLAGS, RECIPE, SPOIL, template
from standard.values import (
    Cell,
    Handles,
    Null,
    Query,
    Template,
    words,
)
from stepping import (
    CELL,
    PICK,
    WHO,
    S,
    Steps,
)


class ObjectSteps(Steps):
    """Objects made, copied, changed, found, destroyed."""

    @rule(who=WHO, s=S, recipe=RECIPE, flags=FLAGS, spoil=SPOIL, cell=CELL)
    def create_object(
        self, who: int, s: int, recipe: str, flags: dict[str, bool], spoil: str | None, cell: Cell
    ) -> None:
        def build(c: Choices) -> tuple[Any, ...]:
            return (c.session(s), template(recipe, c.world.new_name(), flags, spoil), cell)

        self.step(who, "CreateObject", build)

    @rule(
        who=WHO,
        s=S,
        obj=PICK,
        changes=st.fixed_dictionaries(
            {},
            optional={
                name: st.booleans()
                for name in ("TOKEN", "PRIVATE", "MODIFIABLE", "SENSITIVE", "EXTRACTABLE")
            }
            | {"CLASS": st.just("DATA")},
        ),
        cell=CELL,
    )
    def copy_object(self, who: int, s: int, obj: int, changes: dict[str, Any], cell: Cell) -> None:
        def build(c: Choices) -> tuple[Any, ...]:
            number = c.object(obj)
            known = c.app.handles.get(number)
            fits = {k: v for k, v in changes.items() if known is None or k in known.attributes}
            pairs = {"LABEL": c.world.new_name(), **fits}
            return (c.session(s), number, Template(tuple(pairs.items())), cell)

        self.step(who, "CopyObject", build)

    @rule(who=WHO, s=S, obj=PICK)
    def destroy_object(self, who: int, s: int, obj: int) -> None:
        self.step(who, "DestroyObject", lambda c: (c.session(s), c.object(obj)))

    @rule(who=WHO, s=S, obj=PICK, cell=CELL)
    def get_object_size(self, who: int, s: int, obj: int, cell: Cell) -> None:
        self.step(who, "GetObjectSize", lambda c: (c.session(s), c.object(obj), cell))

    @rule(
        who=WHO,
        s=S,
        obj=PICK,
        kinds=st.lists(
            st.tuples(
                st.sampled_from(
                    words(
                        "LABEL CLASS TOKEN PRIVATE MODIFIABLE COPYABLE DESTROYABLE VALUE SENSITIVE "
                        "EXTRACTABLE ALWAYS_SENSITIVE NEVER_EXTRACTABLE LOCAL ID KEY_TYPE "
                        "VALUE_LEN MODULUS PRIVATE_EXPONENT BOGUS"
                    )
                ),
                st.sampled_from([400, 400, 400, None, 0, 1]),
            ),
            max_size=5,
        ),
    )
    def get_attribute_value(self, who: int, s: int, obj: int, kinds: list[Any]) -> None:
        query = Query(tuple(kinds))
        self.step(who, "GetAttributeValue", lambda c: (c.session(s), c.object(obj), query))

    @rule(
        who=WHO,
        s=S,
        obj=PICK,
        names=st.lists(
            st.sampled_from(
                words(
                    "LABEL LABEL ID SENSITIVE EXTRACTABLE COPYABLE WRAP_WITH_TRUSTED ENCRYPT SIGN "
                    "TOKEN PRIVATE CLASS LOCAL BOGUS"
                )
            ),
            min_size=1,
            max_size=3,
            unique=True,
        ),
        value=st.booleans(),
    )
    def set_attribute_value(
        self, who: int, s: int, obj: int, names: list[str], value: bool
    ) -> None:
        def build(c: Choices) -> tuple[Any, ...]:
            fixed = {"LABEL": c.world.new_name(), "ID": b"2", "CLASS": "DATA", "BOGUS": b"1"}
            pairs = tuple((name, fixed.get(name, value)) for name in names)
            return (c.session(s), c.object(obj), Template(pairs))

        self.step(who, "SetAttributeValue", build)

    @rule(
        who=WHO,
        s=S,
        wanted=st.sampled_from(
            [
                {},
                {"CLASS": "SECRET_KEY"},
                {"CLASS": "PRIVATE_KEY"},
                {"TOKEN": True},
                {"PRIVATE": False},
                {"LABEL": b"object 1"},
                {"VALUE": b"a value"},
                {"BOGUS": b"1"},
            ]
        ),
    )
    def find_objects_init(self, who: int, s: int, wanted: dict[str, Any]) -> None:
        pairs = Template(tuple(wanted.items()))
        self.step(who, "FindObjectsInit", lambda c: (c.session(s), pairs))

    @rule(
        who=WHO,
        s=S,
        room=st.sampled_from([Handles(0), Handles(1), Handles(2), Handles(50), Null(2)]),
    )
    def find_objects(self, who: int, s: int, room: Handles | Null) -> None:
        self.step(who, "FindObjects", lambda c: (c.session(s), room))

    @rule(who=WHO, s=S)
    def find_objects_final(self, who: int, s: int) -> None:
        self.step(who, "FindObjectsFinal", lambda c: (c.session(s),))
