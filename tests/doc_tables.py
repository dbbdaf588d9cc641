"""Tables and diagrams of the documentation that are made from the code, and what people must be told beside the values.

Rules of this module:
* The values come from the code; only the meanings are written here. A page holds exactly what these functions give.
* Every public constant `…_MAX` and every default `…_max` of the packages is in `LIMITS`, in the configuration's own
  table, or in `NO_LIMITS` with its reason: a new one is told of, or a test fails.

Print everything with `python -m tests.doc_tables`, to paste it after a change of the code.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from proxy.gate import TURNS
from proxy.wire import opaque
from redaction.shape import OBJECTS, Role
from review.lifecycle import diagram

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("policies", "redaction", "audit", "review", "proxy")

LIMITS: Mapping[str, Mapping[str, str]] = {
    "Agents' side": {
        "proxy.wire.http_protocol.ServerLimits.head_lines_max": "lines of a request's head; more: 431",
        "proxy.wire.http_protocol.ServerLimits.idle_sec_max": "seconds a connection may idle; then closed",
        "proxy.wire.strict_json.JsonLimits.number_chars_max": "characters of one number; more: 413",
        "proxy.wire.jsonrpc.METHOD_CHARS_MAX": "characters of a method; more: 400",
        "proxy.agents.KEY_LENGTH_MAX": "bytes of an agent's key that is presented; more: 401",
        "policies.patterns.SUBJECT_CHARS_MAX": "characters of `server/tool` or a method; more: denied",
        "proxy.doors.pace.OWN_SEC_MAX": "seconds a request may take of the gate; longer: fewer are let in",
        "proxy.doors.mcp_sessions.SESSIONS_MAX": "sessions of all agents; more: refused, try later",
        "proxy.doors.mcp_sessions.SESSIONS_PER_AGENT_MAX": "sessions of one agent; more: refused, try later",
        "proxy.doors.mcp_sessions.IDLE_SEC_MAX": "seconds a session may lie unused; then ended",
        "proxy.doors.mcp_sessions.ANSWERED_KEPT_MAX": "answered calls a session remembers; the oldest go",
        "proxy.doors.mcp_sessions.SEEN_KEPT_MAX": "event ids, and progress tokens, known of one session; the oldest go",
        "proxy.doors.mcp_places.STREAMS_PER_AGENT_MAX": "lasting streams of one agent at one server; more: 503",
        "proxy.doors.mcp_places.STREAMS_PER_SERVER_MAX": "lasting streams of all agents at one server; more: 503",
        "proxy.doors.mcp_sessions.QUESTIONS_MAX": "open questions of a server in one session; more: an error",
        "proxy.doors.mcp_resume.EVENT_IDS_MAX": "event ids remembered of one stream; the oldest go",
        "proxy.doors.mcp_resume.FAILURES_MAX": "failed attempts to resume an upstream's stream; then doubt",
        "proxy.doors.mcp_resume.RETRY_SEC_MAX": "seconds between two of them, whatever the server asks for",
        "proxy.runner.REOPEN_WITHIN_SEC": "seconds within which an identical call meets the earlier one",
        "proxy.runner.REFUSALS_PER_SEC_MAX": "entries a second about refusals; then counted",
        "proxy.watching.CALL_LINES_PER_SEC_MAX": "lines a second in the log about calls; then counted",
        "proxy.history.KEYS_PER_AGENT_MAX": "different calls of one agent that failed or were refused; the oldest go",
        "proxy.history.TRIES_MAX": "failures of one such call that are counted; `retry_count` goes no higher",
        "proxy.history.HABITS_PER_AGENT_MAX": "tools of one agent whose use is counted; the longest unused goes",
        "proxy.history.ACTIONS_MAX": "tools of agents known to have been used; others are for the first time",
        "proxy.usual.WINDOW_CALLS_MAX": "calls of a tool by an agent that the next is compared with; the oldest go",
        "proxy.doors.mcp_self_report.REASONING_CHARS_MAX": "characters of an agent's `reasoning`; then cut",
        "proxy.recent.Recent.keys_max": "unsettled calls known in memory; more: every call looks into the store",
        "proxy.gate_rows.RELEASE_EXPIRES_SEC": "seconds a quarantined output waits for people; then destroyed",
        "proxy.app.SHUTDOWN_SEC": "seconds a stop waits for requests in flight; then they are cut and named in doubt",
    },
    "Tool servers": {
        "proxy.upstreams.http.HttpLimits.connect_sec_max": "seconds to resolve and connect; then: not sent",
        "proxy.upstreams.http.HttpLimits.total_sec_max": "seconds for a whole answer; then: broken",
        "proxy.upstreams.http.HttpLimits.connections_max": "connections to one server, streams apart; more: wait",
        "proxy.wire.http_response.INTERIM_ANSWERS_MAX": "interim answers (1xx) before an answer; more: broken",
        "proxy.wire.http_response.ResponseLimits.head_lines_max": "lines of an answer's head; more: broken",
        "proxy.wire.http_response.ResponseLimits.line_bytes_max": "bytes of one line of an answer's head; more: broken",
        "proxy.upstreams.http.HttpLimits.head_bytes_max": "bytes of an answer's head; more: broken",
        "proxy.upstreams.http.HttpLimits.body_bytes_max": "bytes of an answer, decoded; more: broken",
        "proxy.upstreams.http.HttpLimits.stream_bytes_max": "bytes of an answering stream; more: broken",
        "proxy.upstreams.http.HttpLimits.json_depth_max": "levels of JSON in an answer; more: broken",
        "proxy.upstreams.http.HttpLimits.json_keys_max": "keys in an answer; more: broken",
        "proxy.upstreams.http_rules.VALUE_CHARS_MAX": "characters of a header's value that is passed on, either way",
        "proxy.upstreams.reading.EVENT_ID_CHARS_MAX": "characters of an event id; more: broken",
        "proxy.wire.body.BodyLimits.bytes_max": "bytes of a compressed answer, decoded; more: broken",
        "proxy.wire.body.BodyLimits.ratio_max": "decoded bytes for each encoded one; more: broken",
        "proxy.wire.body.BodyLimits.ratio_free_bytes": "decoded bytes from which that ratio counts",
        "proxy.wire.sse.SseLimits.line_bytes_max": "bytes of one line of a stream; more: broken",
        "proxy.wire.sse.SseLimits.event_bytes_max": "bytes of one event; more: broken",
        "proxy.wire.sse.SseLimits.stream_bytes_max": "bytes of one stream; more: broken",
        "proxy.wire.sse.SseLimits.retry_digits_max": "digits of `retry`; a longer one is ignored",
        "proxy.upstreams.listing.ListingLimits.pages_max": "pages of a list of tools; more: it cannot be called",
        "proxy.upstreams.listing.ListingLimits.tools_max": "tools of one server; more: it cannot be called",
        "proxy.upstreams.listing.ListingLimits.listing_sec_max": "seconds to list them; then: it cannot be called",
        "proxy.upstreams.listing.ListingLimits.cursor_chars_max": "characters of a cursor while listing",
        "proxy.upstreams.definitions.NAME_CHARS_MAX": "characters of a tool's name; more: the listing is refused",
        "proxy.upstreams.stdio.StdioLimits.sessions_max": "sessions of one shared process; the longest unused goes",
        "proxy.upstreams.stdio.StdioLimits.session_idle_sec_max": "seconds a session's process may lie unused",
        "proxy.upstreams.stdio.StdioLimits.modern_idle_sec_max": "the same for a process kept without a session",
        "proxy.upstreams.stdio.StdioLimits.probe_sec_max": "seconds a command may take to say which protocol it speaks",
        "proxy.upstreams.child.ChildLimits.line_bytes_max": "bytes of one message of a process; more: it is ended",
        "proxy.upstreams.child.ChildLimits.json_depth_max": "levels of JSON in it",
        "proxy.upstreams.child.ChildLimits.json_keys_max": "keys in it",
        "proxy.upstreams.child.ChildLimits.stray_lines_max": "lines that are no messages; more: it is ended",
        "proxy.upstreams.child.ChildLimits.write_sec_max": "seconds a process may leave its input unread; then ended",
        "proxy.upstreams.conversation.ConversationLimits.stall_sec_max": "seconds a reader may take nothing",
        "proxy.upstreams.conversation.UNWRITTEN_MAX": "answers of ours that a process has yet to read; more: dropped",
        "proxy.upstreams.mailbox.MESSAGES_MAX": "messages on their way to one stream; more: the process waits",
        "proxy.upstreams.mailbox.BYTES_MAX": "bytes of them",
        "proxy.upstreams.stderr.LINE_CHARS_MAX": "characters of a line of standard error in the log; then cut",
        "proxy.upstreams.stderr.LINES_PER_WINDOW_MAX": "such lines in ten seconds; more: counted, not logged",
    },
    "Policies": {
        "policies.schema.FILES_MAX": "files of one set",
        "policies.loader.FILE_BYTES_MAX": "bytes of one file",
        "policies.yaml_source.TEXT_CHARS_MAX": "characters of one file",
        "policies.yaml_source.DEPTH_MAX": "levels of one file",
        "policies.yaml_source.NODES_MAX": "values of one file",
        "policies.yaml_source.INTEGER_DIGITS_MAX": "digits of a whole number",
        "policies.reading.TEXT_CHARS_MAX": "characters of one text",
        "policies.reading.LIST_ITEMS_MAX": "items of one list",
        "policies.schema_rules.AGENT_MESSAGE_CHARS_MAX": "characters of an `agent_message`",
        "policies.schema_approval.TEAMS_MAX": "teams of one rule",
        "policies.schema_approval.QUORUM_MAX": "people of one team",
        "policies.schema_approval.TIMEOUT_SEC_MAX": "seconds a question may stand",
        "policies.schema_oversight.VETO_WINDOW_SEC_MAX": "seconds a call may wait for a veto",
        "policies.schema_approval.GRANT_EXPIRES_SEC_MAX": "seconds an approval may wait to be spent",
        "policies.schema_approval.UNDO_SEC_MAX": "seconds of an undo window",
        "policies.schema_autonomy.LEVELS_MAX": "autonomy levels of a set",
        "policies.schema_autonomy.LEVEL_NAME_CHARS_MAX": "characters of a level's name",
        "policies.autonomy.SUCCESSES_MAX": "successes a promotion may ask for",
        "policies.autonomy.PERIOD_DAYS_MAX": "days of a review period",
        "policies.schema_constraints.RUNTIME_SEC_MAX": "seconds that a `max_runtime_sec` may allow",
        "policies.schema_constraints.RESPONSE_BYTES_MAX": "bytes that a `max_response_bytes` may allow",
        "policies.schema_audit.WEIGHT_MAX": "weight of a label in sampled audit",
        "policies.track_record.OUTCOMES_MAX": "outcomes kept of an agent in a domain; the oldest go",
        "policies.schema_output.KEEP_LAST_MAX": "characters that masking may leave",
        "policies.schema_facts.FACTS_MAX": "facts of one set",
        "policies.facts.FACT_CHARS_MAX": "characters of a fact's value; more: doubt",
        "policies.json_path.PATH_CHARS_MAX": "characters of a path",
        "policies.json_path.STEPS_MAX": "steps of a path",
        "policies.patterns.PATTERN_CHARS_MAX": "characters of a pattern",
        "policies.patterns.CACHED_ANSWERS_MAX": "remembered matches of patterns; the oldest go",
        "policies.condition_tokens.TEXT_CHARS_MAX": "characters of a condition",
        "policies.condition_tokens.TOKENS_MAX": "words and signs of a condition",
        "policies.condition_tokens.NESTING_MAX": "brackets inside one another in it",
        "policies.condition_tokens.REGEX_CHARS_MAX": "characters of a regular expression in it",
        "policies.condition_tokens.REGEX_REPEAT_MAX": "repetitions such an expression may count to",
        "policies.snapshot.PROFILES_MAX": "tools whose labels are remembered; the oldest go",
        "policies.explain.VALUE_CHARS_MAX": "characters of a value in an explanation; then cut",
        "policies.arguments.SCHEMA_CHARS_MAX": "characters of an inputSchema; more: the tool's calls are denied",
        "policies.arguments.COMPILED_MAX": "schemas kept compiled; past it all are dropped",
        "policies.arguments.PATH_CHARS_MAX": "characters of a place in a message; then cut",
        "policies.argument_limits.STEPS_MAX": "steps of checking arguments, fewer for few values; more: denied",
        "policies.argument_limits.PATTERN_WORK_MAX": "work of one `pattern` of a schema; more: it is left to the tool",
        "policies.argument_limits.NODES_MAX": "values of a schema; more: denied",
        "policies.argument_limits.DEPTH_MAX": "levels of a schema; more: denied",
        "policies.regex_work.PATTERN_CHARS_MAX": "characters of a `pattern` of a schema; more: it is left to the tool",
        "policies.regex_work.BRACKETS_DEEP_MAX": "brackets in brackets of a `pattern`; more: it is left to the tool",
        "policies.input_schema.VISITS_MAX": "places looked at to find a fact's path in a schema; more: not declared",
        "policies.input_schema.DEPTH_MAX": "levels of a schema looked at for it",
        "policies.plain_schema.ITEMS_MAX": "items of a list checked without the validator; more: it looks",
    },
    "Inspection": {
        "proxy.inspectors.SCREENED_FIRST_CHARS_MAX": "weight of an output looked at before it is written; more: after",
        "proxy.inspectors.SCREENED_BYTES_MAX": "bytes of an output that the gate looks at itself; more: a worker",
        "proxy.inspector_queue.WAITING_MAX": "outputs that wait for a worker; more: quarantined",
        "proxy.inspector_queue.WAITING_BYTES_MAX": "bytes of them; more: quarantined",
        "proxy.inspectors.REMEMBERED_MAX": "clean outputs remembered by their digest; the oldest go",
        "proxy.inspectors.RESTART_SEC_MAX": "seconds between attempts to start a worker",
        "proxy.inspector_worker.MEMORY_BYTES_MAX": "bytes of a worker's memory; more: it ends (quarantined)",
        "proxy.inspector_frames.FRAME_BYTES_MAX": "bytes of what passes between gate and worker",
        "proxy.inspector_template.START_SEC_MAX": "seconds for the workers' template to start; then the start fails",
        "proxy.inspector_template.FORK_SEC_MAX": "seconds for a worker to start",
        "proxy.inspector_template.CLOSE_SEC_MAX": "seconds for the template to end; then killed",
        "redaction.walk.WalkLimits.depth_max": "levels of an output, JSON in strings included; more: quarantined",
        "redaction.walk.WalkLimits.nodes_max": "values of an output; more: quarantined",
        "redaction.walk.WalkLimits.embedded_depth_max": "levels of JSON inside JSON strings; more: quarantined",
        "redaction.walk.WalkLimits.embedded_chars_max": "characters of JSON in strings; more: quarantined",
        "redaction.walk.WalkLimits.opaque_chars_max": "characters of an opaque value; more: quarantined",
        "redaction.inspection.ROUNDS_MAX": "rounds of redacting and scanning again; more: quarantined",
        "redaction.inspection.FINDINGS_MAX": "findings that are listed; the rest is not",
        "redaction.inspection.REDACTIONS_MAX": "redactions of one output; more: quarantined",
        "redaction.detectors.presidio.PATTERN_SEC_MAX": "seconds of one pattern on one text; more: quarantined",
        "redaction.paths.PATH_CHARS_MAX": "characters of a path in the record; then cut",
        "redaction.operators.MASK_CHARS_MAX": "stars of a mask",
        "redaction.scan.REMEMBERED_TEXTS_MAX": "texts a worker remembers by their digest; the oldest go",
        "redaction.scan.CLEAN_KEYS_MAX": "clean keys a worker remembers",
        "redaction.scan.CLEAN_KEY_CHARS_MAX": "characters of such a key",
    },
    "Reviewers' side": {
        "review.board.PAGE_ROWS_MAX": "rows of one page of a queue",
        "review.board.SEARCH_CHARS_MAX": "characters of a text that is looked for in a queue",
        "review.precedents.LOOKED_AT_MAX": "like cases that are counted beside a call; the last settled",
        "review.precedents.LATEST": "of them shown with reviewer and reason",
        "review.inbox.SESSION_CALLS": "calls of the agent's session shown beside a call",
        "review.comments.COMMENTS_MAX": "comments on one review; more: refused",
        "review.console.settings.ConsoleSettings.form_bytes_max": "bytes of a form; more: 413",
        "review.console.settings.ConsoleSettings.edit_bytes_max": "bytes of edited arguments; more: 413",
        "review.console.bodies.FIELDS_MAX": "fields of a form",
        "review.console.settings.ConsoleSettings.streams_max": "open pages with live updates; more: they ask instead",
        "review.console.settings.ConsoleSettings.streams_per_session_max": "such pages of one session",
        "review.console.settings.ConsoleSettings.tails_max": "programs that watch the record; more: 503",
        "review.console.settings.ConsoleSettings.tails_per_session_max": "such programs of one login",
        "review.console.tail.CALLS_KNOWN_MAX": "calls whose names one such stream remembers; the oldest go",
        "review.console.tail.NUMBER_DIGITS_MAX": "digits of a number in its address; more: 422",
        "review.feed.GAP_SEC": "seconds a watcher of the live feed may be away, at most a quarter of a veto window",
        "review.feed.Feed.spans_max": "streams of the live feed that are remembered",
        "review.live.Pages.pending_max": "changes a slow page has yet to hear of; more: it looks at all",
        "review.console.pages.inbox.ROWS_MAX": "rows of one page of the inbox",
        "review.console.pages.inbox.CHOICES_MAX": "agents and tools one can filter by in a queue; those with most rows",
        "review.console.pages.inbox.SEARCH_CHARS_MAX": "characters of a search; the rest is left out",
        "review.brief.WHOLE_BYTES_MAX": "bytes of arguments that a list has whole; of more their size and the first",
        "review.brief.READ_BYTES_MAX": "bytes of arguments that are opened for a list; of more the size alone",
        "review.brief.SUMMARY_CHARS_MAX": "characters of an argument in a row; the middle is left out",
        "review.inbox.DOUBTFUL_MAX": "calls in doubt in the inbox; the oldest, the others move up",
        "review.desk.InboxSettings.claim_sec": "seconds of a claim",
        "review.desk.InboxSettings.reveal_sec": "seconds a page shows a held output in clear",
        "review.desk.InboxSettings.comment_chars_max": "characters of a comment",
        "review.identity.LoginSettings.session_sec": "seconds of a login",
        "review.identity.LoginSettings.session_idle_sec": "seconds of a login that nobody uses",
        "review.identity.LoginSettings.link_sec": "seconds of a login link",
        "review.identity.LoginSettings.wait_sec_max": "seconds until the next try, after many that failed",
        "review.throttle.Throttle.keys_max": "accounts and addresses whose failed logins are counted; the oldest go",
        "review.throttle.Throttle.forget_sec": "seconds after which they are forgotten",
        "review.passwords.CHARS_MAX": "characters of a password",
        "review.shape.LEAVES_MAX": "rows of arguments that are shown; the middle is left out",
        "review.inert.OPEN_CHARS_MAX": "characters a folded text may open to in place",
        "review.inert.WORDS_MAX": "words of a text looked at for look-alikes",
        "review.inert.COMBINING_RUN_MAX": "accents on one letter; more are shown as marks",
    },
    "Kill switch": {
        "proxy.stop_watch.ANSWER_SEC_MAX": "seconds the loop may take to cut what a stop covers; then it is ended",
        "proxy.stop_files.FILE_BYTES_MAX": "bytes of a stop's file; more: everything is stopped",
        "proxy.kill_switch.SWEPT_AT_ONCE_MAX": "questions that a stop ends at a time",
        "review.stops.TARGET_CHARS_MAX": "characters of the name that a stop is for",
    },
    "Store and record": {
        "proxy.store.writer.WriterLimits.queue_items_max": "changes that wait to be written; more: refused at once",
        "proxy.store.writer.WriterLimits.queue_bytes_max": "bytes of them; more: refused at once",
        "proxy.store.writer.WriterLimits.batch_items_max": "changes of one commit; more: the next commit",
        "proxy.store.writer.WriterLimits.batch_bytes_max": "bytes of one commit; more: the next commit",
        "proxy.store.engine.StoreLimits.reads_waiting_max": "reads that wait; more: refused at once",
        "proxy.store.engine.StoreLimits.read_sec_max": "seconds of one read; then interrupted",
        "proxy.store.engine.StoreLimits.check_sec_max": "seconds of checking the database's pages at start",
        "proxy.store.tables.VALUE_BYTES_MAX": "bytes of one kept value",
        "proxy.store.transaction.PASSING_ROWS_MAX": "calls being sent that the writer remembers; more: read back",
        "proxy.store.transaction.PASSING_ROW_BYTES_MAX": "sealed bytes of one of them; more: read back",
        "proxy.store.reads.ROWS_MAX": "rows of one answer",
        "proxy.store.reads.VOTES_MAX": "votes of one review that are read",
        "proxy.store.reads.PINS_MAX": "pinned tools of one server that are read",
        "proxy.store.reads.ACCOUNTS_MAX": "accounts that are read",
        "audit.chain.ENTRY_BYTES_MAX": "bytes of one entry",
        "audit.canonical.DEPTH_MAX": "levels of a canonical value",
        "audit.masks.MASK_NODES_MAX": "values of a mask; the rest is cut and says so",
        "audit.masks.MASK_DEPTH_MAX": "levels of a mask",
        "audit.masks.MASK_ITEMS_MAX": "items of one list or map in a mask",
        "audit.verify.LINE_BYTES_MAX": "bytes of one line the verifier reads",
    },
    "Files and the command line": {
        "proxy.config_file.FILE_BYTES_MAX": "bytes of the configuration file",
        "proxy.config_secrets.SECRET_BYTES_MAX": "bytes of a file that holds a secret",
        "proxy.tail.EVENT_BYTES_MAX": "bytes of one entry that `interlock tail` reads",
        "proxy.tail.PAUSE_SEC_MAX": "seconds between its attempts to reach a gate that has gone away",
        "proxy.tail_lines.TEXT_CHARS_MAX": "characters of one text in its lines; the middle is left out",
        "proxy.tail_lines.WORD_CHARS_MAX": "characters of what it calls an entry; then cut",
        "proxy.init.listed.LISTING_SEC_MAX": "seconds `interlock init` waits for a server's tools",
        "proxy.init.asking.DESCRIPTION_CHARS_MAX": "characters of a tool's description that it shows",
        "proxy.doctor.run.CHECK_SEC_MAX": "seconds of one check of `interlock doctor`; then it says so",
        "proxy.doctor.servers.LISTING_SEC_MAX": "seconds it waits for a server's tools",
        "proxy.doctor.listeners.ASK_SEC_MAX": "seconds it waits for a listener",
        "proxy.doctor.listeners.ANSWER_BYTES_MAX": "bytes it reads of a listener's answer",
        "proxy.doctor.record.READ_MS_MAX": "milliseconds it waits for the store's lock",
        "proxy.reviewer_client.ANSWER_BYTES_MAX": "bytes of an answer to `interlock approvals`",
        "proxy.reviewer_client.TIMEOUT_SEC": "seconds it waits for one",
        "proxy.reviewer_client.LISTED_ROWS_MAX": "rows of one queue that `interlock approvals list` prints; more: said",
        "proxy.reviewer_lines.FINDINGS_SHOWN_MAX": "findings of a held output that it prints; more: how many",
    },
}

NO_LIMITS: Mapping[str, str] = {
    "proxy.upstreams.base.Sent.response_bytes_max": "what a rule's `max_response_bytes` says for one call",
    "policies.facts.EXACT_MAX": "the largest whole number a float tells from its neighbour",
    "proxy.wire.strict_json.SAFE_INTEGER_MAX": "the same, as RFC 8259 §6 says it",
    "proxy.demo.": "the demo's own patience",
    "policies.pattern_sets.": "of `policy lint` over an author's own files; past it no advice is given",
    "proxy.author.": "of the author's commands; longer lines are folded",
    "proxy.config.": "in the configuration's table",
    "proxy.wire.http_protocol.ServerLimits.": "set from `limits` of the configuration, but for the two that are listed",
    "proxy.wire.strict_json.JsonLimits.": "set from `limits` of the configuration, but for the one that is listed",
    "proxy.wire.opaque.OPAQUE_BYTES_MAX": "set from `limits.opaque_bytes_max`",
    "proxy.wire.http_response.ResponseLimits.head_bytes_max": "set from HttpLimits",
    "proxy.upstreams.http.HttpLimits.silence_sec_max": "set from `timeout_sec` of a server",
    "proxy.upstreams.conversation.ConversationLimits.silence_sec_max": "set from `timeout_sec` of a server",
    "proxy.upstreams.stdio.StdioLimits.children_max": "set from `children_max` of a server",
    "proxy.inspectors.InspectorPool.memory_bytes_max": "a parameter whose default is listed",
    "proxy.inspector_worker.WorkerSettings.": "set by the pool",
    "proxy.doors.mcp_sessions.Sessions.": "parameters whose defaults are listed",
    "proxy.upstreams.mailbox.Mailbox.": "parameters whose defaults are listed",
    "review.throttle.Throttle.wait_sec_max": "set from LoginSettings",
}


def value_of(name: str) -> Any:
    """A module's constant, or the default of a parameter or field: `package.module[.Class].name`."""
    owner, _, last = name.rpartition(".")
    try:
        return getattr(importlib.import_module(owner), last)
    except ModuleNotFoundError:
        module, _, klass = owner.rpartition(".")
        return inspect.signature(getattr(importlib.import_module(module), klass)).parameters[last].default


def limits_in_the_code() -> Iterator[str]:
    """Every public `…_MAX` of a module, and every default `…_max` of a class."""
    for file in sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py")):
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign | ast.AnnAssign):
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                if isinstance(target, ast.Name) and target.id.endswith("_MAX") and not target.id.startswith("_"):
                    yield f"{module}.{target.id}"
            elif isinstance(node, ast.ClassDef):
                yield from (f"{module}.{node.name}.{name}" for name in _defaults(node) if name.endswith("_max"))


def _defaults(node: ast.ClassDef) -> Iterator[str]:
    for inner in node.body:
        if isinstance(inner, ast.AnnAssign) and inner.value is not None and isinstance(inner.target, ast.Name):
            yield inner.target.id
        elif isinstance(inner, ast.FunctionDef) and inner.name == "__init__":
            plain, named = inner.args, inner.args.kwonlyargs
            late = plain.args[len(plain.args) - len(plain.defaults) :]
            given = [arg for arg, value in zip(named, plain.kw_defaults, strict=True) if value is not None]
            yield from (arg.arg for arg in (*late, *given))


def told_limits() -> set[str]:
    return {name for limits in LIMITS.values() for name in limits}


def limits_tables() -> Iterator[str]:
    """One table for each part of the gate."""
    for part, limits in LIMITS.items():
        rows = [f"| `{name}` | {_shown(value_of(name))} | {meaning} |" for name, meaning in limits.items()]
        yield f"### {part}\n\n| limit | value | what it counts |\n|---|---|---|\n" + "\n".join(rows) + "\n"


def _shown(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:g}"


def turns_table() -> str:
    """Which events each stage of the gate may hear."""
    rows = [
        f"| `{stage.value}` | {', '.join(f'`{event.__name__}`' for event in events)} |"
        for stage, events in TURNS.items()
    ]
    return "| stage | may hear |\n|---|---|\n" + "\n".join(rows) + "\n"


def lifecycle_diagram() -> str:
    return f"```mermaid\n{diagram()}```\n"


def opaque_table() -> str:
    """What passes unread: as the wire caps it, and as the inspector leaves it alone on its way to the agent."""
    both = {
        "every message": ("id",),
        "`params`": opaque.OPAQUE_PARAMS,
        "`result`": (*opaque.OPAQUE_RESULT_MEMBERS, "task.taskId"),
        "`_meta`": opaque.OPAQUE_META,
        "headers": opaque.OPAQUE_HEADERS,
    }
    rows = [f"| at the door | {where} | {_names(names)} |" for where, names in both.items()]
    for name, members in OBJECTS.items():
        unread = [key for key, member in members.items() if member.role is Role.OPAQUE]
        if unread:
            rows.append(f"| in the inspector | {name} | {_names(unread)} |")
    return "| checked | where | values |\n|---|---|---|\n" + "\n".join(rows) + "\n"


def _names(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    print("\n".join([*limits_tables(), turns_table(), lifecycle_diagram(), opaque_table()]), end="")
