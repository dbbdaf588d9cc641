"""Who calls: agents prove themselves by key; anonymous ones are let in only on loopback and only when configured.

Rules of this module:
* A key is shown once, when it is made; only its sha256 stands in the configuration.
* A wrong key is refused even where anonymous agents are allowed: a typing mistake must not change who one is.
* Anonymous means: configured, our bind is loopback, the peer is loopback, and nothing says that the request was
  forwarded for somebody else (traps T7: a local TLS proxy makes everyone loopback).
* The agent's Authorization header is read here and nowhere else; it is never passed on.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from policies.errors import PolicyErrors
from policies.model import Agent
from policies.yaml_source import load_positioned
from proxy.addresses import is_loopback
from proxy.config import AGENT_NAME, Config

KEY_PREFIX = "ilk_"
KEY_LENGTH_MAX = 256
FORWARDING_HEADERS = frozenset(
    (b"forwarded", b"via", b"x-real-ip", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto")
)


class NotAuthenticated(Exception):
    """The request does not say, or does not prove, which agent it is from. The text may be shown to whoever asked."""


def new_key(token: Callable[[], str]) -> tuple[str, str]:
    """A fresh agent key and its sha256, for `interlock agents add`; `token` gives 32 or more random bytes as text."""
    key = KEY_PREFIX + token()
    return key, key_digest(key)


def key_digest(key: str) -> str:
    """What the configuration holds instead of the key (`agents.<name>.key_sha256`)."""
    return hashlib.sha256(key.encode()).hexdigest()


def config_lines(name: str, digest: str, groups: Sequence[str]) -> str:
    """What to put into the configuration for an agent. Raises: ValueError for a name that cannot stand there."""
    if not re.fullmatch(AGENT_NAME, name):
        raise ValueError("an agent's name begins with a letter or a digit, and has only those and . _ @ : - after it")
    more = f", groups: [{', '.join(map(yaml_text, groups))}]" if groups else ""
    return f"agents:\n  {yaml_text(name)}: {{key_sha256: {digest}{more}}}"


def yaml_text(text: str) -> str:
    """As it stands where YAML reads it as this text, in quotes where it would read something else."""
    try:
        value, _ = load_positioned(f"{{? {text} : [{text}]}}", "")
    except PolicyErrors:
        value = None
    return text if value == {text: [text]} else json.dumps(text, ensure_ascii=False)


class Agents:
    """The agents of one configuration."""

    def __init__(self, config: Config) -> None:
        self._by_digest = {
            entry.key_sha256: Agent(id=name, groups=tuple(entry.groups)) for name, entry in config.agents.items()
        }
        self._anonymous: Agent | None = None
        if config.anonymous.enabled and is_loopback(config.agents_listener.host):
            self._anonymous = Agent(id=config.anonymous.name, groups=tuple(config.anonymous.groups), anonymous=True)

    def authenticate(self, headers: Mapping[bytes, bytes], peer_host: str | None) -> Agent:
        """The agent of a request. `headers` are lower-case, one value each. Raises: NotAuthenticated."""
        presented = headers.get(b"authorization")
        if presented is not None:
            return self._by_key(presented)
        if self._anonymous is None:
            raise NotAuthenticated("This gate wants an agent key: send 'Authorization: Bearer ilk_…'.")
        if peer_host is None or not _is_loopback_peer(peer_host):
            raise NotAuthenticated("Without a key, agents are let in from this machine only.")
        for name in headers:
            if name in FORWARDING_HEADERS or name.startswith(b"x-forwarded-"):
                raise NotAuthenticated("A forwarded request must carry an agent key.")
        return self._anonymous

    def _by_key(self, presented: bytes) -> Agent:
        scheme, _, key = presented.partition(b" ")
        key = key.strip(b" ")
        if scheme.lower() != b"bearer" or not key.startswith(KEY_PREFIX.encode()) or len(key) > KEY_LENGTH_MAX:
            raise NotAuthenticated("The Authorization header holds no agent key: send 'Authorization: Bearer ilk_…'.")
        digest = hashlib.sha256(key).hexdigest()
        # Every configured digest is compared, whichever matches: the time taken tells nothing of which one came near.
        found: Agent | None = None
        for known, agent in self._by_digest.items():
            if hmac.compare_digest(known, digest):
                found = agent
        if found is None:
            raise NotAuthenticated("This agent key is not known here; 'interlock agents add' makes one.")
        return found


@lru_cache(maxsize=1_024)
def _is_loopback_peer(host: str) -> bool:
    """Whether a socket's peer is this machine. Stricter than for names: an address inside another does not count."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
