"""One call: what would happen, why people are asked, and the acts on it.

Rules of this module:
* An act carries the version and the digest that the page was made from; the inbox compares them.
* How long somebody looked is measured by the page and bounded by our own clock.
* Letting a call go within `arming_ms` of its page being made is refused: nobody has read it.
* What was typed survives a refusal.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote_plus

from starlette.responses import Response
from starlette.routing import BaseRoute

from policies.model import JsonObject
from review import inert, shape
from review.board import QueueName
from review.console import listing, views
from review.console.visits import Console, Does, Page, Visit, back_to, done_at, shown_at
from review.desk import Seen
from review.doubts import Found
from review.inbox import Shown
from review.model import CallState, ReviewKind, ReviewState
from review.refusals import Conflict, NotFound, RefusalCode, Unacceptable

_AGREED = {ReviewState.PARKED: "edited", ReviewState.APPROVING: "agreed"}
"""What to say after a yes that did not settle the question."""

_FORM_BYTES_PER_CHAR = 12  # four bytes of UTF-8, each as %XX
_FORM_REST_BYTES = 64 * 1024  # for the other fields, of which the comment is the longest


def routes(console: Console) -> list[BaseRoute]:
    acts: dict[str, Does] = {
        "approve": approve,
        "reject": reject,
        "edit": edit,
        "preview": preview,
        "escalate": escalate,
        "claim": claim,
        "unclaim": unclaim,
        "veto": veto,
        "judge": judge,
        "undo": undo,
        "comment": comment,
        "resolve": resolve,
    }
    return [
        *(
            done_at(console, f"/c/{{id}}/{name}", does, shows=show, is_edit=name in ("edit", "preview"))
            for name, does in acts.items()
        ),
        *shown_at(console, "/c/{id}", show),
    ]


async def show(visit: Visit) -> Page:
    shown = await visit.console.inbox.show(_id(visit), visit.who.reviewer)
    return await _page(visit, shown)


async def _page(visit: Visit, shown: Shown, **more: object) -> Page:
    call, review = shown.call, shown.review
    arguments = (call.to_send or {}).get("arguments")
    proposed = (call.proposed or {}).get("arguments")
    is_question = review is not None and review.kind in (ReviewKind.APPROVAL, ReviewKind.PROMOTION)
    inbox, me = visit.console.inbox, visit.who.reviewer
    background = await inbox.background(shown)
    context = {
        "wanting": listing.wanting(await inbox.counts(me)),
        "beside": await inbox.beside(me, QueueName.MINE, review.id if review is not None else ""),
        "path": "/c/",
        "background": background,
        "shown": shown,
        "call": call,
        "review": review,
        "arguments": arguments,
        "edited": shape.differences(proposed, arguments) if call.approved is not None else (),
        "drift": _drift(shown),
        "draft": _draft(arguments, visit.console.settings.edit_bytes_max),
        "waits": views.waits(call, review, visit.console.waiting, visit.now),
        "is_open": is_question and review is not None and review.state in (ReviewState.PARKED, ReviewState.APPROVING),
        "is_undoable": is_question
        and review is not None
        and not shown.can_be_vetoed
        and review.state in (ReviewState.APPROVED, ReviewState.SPENDABLE),
        "is_in_doubt": call.state is CallState.IN_DOUBT,
        "seen_at": int(visit.now * 1000),
        "did": visit.request.query_params.get("did", ""),
        "preview": None,
        **more,
    }
    data = views.shown_data(shown, visit.console.waiting)
    return Page("call.html", context, {**data, **views.background_data(background)})


async def approve(visit: Visit) -> Response:
    review_id = await _review_id(visit)
    check_armed(visit)
    acted = await visit.console.inbox.approve(review_id, visit.who.reviewer, seen(visit), _comment(visit))
    return back_to(_path(visit), _AGREED.get(acted.state, "approved"))


async def reject(visit: Visit) -> Response:
    review_id = await _review_id(visit)
    await visit.console.inbox.reject(review_id, visit.who.reviewer, seen(visit), _comment(visit))
    return back_to(_path(visit), "rejected")


async def preview(visit: Visit) -> Page:
    """What the changed arguments would come to; nothing is written."""
    typed, shown = _arguments(visit), await visit.console.inbox.show(_id(visit), visit.who.reviewer)
    if shown.review is None:
        raise NotFound(f"question about call {_id(visit)}")
    rewritten = await visit.console.inbox.preview(shown.review.id, visit.who.reviewer, typed)
    before = (shown.call.to_send or {}).get("arguments")
    changes = shape.differences(before, typed)
    return await _page(visit, shown, preview={"rewritten": rewritten, "changes": changes}, typed=visit.form)


async def edit(visit: Visit) -> Response:
    review_id = await _review_id(visit)
    check_armed(visit)
    acted = await visit.console.inbox.edit(
        review_id, visit.who.reviewer, seen(visit), _arguments(visit), _comment(visit)
    )
    return back_to(_path(visit), _AGREED.get(acted.state, "approved"))


async def escalate(visit: Visit) -> Response:
    await visit.console.inbox.escalate(await _review_id(visit), visit.who.reviewer, seen(visit), _comment(visit))
    return back_to(_path(visit), "escalated")


async def claim(visit: Visit) -> Response:
    await visit.console.inbox.claim(await _review_id(visit), visit.who.reviewer, seen(visit))
    return back_to(_path(visit), "claimed")


async def unclaim(visit: Visit) -> Response:
    await visit.console.inbox.unclaim(await _review_id(visit), visit.who.reviewer, seen(visit))
    return back_to(_path(visit), "unclaimed")


async def veto(visit: Visit) -> Response:
    await visit.console.inbox.veto(await _review_id(visit), visit.who.reviewer, seen(visit), _comment(visit))
    return back_to(_path(visit), "vetoed")


async def judge(visit: Visit) -> Response:
    """What one thinks of a call that is over. The address is the review's own: the call may have another."""
    verdict = visit.form.get("verdict", "")
    await visit.console.inbox.judge(_id(visit), visit.who.reviewer, seen(visit), verdict, _comment(visit))
    return back_to(_path(visit), "judged")


async def undo(visit: Visit) -> Response:
    await visit.console.inbox.undo(await _review_id(visit), visit.who.reviewer, seen(visit), _comment(visit))
    return back_to(_path(visit), "undone")


async def comment(visit: Visit) -> Response:
    await visit.console.inbox.comment(await _review_id(visit), visit.who.reviewer, visit.form.get("said", ""))
    return back_to(_path(visit), "commented")


async def resolve(visit: Visit) -> Response:
    try:
        found = Found(visit.form.get("found", ""))
    except ValueError:
        raise Unacceptable(
            RefusalCode.COMMENT_NEEDED, "Say what you found out: it happened, it did not, or unknown."
        ) from None
    version = whole(visit, "version")
    await visit.console.inbox.resolve(_id(visit), visit.who.reviewer, found, _comment(visit), version=version)
    return back_to(_path(visit), "resolved")


# what a form brings


def seen(visit: Visit) -> Seen:
    """What the person had before them, as the form says; the time is never longer than we know it was."""
    elapsed = max(0, int(visit.now * 1000) - whole(visit, "seen_at"))
    looked = visit.form.get("looked", "")
    looked_ms = min(int(looked), elapsed) if looked.isascii() and looked.isdigit() and len(looked) < 12 else elapsed
    return Seen(version=whole(visit, "version"), shown=visit.form.get("shown", ""), looked_ms=looked_ms)


def check_armed(visit: Visit) -> None:
    """Raises: Conflict when the page is so new that nobody can have read it."""
    if int(visit.now * 1000) - whole(visit, "seen_at") < visit.console.settings.arming_ms:
        raise Conflict(RefusalCode.CHANGED, "That was faster than anybody reads. Look again, then decide.")


def whole(visit: Visit, name: str) -> int:
    """A whole number from the form. Raises: Conflict when the form is not one of ours."""
    text = visit.form.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise Conflict(RefusalCode.CHANGED, "This form is incomplete. Open the page again.")
    return int(text)


def _draft(arguments: Any, bytes_max: int) -> str | None:
    """The arguments as text to change, or None where a form could not bring them back."""
    text = inert.marked_json(arguments)
    may_be_long = len(text) > bytes_max // _FORM_BYTES_PER_CHAR
    return None if may_be_long and len(quote_plus(text)) > bytes_max - _FORM_REST_BYTES else text


def _arguments(visit: Visit) -> JsonObject:
    try:
        typed = visit.console.read_json(visit.form.get("arguments", "").encode("utf-8"))
    except ValueError as error:
        raise Unacceptable(RefusalCode.ARGUMENTS_INVALID, f"This is not JSON as it must be: {error}") from error
    if not isinstance(typed, dict):
        raise Unacceptable(RefusalCode.ARGUMENTS_INVALID, "Arguments are a JSON object: { … }.")
    return typed


def _drift(shown: Shown) -> tuple[shape.Difference, ...]:
    seen_tool = shown.definition
    if seen_tool is None or not seen_tool.has_drifted or seen_tool.accepted_definition is None:
        return ()
    return shape.differences(seen_tool.accepted_definition, seen_tool.definition)


def _comment(visit: Visit) -> str:
    return visit.form.get("comment", "")


def _id(visit: Visit) -> str:
    return str(visit.request.path_params["id"])


def _path(visit: Visit) -> str:
    return f"/c/{_id(visit)}"


async def _review_id(visit: Visit) -> str:
    shown = await visit.console.inbox.show(_id(visit), visit.who.reviewer)
    if shown.review is None:
        raise NotFound(f"question about call {_id(visit)}")
    return shown.review.id
