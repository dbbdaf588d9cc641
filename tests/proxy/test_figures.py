"""Who may read the figures by a token. What they are: `tests/blackbox/test_whole_way_figures.py`, of a whole gate."""

from __future__ import annotations

from typing import Any, cast

import pytest

from proxy.figures import Figures
from proxy.metrics import Metrics


def figures(token: str | None) -> Figures:
    nothing = cast("Any", None)  # the parts of a gate, which a token does not need
    return Figures(
        metrics=Metrics([]),
        token=token,
        store=nothing,
        inbox=nothing,
        parking=nothing,
        inspectors=nothing,
        stopped=nothing,
        door=nothing,
        servers=dict,
        snapshot=nothing,
        clock=lambda: 0.0,
    )


@pytest.mark.parametrize(
    ("token", "given", "may"),
    [("one", "one", True), ("one", "One", False), ("one", "", False), ("", "", False), (None, "", False)],
)
def test_p12_the_figures_are_read_with_the_configured_token_and_no_other(
    token: str | None, given: str, may: bool
) -> None:
    assert figures(token).may_read(given) is may
