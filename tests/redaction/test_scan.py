"""Running detectors: each asked only for what it named, what was seen remembered under the right key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from redaction import scan
from redaction.detectors.base import DetectorGaveUp, Hit, Texts
from redaction.scan import Detectors
from redaction.shape import Role
from redaction.walk import Form, Leaf, Unreadable


class Spy:
    """Finds every `!`, and keeps what it was asked."""

    def __init__(self, name: str = "spy", sign: str = "!") -> None:
        self.name, self.kinds, self.sign = name, frozenset({name}), sign
        self.asked: list[tuple[str, str, bool]] = []

    def select(self, texts: Texts) -> Iterable[int]:
        return texts.holding((self.sign,))

    def detect(self, text: str, context: str, *, is_number: bool) -> Sequence[Hit]:
        self.asked.append((text, context, is_number))
        return [Hit(self.name, self.name, 1.0, i, i + 1) for i, sign in enumerate(text) if sign == self.sign]


def leaf(text: str, context: str = "k", form: Form = Form.STRING) -> Leaf:
    return Leaf(("p",), text, context, Role.DATA, form)


def found(detectors: Detectors, *leaves: Leaf) -> list[tuple[str, list[tuple[int, int]]]]:
    return [(one.text, [(hit.start, hit.end) for hit in hits]) for one, hits in detectors.scan(leaves)]


def test_each_detector_is_asked_only_for_the_texts_it_named() -> None:
    bang, ask = Spy(), Spy("ask", "?")
    detectors = Detectors((bang, ask), memory_key=b"k")
    assert found(detectors, leaf("a!"), leaf("b?"), leaf("c")) == [("a!", [(1, 2)]), ("b?", [(1, 2)])]
    assert (bang.asked, ask.asked) == ([("a!", "k", False)], [("b?", "k", False)])
    assert detectors.kinds == {"spy", "ask"}


def test_what_was_seen_is_remembered_by_text_context_and_form() -> None:
    spy = Spy()
    detectors = Detectors((spy,), memory_key=b"k")
    for _ in range(2):
        found(detectors, leaf("a!"), leaf("a!"), leaf("a!", "other"), leaf("a!", "k", Form.NUMBER))
    assert spy.asked == [("a!", "k", False), ("a!", "other", False), ("a!", "k", True)]


def test_a_hostile_key_cannot_borrow_what_another_text_remembers() -> None:
    detectors = Detectors((Spy(),), memory_key=b"k")
    assert found(detectors, leaf("0!!", "1:a")) == [("0!!", [(1, 2), (2, 3)])]
    assert found(detectors, leaf("!!", "1:a0")) == [("!!", [(0, 1), (1, 2)])]


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "REMEMBERED_TEXTS_MAX", 2)
    spy = Spy()
    detectors = Detectors((spy,), memory_key=b"k")
    for text in ("a!", "b!", "a!", "c!", "a!", "b!"):
        found(detectors, leaf(text))
    assert [text for text, _, _ in spy.asked] == ["a!", "b!", "c!", "b!"]


def test_clean_keys_are_noted_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "CLEAN_KEYS_MAX", 2)
    detectors = Detectors((Spy(),), memory_key=b"k")
    found(detectors, leaf("one", "", Form.KEY), leaf("two!", "", Form.KEY), leaf("three"), leaf("x" * 65, "", Form.KEY))
    assert set(detectors.clean_keys) == {"one"}
    found(detectors, leaf("four", "", Form.KEY), leaf("five", "", Form.KEY))
    assert set(detectors.clean_keys) == {"five"}


def test_what_an_operator_left_is_no_find() -> None:
    class Brackets(Spy):
        def detect(self, text: str, context: str, *, is_number: bool) -> Sequence[Hit]:
            return [Hit("spy", "spy", 1.0, 0, 10), Hit("spy", "spy", 1.0, 10, 11)]

    detectors = Detectors((Brackets(),), memory_key=b"k")
    assert found(detectors, leaf("[REDACTED]!")) == [("[REDACTED]!", [(10, 11)])]


def test_broken_text_refuses_the_message() -> None:
    with pytest.raises(Unreadable, match="surrogate"):
        found(Detectors((Spy(),), memory_key=b"k"), leaf("ok"), leaf("half \ud83d"))


def test_a_detector_that_gives_up_is_not_silenced() -> None:
    class Weary(Spy):
        def detect(self, text: str, context: str, *, is_number: bool) -> Sequence[Hit]:
            raise DetectorGaveUp("too long")

    with pytest.raises(DetectorGaveUp):
        found(Detectors((Weary(),), memory_key=b"k"), leaf("a!"))
