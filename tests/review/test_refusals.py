from __future__ import annotations

import pytest

from review.refusals import Conflict, NotAllowed, NotFound, Refusal, RefusalCode, Unacceptable


def test_what_is_not_there_is_named() -> None:
    refusal = NotFound("call c-9")
    assert (refusal.code, refusal.message, str(refusal)) == (RefusalCode.NOT_FOUND, *["There is no call c-9."] * 2)


@pytest.mark.parametrize("kind", [Conflict, NotAllowed, Unacceptable])
def test_every_refusal_has_a_code_for_programs_and_words_for_people(kind: type[Refusal]) -> None:
    refusal = kind(RefusalCode.ROLE, "You may not.")
    assert (refusal.code.value, refusal.message) == ("role_missing", "You may not.")
