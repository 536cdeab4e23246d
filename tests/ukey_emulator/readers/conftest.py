"""A resource manager, ours or pcscd, two readers, and a card in the first."""

from collections.abc import Iterator

import pytest
from sides import Ours, Side, side_of
from stand_in import StandIn


@pytest.fixture(params=["ours", "pcscd"])
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    """Each rule is asked of both."""
    with side_of(request.param) as made:
        yield made


@pytest.fixture
def ours() -> Iterator[Ours]:
    """For what pcscd cannot do."""
    with side_of("ours") as made:
        assert isinstance(made, Ours)
        yield made


@pytest.fixture
def card(side: Side) -> StandIn:
    card = StandIn()
    side.insert(0, card)
    return card


@pytest.fixture
def reader(side: Side) -> str:
    return side.name(0)
