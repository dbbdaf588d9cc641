"""Building every configured upstream, and ending them all.

Rules of this module:
* The only place that knows which class serves which kind of server. Secrets are read here, once, at start.
* The operator's mistakes stop the start: each names the server and the key, and says how to mend it.
* Clock, randomness and environment are given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path

from proxy.config import Config, ConfigError, HttpServer, SecretValue, StdioServer
from proxy.config_secrets import resolve_secret
from proxy.upstreams.address_rule import Network
from proxy.upstreams.base import Upstream
from proxy.upstreams.child import ChildLimits, Command
from proxy.upstreams.conversation import ConversationLimits
from proxy.upstreams.environment import child_environment
from proxy.upstreams.http import HttpLimits, HttpUpstream
from proxy.upstreams.http_rules import HeaderRefused
from proxy.upstreams.pinning import UrlRefused
from proxy.upstreams.stdio import StdioLimits, StdioUpstream


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What building needs of the outside. `forbidden`: host and bound port of each listener of the gate (P12).

    `ids` mints unguessable tokens; `on_change` is told the name of a server whose tools may have changed.
    """

    environ: Mapping[str, str]
    forbidden: frozenset[tuple[str, int]]
    ids: Callable[[], str]
    monotonic: Callable[[], float]
    on_change: Callable[[str], None]
    read_bytes: Callable[[Path], bytes] = field(default=Path.read_bytes)

    def secrets(self, values: Mapping[str, SecretValue], where: str) -> dict[str, str]:
        """The values themselves. Raises: ConfigError."""
        return {
            name: resolve_secret(value, where=f"{where}.{name}", environ=self.environ, read_bytes=self.read_bytes)
            for name, value in values.items()
        }


def build(config: Config, surroundings: Surroundings) -> dict[str, Upstream]:
    """Every upstream of the configuration, by name; none is contacted yet. Raises: ConfigError."""
    return {name: _upstream(name, server, config, surroundings) for name, server in config.servers.items()}


async def close_all(upstreams: Mapping[str, Upstream]) -> None:
    """End every upstream, all at once."""
    await asyncio.gather(*(upstream.close() for upstream in upstreams.values()))


def _upstream(name: str, server: HttpServer | StdioServer, config: Config, surroundings: Surroundings) -> Upstream:
    if isinstance(server, HttpServer):
        return _http(name, server, config, surroundings)
    return _stdio(name, server, config, surroundings)


def _http(name: str, server: HttpServer, config: Config, surroundings: Surroundings) -> Upstream:
    where = f"servers.{name}"
    limits = HttpLimits(
        silence_sec_max=server.timeout_sec,
        head_bytes_max=config.limits.head_bytes_max,
        body_bytes_max=config.inspection.output_bytes_max,
        json_depth_max=config.limits.json_depth_max,
    )
    try:
        return HttpUpstream(
            name,
            server.url,
            headers=surroundings.secrets(server.headers, f"{where}.headers"),
            ca_file=server.ca_file,
            resolves_to=_networks(server.resolves_to, where),
            forbidden=surroundings.forbidden,
            limits=limits,
            on_change=surroundings.on_change,
        )
    except UrlRefused as error:
        raise ConfigError(f"{where}.url: {error}") from error
    except HeaderRefused as error:
        raise ConfigError(f"{where}.headers: {error}") from error
    except OSError as error:  # ssl.SSLError too: a file that is there but holds no certificate
        raise ConfigError(f"{where}.ca_file: {server.ca_file} cannot be used: {error}; give a PEM file") from error


def _networks(texts: Sequence[str], where: str) -> tuple[Network, ...]:
    """Raises: ConfigError."""
    try:
        return tuple(ip_network(text) for text in texts)
    except ValueError as error:
        raise ConfigError(f"{where}.resolves_to: {error}; write a network such as 10.0.0.0/8") from error


def _stdio(name: str, server: StdioServer, config: Config, surroundings: Surroundings) -> Upstream:
    where = f"servers.{name}"
    if server.cwd is not None and not server.cwd.is_dir():
        raise ConfigError(f"{where}.cwd: {server.cwd} is no directory; create it or mend the path")
    if any("\0" in part for part in (server.command, *server.args)):
        raise ConfigError(f"{where}.command: it or one of its args holds a NUL character; remove it")
    environment = child_environment(surroundings.environ, surroundings.secrets(server.env, f"{where}.env"))
    conversation = ConversationLimits(
        silence_sec_max=server.timeout_sec,
        child=ChildLimits(
            line_bytes_max=config.inspection.output_bytes_max, json_depth_max=config.limits.json_depth_max
        ),
    )
    return StdioUpstream(
        name,
        Command((server.command, *server.args), environment, server.cwd),
        ids=surroundings.ids,
        clock=surroundings.monotonic,
        shared=server.shared,
        limits=StdioLimits(children_max=server.children_max, conversation=conversation),
        on_change=surroundings.on_change,
    )
