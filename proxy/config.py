"""The configuration: every key it may hold, with its default, its unit and what it means.

Rules of this module:
* Every key is declared here, once; unknown keys are errors. Where the file is looked for and read: `config_file.py`.
* What must hold between keys is checked with every `Config` that is built, from a file or in code (`config_checks.py`).
* Nothing secret stands in the file: a value may be `{env: NAME}` or `{file: PATH}` and is read at start.
* Times are seconds and sizes are bytes, and the key says which.
* A key's docstring is its description in `schemas/config.schema.json`. Tags of unions stand in parentheses, so that the
  reader of errors can tell them from keys.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

MIB = 1024 * 1024
SERVER_NAME = "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"  # stands in URLs and in the patterns `server/tool` and `server.tool`
AGENT_NAME = "^[A-Za-z0-9][A-Za-z0-9._@:-]{0,127}$"
TEAM_NAME = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"

type Seconds = Annotated[float, Field(gt=0, le=30 * 86_400, allow_inf_nan=False)]
type Count = Annotated[int, Field(ge=1, le=10_000_000)]
type Bytes = Annotated[int, Field(ge=1, le=1024 * MIB)]


def _rooted(path: Path, info: ValidationInfo) -> Path:
    """A file's relative paths are meant from its folder (`base`), and `~` is `home`, where these are known."""
    known: dict[str, Path] = info.context or {}
    if "home" in known and path.parts[:1] == ("~",):
        return known["home"].joinpath(*path.parts[1:])
    return known["base"] / path if "base" in known else path


type LocalPath = Annotated[Path, AfterValidator(_rooted)]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, use_attribute_docstrings=True)


class FromEnv(Part):
    """A secret in an environment variable of the gate."""

    env: Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]
    """Name of the variable."""


class FromFile(Part):
    """A secret in a file; one line break at its end is dropped."""

    file: LocalPath
    """Path of the file, which only the gate's user should be able to read."""


def _keys_of(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value)
    return set(type(value).model_fields) if isinstance(value, Part) else set()


def _secret_kind(value: Any) -> str | None:
    if isinstance(value, str):
        return "(text)"
    return next((f"({kind})" for kind in _keys_of(value) & {"env", "file"}), None)


type SecretValue = Annotated[
    Annotated[str, Tag("(text)")] | Annotated[FromEnv, Tag("(env)")] | Annotated[FromFile, Tag("(file)")],
    Discriminator(
        _secret_kind,
        custom_error_type="secret_kind",
        custom_error_message="must be a text, {env: NAME} or {file: PATH}",
    ),
]


class Tls(Part):
    """A certificate of this listener's own, in PEM files."""

    cert: LocalPath
    """The certificate with its chain."""
    key: LocalPath
    """Its private key."""


class Listener(Part):
    """An address that the gate listens on. Anything but loopback needs `tls` or `trusted_proxies`, and `public_url`."""

    # In the file a listener without a port keeps its usual one (`_usual_port`); in code the port must be said.
    model_config = ConfigDict(json_schema_extra=lambda schema: schema.pop("required"))

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """Address to bind; the default is this machine alone."""
    port: Annotated[int, Field(ge=0, le=65535)]
    """Port to bind; 0 takes a free one."""
    tls: Tls | None = None
    """Serve HTTPS with this certificate."""
    public_url: str | None = None
    """How agents or people reach it, where that is not by host and port."""
    trusted_proxies: list[str] = Field(default_factory=list)
    """Addresses or networks of the TLS proxies in front of it."""

    def url(self, bound: tuple[str, int] | None = None) -> str:
        """How agents or people reach it: its public URL, or else where it listens (`bound`, once that is known)."""
        if self.public_url is not None:
            return self.public_url.rstrip("/")
        host, port = bound or (self.host, self.port)
        shown = f"[{host}]" if ":" in host else host
        return f"{'https' if self.tls is not None else 'http'}://{shown}:{port}"


def _usual_port(port: int) -> BeforeValidator:
    return BeforeValidator(lambda value: {"port": port} | value if isinstance(value, dict) else value)


class Server(Part):
    """What every tool server may have."""

    validate_arguments: bool = True
    """Hold arguments to the tool's inputSchema before they are judged."""
    volatile: dict[str, list[str]] = Field(default_factory=dict)
    """Tool -> JSONPaths (`$.args.request_id`) of arguments that change although an agent repeats one call."""
    timeout_sec: Seconds = 300
    """Silence after which a call to it counts as broken."""
    collect_tool: bool = True
    """Show agents the tool `interlock_collect`, with which a ticket is presented."""
    self_report: Literal["none", "argument"] = "none"
    """`argument`: every listed tool also takes how sure the agent is, and why; the gate keeps it from the tool."""


class HttpServer(Server):
    """An MCP server over Streamable HTTP."""

    url: str
    """Its MCP endpoint; no other host and no redirect is followed."""
    headers: dict[str, SecretValue] = Field(default_factory=dict)
    """Sent with every request: the gate's own credentials, never the agent's."""
    resolves_to: list[str] = Field(default_factory=list)
    """Private networks in which the name in `url` may lie; without them a name must lead to a public address."""
    ca_file: LocalPath | None = None
    """Trust this CA for it instead of the system's."""


class StdioServer(Server):
    """An MCP server which the gate starts itself and speaks to over stdin and stdout."""

    command: Annotated[str, Field(min_length=1)]
    """The program; no shell reads it."""
    args: list[str] = Field(default_factory=list)
    """Its arguments."""
    env: dict[str, SecretValue] = Field(default_factory=dict)
    """Its environment variables, beside the few it inherits from the gate (PATH, HOME, the locale)."""
    cwd: LocalPath | None = None
    """Its working directory; the gate's, where not given."""
    shared: bool = False
    """One process for all agents, which may then send them no requests."""
    children_max: Count = 16
    """Processes at once, one for each agent's session."""


def _server_kind(value: Any) -> str | None:
    kinds = _keys_of(value) & {"url", "command"}
    return f"({kinds.pop()})" if len(kinds) == 1 else None


type AnyServer = Annotated[
    Annotated[HttpServer, Tag("(url)")] | Annotated[StdioServer, Tag("(command)")],
    Discriminator(
        _server_kind,
        custom_error_type="server_kind",
        custom_error_message="must have either url (an HTTP server) or command (a program to start)",
    ),
]


class AgentEntry(Part):
    """An agent with a key of its own."""

    key_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """SHA-256 of its key, which itself is not kept."""
    groups: list[str] = Field(default_factory=list)
    """For `groups:` in policies."""


class Anonymous(Part):
    """Agents without a key: only on a loopback bind, and never behind a forwarding header."""

    enabled: bool = False
    """Let agents of this machine in without a key."""
    name: Annotated[str, Field(pattern=AGENT_NAME)] = "anonymous"
    """What policies and the record call them."""
    groups: list[str] = Field(default_factory=list)
    """For `groups:` in policies."""


class Parking(Part):
    """Holding an agent's request while people decide, and answering with a ticket before its client gives up."""

    hold_sec: Seconds = 50
    """How long a request is held for a client not named in `clients`."""
    hold_with_progress_sec: Seconds = 900
    """The same for a client known to wait on for as long as it hears of progress."""
    clients: dict[str, Seconds] = Field(default_factory=lambda: {"claude-desktop": 50.0, "claude-code": 280.0})
    """Client name -> how long its requests are held."""
    keepalive_sec: Seconds = 10
    """Between comments on a held stream."""
    progress_sec: Seconds = 15
    """Between progress messages, where the client asked for them."""
    reject_holds_sec: Annotated[int, Field(ge=0, le=30 * 86_400)] = 3600
    """How long an identical call gets the same rejection."""
    reopen_max: Annotated[int, Field(ge=0, le=1000)] = 3
    """New reviews for one unanswered call in 24 hours; then it is refused."""
    open_reviews_per_agent_max: Count = 50
    """Calls of one agent that wait for people."""
    open_reviews_max: Count = 20_000
    """Calls of all agents that wait for people."""
    held_responses_max: Count = 10_000
    """Connections held open at once; more: a ticket at once."""
    held_responses_per_agent_max: Count | None = None
    """Of one agent; by default twice the calls it may have waiting."""
    held_bytes_max: Bytes = 64 * MIB
    """Bodies of the requests that are held, all together; more: a ticket at once."""

    @property
    def held_of_agent_max(self) -> int:
        """How many responses of one agent are held."""
        return self.held_responses_per_agent_max or 2 * self.open_reviews_per_agent_max


type Tier = Literal["low", "medium", "high", "unrated"]


def _usual_undo() -> dict[Tier, int]:
    return {"medium": 5, "high": 5, "unrated": 5}


class Reviewing(Part):
    """How people's decisions are taken."""

    undo_sec: dict[Tier, Annotated[int, Field(ge=0, le=3600)]] = Field(default_factory=_usual_undo)
    """Tier -> how long an approved call is held, so that the approval can be taken back; 0 for a tier not named."""
    escalate_to: Annotated[str, Field(pattern=TEAM_NAME)] | None = None
    """Team that is asked when a question is escalated and its rules name none; without it, the admins."""


class Logs(Part):
    """The log on standard error. It holds no values of calls."""

    calls: Literal["none", "unusual", "all"] = "unusual"
    """Which calls get a line: none, unusual (all but those that were simply answered) or all."""


class Anomaly(Part):
    """When the gate knows what is usual for an agent and a tool."""

    min_history_calls: Annotated[int, Field(ge=5, le=200)] = 20
    """Dispatched calls of a tool by an agent, before which its `anomaly_score` is 0."""


class MetricsAccess(Part):
    """Who may read the figures at `/metrics` of the reviewers' listener."""

    token: SecretValue | None = None
    """What a scraper sends as `Authorization: Bearer …`; without it only logged-in reviewers read them."""


class Inspection(Part):
    """Looking through what tools return before the agent sees it."""

    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes that inspect."""
    deadline_sec: Seconds = 5
    """Time for one output; past it, it is quarantined."""
    output_bytes_max: Bytes = 4 * MIB
    """Size of one output; past it, it is quarantined."""
    entities: list[str] = Field(default_factory=list)
    """Kinds to detect; empty means the default set of patterns."""
    score_min: Annotated[float, Field(ge=0, le=1)] = 0.4
    """Confidence from which a finding counts."""
    phone_regions: list[str] = Field(default_factory=lambda: ["US", "GB"])
    """Countries whose phone numbers are recognised."""


class Limits(Part):
    """What one request, and all of them together, may take (P14); past a limit the answer is quick and closed."""

    body_bytes_max: Bytes = 4 * MIB
    """A request's body."""
    json_depth_max: Annotated[int, Field(ge=1, le=256)] = 64
    """Objects and lists inside one another."""
    json_keys_max: Count = 10_000
    """Keys in one document, all objects together."""
    json_key_bytes_max: Count = 1024
    """Length of one key."""
    head_bytes_max: Bytes = 64 * 1024
    """Request line and headers together."""
    head_sec_max: Seconds = 10
    """Time for a request's head to arrive."""
    body_sec_max: Seconds = 60
    """Time for a request's body to arrive."""
    send_sec_max: Seconds = 30
    """Time for a client to take what it is sent."""
    connections_max: Count = 2_000
    """Connections of one listener."""
    working_max: Count = 96
    """Requests the gate is at at once, at most: reading, judging, recording, inspecting. Begins with 48; more: 503."""
    in_flight_max: Count = 512
    """These, and those that wait for a tool or a slow client; held calls and lasting streams not counted. More: 503."""
    bodies_bytes_max: Bytes = 64 * MIB
    """Bodies of these requests, all together. More: 503."""
    opaque_bytes_max: Count = 4 * 1024
    """A cursor, id or requestState, which is passed on unread."""


class Config(Part):
    """The whole file. Relative paths are meant from the folder it stands in."""

    version: Literal["v1"] = "v1"
    """Of this file's format."""
    data_dir: LocalPath = Path(".interlock")
    """Where the database and the record are kept."""
    keys_dir: LocalPath | None = None
    """Where the keys that seal and sign the record are kept, outside data_dir; by default with the user's settings."""
    agents_listener: Annotated[Listener, _usual_port(8610)] = Field(default_factory=lambda: Listener(port=8610))
    """Where agents connect."""
    reviewers_listener: Annotated[Listener, _usual_port(8611)] = Field(default_factory=lambda: Listener(port=8611))
    """Where people decide."""
    policies: Annotated[list[str], Field(min_length=1)] = Field(default_factory=lambda: ["policies/*.yaml"])
    """Policy files by name or glob, and shipped policies as pack:NAME=SERVER; all of them are one set."""
    watch_policies: bool = False
    """Take up changed policy files while running; for development."""
    servers: dict[Annotated[str, Field(pattern=SERVER_NAME)], AnyServer] = Field(default_factory=dict)
    """Tool servers, by the name which policies and agents use for them."""
    agents: dict[Annotated[str, Field(pattern=AGENT_NAME)], AgentEntry] = Field(default_factory=dict)
    """Agents with keys, by name."""
    anonymous: Anonymous = Field(default_factory=Anonymous)
    """Agents without keys."""
    parking: Parking = Field(default_factory=Parking)
    """Holding requests while people decide."""
    reviewing: Reviewing = Field(default_factory=Reviewing)
    """How people's decisions are taken."""
    inspection: Inspection = Field(default_factory=Inspection)
    """Looking through what tools return."""
    limits: Limits = Field(default_factory=Limits)
    """What requests may take."""
    anomaly: Anomaly = Field(default_factory=Anomaly)
    """What is usual for an agent and a tool."""
    logs: Logs = Field(default_factory=Logs)
    """The log on standard error."""
    metrics: MetricsAccess = Field(default_factory=MetricsAccess)
    """Figures for Prometheus."""
    retain_days: Annotated[int, Field(ge=1, le=3660)] = 30
    """After so many days the values of ended calls are erased."""

    @model_validator(mode="after")
    def _hold_together(self) -> Self:
        from proxy.config_checks import check  # late: it reads the classes of this module

        problems = check(self)
        if problems:
            sentences = "; ".join(map(str, problems))
            raise PydanticCustomError("config_check", "{sentences}", {"sentences": sentences, "problems": problems})
        return self


class ConfigError(Exception):
    """The operator's mistake, told for the operator: what is wrong, where, and how to mend it."""


def schema_text() -> str:
    """The JSON Schema of the file, as `schemas/config.schema.json` holds it."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}
    return json.dumps(schema | {"title": "Interlock configuration"}, indent=2) + "\n"
