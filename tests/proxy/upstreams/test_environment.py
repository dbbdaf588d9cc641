"""The environment of a tool process."""

from __future__ import annotations

from proxy.upstreams.environment import INHERITED, child_environment

OURS = {
    "PATH": "/usr/bin",
    "HOME": "/home/ada",
    "PAYMENTS_TOKEN": "secret",
    "HTTPS_PROXY": "http://127.0.0.1:8612",
    "PYTHONPATH": "/somewhere",
    "LD_PRELOAD": "/evil.so",
    "TERM": "() { :; }; echo",
}


def test_only_the_listed_names_are_inherited() -> None:
    assert child_environment(OURS, {}) == {"PATH": "/usr/bin", "HOME": "/home/ada"}


def test_what_is_configured_is_added_and_wins() -> None:
    assert child_environment(OURS, {"PATH": "/opt/bin", "HTTPS_PROXY": "http://proxy"}) == {
        "PATH": "/opt/bin",
        "HOME": "/home/ada",
        "HTTPS_PROXY": "http://proxy",
    }


def test_no_inherited_name_could_carry_a_secret_or_code() -> None:
    suspicious = ("KEY", "TOKEN", "SECRET", "PASS", "PROXY", "PYTHON", "LD_", "NODE", "SSH", "AWS")
    assert [name for name in INHERITED if any(word in name for word in suspicious)] == []
