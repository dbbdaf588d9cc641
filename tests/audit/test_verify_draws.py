"""`verify.py --samples`: every draw of sampled audit is repeated once its period's key is in the record."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from audit.chain import START, Linked, link, prepare
from audit.entry import EntryDraft, EntryKind
from audit.sampling import commitment, is_chosen, is_nth
from audit.verify import Broken, Draws, main, verify_rows
from tests.audit.builders import T0, jsonl

KEY = bytes(range(32))
DAY = "2026-11-18"
OPENED = EntryDraft(EntryKind.SAMPLING_OPENED, T0, "gate", None, {"period": DAY, "commitment": commitment(KEY)})
PUBLISHED = EntryDraft(EntryKind.SAMPLING_PUBLISHED, T0 + 9, "gate", None, {"period": DAY, "key": KEY.hex()})

type Chosen = Callable[[dict[str, Any], bytes], bool]


def by_draw(told: dict[str, Any], digest: bytes) -> bool:
    if "every" in told:
        return is_nth(KEY, told["number"], told["every"])
    return is_chosen(KEY, digest, told["chance_ppm"])


def record(
    lots: list[dict[str, Any]], *, chosen: Chosen = by_draw, end: tuple[EntryDraft, ...] = (PUBLISHED,)
) -> list[Linked]:
    """A record in which calls were answered with these lots, and samples opened as `chosen` says."""
    linked: list[Linked] = []

    def add(draft: EntryDraft) -> None:
        linked.append(link(prepare(draft, node="n1", boot="b1"), linked[-1].head if linked else START))

    add(OPENED)
    for number, told in enumerate(lots):
        call_id = f"call_{number}"
        add(EntryDraft(EntryKind.CALL_ANSWERED, T0 + 1, "gate", call_id, {"outcome": "allow", "sample": told}))
        if chosen(told, hashlib.sha256(linked[-1].data).digest()):
            add(EntryDraft(EntryKind.REVIEW_OPENED, T0 + 1, "gate", call_id, {"kind": "afterwards"}))
    for draft in end:
        add(draft)
    return linked


def drawn(count: int, chance_ppm: int = 300_000) -> list[dict[str, Any]]:
    return [{"period": DAY, "chance_ppm": chance_ppm, "by": ["p#audit"]} for _ in range(count)]


def verified(chain: list[Linked]) -> Draws:
    draws = Draws()
    verify_rows([(one.data, one.head.seq, None, one.call_id) for one in chain], draws=draws)
    return draws


def test_draws_that_came_out_as_the_key_says_are_repeated_and_counted() -> None:
    draws = verified(record(drawn(100)))
    assert (draws.repeated, draws.secret) == (100, 0)
    assert 10 < draws.chosen < 60


def test_counted_lots_are_repeated_too() -> None:
    lots = [{"period": DAY, "number": number, "every": 4, "by": []} for number in range(20)]
    draws = verified(record(lots))
    assert (draws.repeated, draws.chosen) == (20, 5)


def test_until_the_key_is_published_nothing_is_known_of_its_draws() -> None:
    draws = verified(record(drawn(10), end=()))
    assert (draws.repeated, draws.secret) == (0, 10)


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        (lambda told, digest: False, "is a sample, and the record has none"),
        (lambda told, digest: True, "is no sample, and the record has one"),
        (lambda told, digest: not by_draw(told, digest), "and the record has"),
    ],
)
def test_p13_a_sample_left_out_or_put_in_is_found_and_named(chosen: Chosen, said: str) -> None:
    with pytest.raises(Broken, match=said):
        verified(record(drawn(50), chosen=chosen))


def test_p13_a_key_that_was_not_committed_to_is_found() -> None:
    other = EntryDraft(EntryKind.SAMPLING_PUBLISHED, T0, "gate", None, {"period": DAY, "key": bytes(32).hex()})
    with pytest.raises(Broken, match="not the one that was committed to"):
        verified(record(drawn(1), end=(other,)))


def test_p13_a_period_cannot_be_committed_to_twice() -> None:
    again = EntryDraft(EntryKind.SAMPLING_OPENED, T0, "gate", None, {"period": DAY, "commitment": "0" * 64})
    with pytest.raises(Broken, match="another commitment"):
        verified(record(drawn(1), end=(again,)))
    assert verified(record(drawn(5), end=(OPENED, PUBLISHED))).repeated == 5  # told again after a restart


def test_without_an_open_period_every_call_with_a_chance_is_a_sample() -> None:
    lots = [{"chance_ppm": 1_000_000, "by": []}]
    assert verified(record(lots, chosen=lambda *_: True)).chosen == 1
    with pytest.raises(Broken, match="is a sample"):
        verified(record(lots, chosen=lambda *_: False, end=()))


@pytest.mark.parametrize(
    "draft",
    [
        EntryDraft(EntryKind.SAMPLING_PUBLISHED, T0, "gate", None, {"period": DAY}),
        EntryDraft(EntryKind.SAMPLING_PUBLISHED, T0, "gate", None, {"period": DAY, "key": "no key"}),
        EntryDraft(EntryKind.SAMPLING_OPENED, T0, "gate", None, {"period": [], "commitment": 1}),
    ],
)
def test_what_is_not_in_its_form_is_named_as_such(draft: EntryDraft) -> None:
    with pytest.raises(Broken, match=r"not in its form|not the one"):
        verified(record(drawn(1), end=(draft,)))


def test_the_command_says_how_many_were_repeated(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    file = jsonl(tmp_path / "record.jsonl", record(drawn(10)))
    assert main(["--samples", str(file)]) == 0
    assert "draws repeated: 10, of which samples: " in capsys.readouterr().out
