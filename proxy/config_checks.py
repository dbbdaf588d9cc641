"""What must hold between the keys of a configuration, beyond each key's own type and range.

Rules of this module:
* Pure: it looks at values, never at files, names or sockets.
* Every problem says where (a path of keys), what is wrong, and how to mend it; all are found in one go. URLs are not
  repeated: somebody may have written a password into one.
* The gate's own ports are never an upstream, and no upstream is a metadata or link-local address (P12).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from posixpath import normpath
from urllib.parse import urlsplit

from policies.errors import PolicyErrors
from policies.json_path import Deep, parse
from policies.packs import is_pack, read_entry
from proxy.addresses import is_loopback, is_never_an_upstream, is_wildcard, literal
from proxy.config import Config, HttpServer, Listener

LISTENERS = ("agents_listener", "reviewers_listener")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that does not hold. `path` leads to the value to change."""

    path: tuple[str | int, ...]
    message: str
    hint: str

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.path))}: {self.message} ({self.hint})"


def check(config: Config) -> tuple[Problem, ...]:
    """Everything that is wrong with `config`, in the order of the file's keys."""
    parts = (_keys, _listeners, _packs, _servers, _agents, _limits)
    return tuple(problem for part in parts for problem in part(config))


def _limits(config: Config) -> Iterator[Problem]:
    limits = config.limits
    if limits.bodies_bytes_max < 2 * limits.body_bytes_max:
        message = f"one body of {limits.body_bytes_max} bytes (body_bytes_max) would take more than one agent's share"
        yield Problem(("limits", "bodies_bytes_max"), message, "make it at least twice as much")


def is_own_port(config: Config, host: str, port: int) -> bool:
    """True where `host:port` leads to one of the gate's own listeners, by whatever name this file knows it."""
    for name in LISTENERS:
        listener: Listener = getattr(config, name)
        if port == listener.port and (_leads_home(host) or _same_host(host, listener.host)):
            return True
        if listener.public_url is not None and (host.lower(), port) == _site(listener.public_url):
            return True
    return False


def _leads_home(host: str) -> bool:
    name = host.rstrip(".").lower()
    # RFC 6761 §6.3: names under localhost. are loopback; the others stand in common hosts files.
    is_home = name.endswith(".localhost") or name in ("localhost.localdomain", "ip6-localhost", "ip6-loopback")
    return is_home or is_loopback(host) or is_wildcard(host)


def _same_host(one: str, other: str) -> bool:
    address = literal(one)
    return address == literal(other) if address is not None else one.lower() == other.lower()


def _site(url: str) -> tuple[str, int] | None:
    """Host and port of a site's address, None where `url` is not one."""
    try:
        parts = urlsplit(url)
        port = _port(parts.scheme, parts.port)
    except ValueError:
        return None
    whole = parts.scheme in ("http", "https") and parts.path in ("", "/") and not parts.query + parts.fragment
    return (parts.hostname, port) if whole and parts.hostname and parts.username is None else None


def _port(scheme: str, port: int | None) -> int:
    return port if port is not None else 443 if scheme == "https" else 80


def lies_inside(inner: str, outer: str) -> bool:
    """True where the path `inner` is `outer` or below it, by their spelling alone."""
    inside, outside = normpath(inner), normpath(outer)
    return inside == outside or inside.startswith(outside.rstrip("/") + "/")


KEYS_INSIDE = (
    "the keys lie inside data_dir, where whoever copies the record copies its keys",
    "choose a folder outside data_dir, or leave keys_dir out",
)


def _keys(config: Config) -> Iterator[Problem]:
    if config.keys_dir is not None and lies_inside(str(config.keys_dir), str(config.data_dir)):
        yield Problem(("keys_dir",), *KEYS_INSIDE)


def _listeners(config: Config) -> Iterator[Problem]:
    for name in LISTENERS:
        yield from _listener(name, getattr(config, name))
    agents, reviewers = config.agents_listener, config.reviewers_listener
    meet = _same_host(agents.host, reviewers.host) or is_wildcard(agents.host) or is_wildcard(reviewers.host)
    if agents.port == reviewers.port != 0 and meet:
        yield Problem(
            ("reviewers_listener", "port"),
            f"agents and reviewers would share port {agents.port}; they are kept apart (P12)",
            "give the two listeners different ports",
        )


def _listener(name: str, listener: Listener) -> Iterator[Problem]:
    if not is_loopback(listener.host):
        if listener.tls is None and not listener.trusted_proxies:
            yield Problem(
                (name, "host"),
                f"{listener.host} is not loopback, so what passes here could be read on the network",
                "give tls: {cert, key}, or trusted_proxies with a TLS proxy in front",
            )
        if listener.public_url is None:
            yield Problem(
                (name, "host"),
                f"{listener.host} is not loopback and nothing says by which name requests must come",
                "give public_url, for example https://gate.example.com",
            )
    if listener.public_url is not None and _site(listener.public_url) is None:
        yield Problem(
            (name, "public_url"), "this is not the address of a site", "write https://name or https://name:port"
        )
    yield from _networks((name, "trusted_proxies"), listener.trusted_proxies)


def _packs(config: Config) -> Iterator[Problem]:
    """A pack for a server that is not there would leave the one that was meant without a policy."""
    for index, text in enumerate(config.policies):
        where = ("policies", index)
        if not is_pack(text):
            continue
        try:
            entry = read_entry(text)
        except PolicyErrors as bad:
            yield from (Problem(where, error.message, error.hint) for error in bad.errors)
            continue
        for server in sorted(set(entry.servers) - set(config.servers)):
            hint = f"name one of `servers:`, as in pack:{entry.name}=NAME"
            yield Problem(where, f"the pack is for a server '{server}', which is not in this file", hint)


def _servers(config: Config) -> Iterator[Problem]:
    for name, server in config.servers.items():
        if isinstance(server, HttpServer):
            yield from _url(config, name, server)
            yield from _networks(("servers", name, "resolves_to"), server.resolves_to)
        for tool, paths in server.volatile.items():
            for index, path in enumerate(paths):
                yield from _volatile(("servers", name, "volatile", tool, index), path)


def _volatile(where: tuple[str | int, ...], path: str) -> Iterator[Problem]:
    hint = "write where the argument stands, for example $.args.request_id"
    try:
        first = parse(path).steps[:1]
    except ValueError as error:
        yield Problem(where, str(error), hint)
        return
    if first != ("args",) and not isinstance(first[0] if first else None, Deep):
        yield Problem(where, f"{path} leads to no argument: arguments stand below $.args", hint)


def _networks(path: tuple[str | int, ...], networks: list[str]) -> Iterator[Problem]:
    for index, network in enumerate(networks):
        try:
            ip_network(network)
        except ValueError:
            yield Problem(
                (*path, index),
                f"{network!r} is not an address or a network",
                "write an address (10.0.0.5) or a network (10.0.0.0/24)",
            )


def _url(config: Config, name: str, server: HttpServer) -> Iterator[Problem]:
    path = ("servers", name, "url")
    try:
        parts = urlsplit(server.url)
        port = _port(parts.scheme, parts.port)
    except ValueError as error:
        yield Problem(path, f"this is not a URL: {error}", "write http://host:port/path or https://…")
        return
    if parts.scheme not in ("http", "https") or not parts.hostname:
        yield Problem(path, "this is not an HTTP address", "write http://host:port/path or https://…")
        return
    if parts.username is not None or parts.password is not None:
        yield Problem(path, "the URL holds credentials", "put them into headers, as {env: NAME} or {file: PATH}")
    if parts.fragment:
        yield Problem(path, "the URL holds a fragment, which is never sent", "leave out the # and what follows")
    if is_own_port(config, parts.hostname, port):
        yield Problem(
            path, f"{parts.hostname}:{port} is a port of the gate itself (P12)", "give the tool server's own address"
        )
    elif is_never_an_upstream(parts.hostname):
        yield Problem(
            path,
            f"{parts.hostname} is a link-local, metadata or unspecified address; no tool server is reached there (P12)",
            "give the tool server's own address",
        )


def _agents(config: Config) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for name, entry in config.agents.items():
        owner = owners.setdefault(entry.key_sha256, name)
        if owner != name:
            yield Problem(
                ("agents", name, "key_sha256"),
                f"{name} has the same key as {owner}, so neither could be told from the other",
                f"make another with `interlock agents add {name}`",
            )
    if config.anonymous.enabled and not is_loopback(config.agents_listener.host):
        yield Problem(
            ("anonymous", "enabled"),
            f"agents without a key would be let in from the network ({config.agents_listener.host})",
            "set it to false, or bind agents_listener to 127.0.0.1",
        )
    if config.anonymous.enabled and config.anonymous.name in config.agents:
        yield Problem(
            ("anonymous", "name"),
            f"{config.anonymous.name} is also an agent with a key",
            "give anonymous agents another name",
        )
