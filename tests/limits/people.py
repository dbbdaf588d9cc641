"""Boundary rows of what people read and write, of the record, and of the inspector."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from audit import canonical, masks, verify
from audit.chain import prepare
from proxy.store import reads
from proxy.store.rows import CALLS, call_row
from proxy.store.tables import to_json
from redaction import operators, paths
from redaction.scan import Detectors
from redaction.shape import Role
from redaction.walk import Form, Leaf, Unreadable, WalkLimits
from review import brief, exact, inert, passwords, shape, stops
from review.console import tail
from review.live import EVERYTHING, Pages
from review.model import StopScope
from review.refusals import Unacceptable
from review.throttle import Throttle, TooManyTries
from tests.audit.builders import draft
from tests.limits.rows import Row, loads
from tests.proxy.store import builders as store_builders
from tests.redaction import builders
from tests.redaction.test_scan import Spy, found
from tests.redaction.test_walk import walked
from tests.review.builders import refund
from tests.review.console.test_bodies import _status


def _entry(size: int) -> bool:
    empty = len(prepare(draft(body={"text": ""}), node="n1", boot="b1").prefix) + 1
    body = {"text": "x" * (size - empty)}
    return loads(lambda: prepare(draft(body=body), node="n1", boot="b1"), ValueError)


def _nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def _line(size: int) -> bool:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "record.jsonl"
        file.write_bytes(b"x" * size)
        try:
            verify.verify_file(file)
        except verify.Broken:
            return True
        except verify.Unreadable as error:
            return "longer than" not in str(error)
    raise AssertionError("that was no entry")


def _masked_whole(value: Any) -> bool:
    text = repr(masks.mask(value))
    return "more" not in text and "array(" not in text


def _values(count: int) -> Any:
    """So many values: lists in a list, none longer than a mask lists."""
    lists: list[Any] = []
    left = count - 1
    while left > 0:
        inner = min(left - 1, masks.MASK_ITEMS_MAX)
        lists.append([1] * inner)
        left -= inner + 1
    return lists


def _walks(message: Any, **limits: int) -> bool:
    return loads(lambda: walked(message, WalkLimits(**limits)), Unreadable)


def _documents(levels: int) -> Any:
    """JSON in a string, in JSON in a string …"""
    text = "1"
    for _ in range(levels):
        text = builders.json_text([text])
    return [text]


def _remembers(count: int) -> bool:
    spy = Spy()
    detectors = Detectors((spy,), memory_key=b"k")
    for number in [*range(count), 0]:
        found(detectors, Leaf(("p",), f"{number}!", "k", Role.DATA, Form.STRING))
    return len(spy.asked) == count


def _clean_keys(count: int, chars: int = 1) -> bool:
    detectors = Detectors((Spy(),), memory_key=b"k")
    for number in range(count):
        found(detectors, Leaf(("p",), "k" * (chars - 1) + chr(0x4E00 + number), "", Role.DATA, Form.KEY))
    return len(detectors.clean_keys) == count


def _pending(count: int) -> bool:
    async def heard() -> list[str]:
        pages = Pages(pending_max=8)
        async with pages.subscribe() as changes:
            for number in range(count):
                pages.tell(str(number))
            pages.close()
            return [change async for change in changes]

    return EVERYTHING not in asyncio.run(heard())


def _throttled(keys: int) -> bool:
    throttle = Throttle(free_tries=1, keys_max=8)
    for number in range(keys):
        throttle.begin(f"{number}", 0.0)
    return not loads(lambda: throttle.begin("0", 0.0), TooManyTries)


def _words(count: int) -> bool:
    """A look-alike after so many words is still seen."""
    text = " ".join(["é"] * (count - 1) + ["p\u0430ypal"])
    return inert.Caution.MIXED in inert.inert(text).cautions


def _accents(count: int) -> bool:
    return not any(part.kind is inert.Kind.MARK for part in inert.inert("e" + "\u0301" * count).parts)


def _fields(count: int) -> bool:
    return asyncio.run(_status(b"&".join(b"a%d=" % n for n in range(count)))) == 200


def _form(size: int) -> bool:
    return asyncio.run(_status(b"a=" + b"x" * (size - 2), bytes_max=200, chunks=7)) == 200


def _edit(size: int) -> bool:
    body = b'{"a":"' + b"x" * (size - 8) + b'"}'
    return asyncio.run(_status(body, "application/json", bytes_max=200, chunks=7)) == 200


def _target(chars: int) -> bool:
    return loads(lambda: stops.check_target(StopScope.SERVER, "x" * chars, ["x" * chars]), Unacceptable)


def _digits(count: int) -> bool:
    return loads(lambda: tail._number("after", "1" * count), tail.Unreadable)


def _whole_in_a_list(size: int) -> bool:
    empty = len(exact.text({"arguments": {"text": ""}}))
    proposed = {"arguments": {"text": "x" * (size - empty)}}
    return brief.brief(refund(proposed=proposed)).proposed == proposed


def _opened_for_a_list(size: int) -> bool:
    """As the store reads it: a list of the one call with so many bytes sealed."""
    sealing, connection = store_builders.rows(), sqlite3.connect(":memory:")
    connection.execute(f"CREATE TABLE calls ({', '.join(CALLS.columns)}, mac)")
    empty = len(to_json({"arguments": {"text": ""}}))
    call = store_builders.a_call(proposed={"arguments": {"text": "x" * (size - empty)}})
    connection.execute(CALLS.insert_many(1), sealing.stored(CALLS, call_row(sealing, call)))
    (found,) = reads.calls_in(connection, sealing, [call.state], 9)
    assert found.left_out is not None
    assert found.left_out.size_bytes in (size, size + 1)  # one more where it was opened, and written out for people
    return bool(found.left_out.first)


ROWS = (
    Row("review.brief.WHOLE_BYTES_MAX", _whole_in_a_list),
    Row("review.brief.READ_BYTES_MAX", _opened_for_a_list),
    Row("review.console.tail.NUMBER_DIGITS_MAX", _digits),
    Row("audit.chain.ENTRY_BYTES_MAX", _entry),
    Row("audit.canonical.DEPTH_MAX", lambda n: loads(lambda: canonical.canonical(_nested(n)), ValueError)),
    Row("audit.masks.MASK_ITEMS_MAX", lambda n: _masked_whole([1] * n)),
    Row("audit.masks.MASK_DEPTH_MAX", lambda n: _masked_whole(_nested(n))),
    Row("audit.masks.MASK_NODES_MAX", lambda n: _masked_whole(_values(n))),
    Row("audit.verify.LINE_BYTES_MAX", _line),
    Row("redaction.walk.WalkLimits.depth_max", lambda n: _walks(_nested(n + 1), depth_max=9), at=9),
    Row("redaction.walk.WalkLimits.nodes_max", lambda n: _walks([1] * (n - 0), nodes_max=9), at=9),
    Row("redaction.walk.WalkLimits.embedded_depth_max", lambda n: _walks(_documents(n), embedded_depth_max=3), at=3),
    Row(
        "redaction.walk.WalkLimits.embedded_chars_max",
        lambda n: _walks([f"[{'1' * (n - 2)}]"], embedded_chars_max=9),
        at=9,
    ),
    Row(
        "redaction.walk.WalkLimits.opaque_chars_max",
        lambda n: _walks(builders.result(nextCursor="x" * n), opaque_chars_max=9),
        at=9,
    ),
    Row("redaction.paths.PATH_CHARS_MAX", lambda n: paths.in_message(("a" * (n - 2),), {}) == "$." + "a" * (n - 2)),
    Row("redaction.operators.MASK_CHARS_MAX", lambda n: operators.mask("x" * n, 0) == "*" * n),
    Row("redaction.scan.REMEMBERED_TEXTS_MAX", _remembers, at=9),
    Row("redaction.scan.CLEAN_KEYS_MAX", _clean_keys, at=9),
    Row("redaction.scan.CLEAN_KEY_CHARS_MAX", lambda n: _clean_keys(1, n)),
    Row(
        "review.passwords.CHARS_MAX",
        lambda n: loads(lambda: passwords.check_fit("p" * n, "anna"), passwords.PasswordUnfit),
    ),
    Row("review.shape.LEAVES_MAX", lambda n: shape.rows(list(range(n))).left_out == 0),
    Row("review.inert.OPEN_CHARS_MAX", lambda n: inert.inert("a" * n).whole is not None),
    Row("review.inert.WORDS_MAX", _words, at=9),
    Row("review.inert.COMBINING_RUN_MAX", _accents),
    Row("review.stops.TARGET_CHARS_MAX", _target),
    Row("review.live.Pages.pending_max", _pending, at=8),
    Row("review.throttle.Throttle.keys_max", _throttled, at=8),
    Row("review.console.bodies.FIELDS_MAX", _fields),
    Row("review.console.settings.ConsoleSettings.form_bytes_max", _form, at=200),
    Row("review.console.settings.ConsoleSettings.edit_bytes_max", _edit, at=200),
)
