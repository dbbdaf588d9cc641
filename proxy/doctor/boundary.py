"""Which boundary there is between agents and the gate (SEMANTICS §4), and what it does not stop.

Rules of this module:
* Honest: where it cannot be told from here, the weaker one is said. Agents are where their processes are, which nobody
  here can see; what can be seen is whose user the gate is, whose this one is, and who can come in from where.
* What each stops is said in docs/threats.md; no finding claims more.
"""

from __future__ import annotations

import pwd
from collections.abc import Iterator
from pathlib import Path

from proxy.addresses import is_loopback
from proxy.doctor.finding import Finding, Standing, warning
from proxy.doctor.subject import Subject

SYSTEM_USERS_BELOW = 1000  # login.defs(5): SYS_UID_MAX is 999


def boundary(subject: Subject) -> Iterator[Finding]:
    gate, person = gate_user(subject), person_user(subject)
    facts = {"gate_user": name_of(gate), "this_user": name_of(person)}
    is_far = (
        not is_loopback(subject.config.agents_listener.host) or subject.config.agents_listener.public_url is not None
    )
    if gate == 0:
        said = (
            "same user: the gate runs as root. Its tool servers are root too, and no file holds back an agent that is. "
            "For such an agent the gate is advisory"
        )
        yield warning("boundary", said, _APART, boundary="same user", **facts)
    elif gate == person or gate >= SYSTEM_USERS_BELOW:
        yield warning("boundary", _same(gate, person), _APART, boundary="same user", **facts)
    else:
        where = "another system user"
        said = (
            f"{where}: the gate runs as {name_of(gate)}. Agents under other users cannot read its keys and record; "
            "they can still go round it to any tool that they reach in another way"
        )
        if is_far:
            said += ". Agents can also come from other hosts: how those are held back is your network's work"
        mend = "give the tools' credentials to the gate alone"
        yield Finding(
            "boundary", Standing.OK, said, mend, {"boundary": where, "agents_from_other_hosts": is_far, **facts}
        )
    if subject.config.anonymous.enabled:
        said = f"every program of this machine is let in without a key, as '{subject.config.anonymous.name}'"
        yield warning("boundary", said, "give agents keys (interlock agents add), and set anonymous.enabled: false")


_APART = "run the gate as a system user of its own, or on another host: docs/operations.md"


def _same(gate: int, person: int) -> str:
    who = name_of(gate)
    if gate == person:
        return (
            f"same user: the gate runs as {who}, who is also you. An agent with a shell under this user can read the "
            "gate's keys and start the tools itself: for such an agent the gate is advisory"
        )
    return (
        f"same user, perhaps: the gate runs as {who}, who can log in. For an agent with a shell under that user the "
        "gate is advisory"
    )


def gate_user(subject: Subject) -> int:
    """Of the process where it runs, else of its data, else of whoever looks."""
    if subject.gate is not None:
        try:
            return Path(f"/proc/{subject.gate}").stat().st_uid
        except OSError:
            pass  # it has just ended; its data tell the same
    return subject.owner


def person_user(subject: Subject) -> int:
    """Who sits there: also behind sudo."""
    behind = subject.environ.get("SUDO_UID", "")
    return int(behind) if behind.isdecimal() else subject.user


def name_of(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"uid {user}"
