"""The configuration's keys: what is accepted and refused, and that example and schema say what the model says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel, ValidationError

import proxy.config as module
from policies.yaml_source import load_positioned
from proxy.config import (
    AgentEntry,
    Anonymous,
    Config,
    FromEnv,
    FromFile,
    HttpServer,
    Limits,
    Listener,
    StdioServer,
    Tls,
)

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "config.example.yaml"
PARTS = [
    part
    for part in vars(module).values()
    if isinstance(part, type) and issubclass(part, module.Part) and part.__name__ not in ("Part", "Server")
]


def plain(model: BaseModel) -> Any:
    return json.loads(model.model_dump_json())


def example(text: str) -> Any:
    value, _ = load_positioned(text, "config.example.yaml")
    return value


def with_the_commented_blocks(text: str) -> str:
    """The example with its commented servers and agents in the place of the empty ones."""
    without = re.sub(r"^(servers|agents): \{\}.*$", "", text, flags=re.MULTILINE)
    return re.sub(r"^#((?:servers|agents):|(?:  )+\S.*)$", r"\1", without, flags=re.MULTILINE)


def test_the_example_loads_and_says_the_defaults() -> None:
    assert plain(Config.model_validate(example(EXAMPLE.read_text(encoding="utf-8")))) == plain(Config())


def test_the_example_holds_every_key_that_is_always_there() -> None:
    assert example(EXAMPLE.read_text(encoding="utf-8")) == plain(Config())


def test_the_examples_commented_blocks_load_and_hold_every_key_with_its_default() -> None:
    value = example(with_the_commented_blocks(EXAMPLE.read_text(encoding="utf-8")))
    config = Config.model_validate(value)

    server = plain(
        HttpServer(url="https://payments.example.com/mcp", headers={"Authorization": FromEnv(env="PAYMENTS_TOKEN")})
    )
    child = plain(
        StdioServer(command="mcp-server-git", env={"GIT_TOKEN": FromFile(file=Path("/run/secrets/git-token"))})
    )
    agent = plain(AgentEntry(key_sha256="0" * 64))
    assert value["servers"] == {"payments": server, "files": child}
    assert value["agents"] == {"billing-bot": agent}
    assert plain(config)["servers"] == value["servers"]


def test_the_example_says_of_every_key_what_it_is_for() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    unexplained = {
        key
        for part in PARTS
        for key in part.model_fields
        if not re.search(rf"^#? *{key}: .*\S +# \S", text, re.MULTILINE)
    }
    by_the_text_around_it = {"host", "args", "env", "file", "cert", "key", "enabled", "servers", "anonymous", "parking"}
    by_the_text_around_it |= {"agents_listener", "reviewers_listener", "headers", "clients", "inspection", "limits"}
    by_the_text_around_it |= {"reviewing", "undo_sec", "logs", "metrics", "anomaly"}
    assert unexplained - by_the_text_around_it == set()


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_every_key_and_every_part_has_its_description(part: type[BaseModel]) -> None:
    assert part.__doc__
    assert [key for key, field in part.model_fields.items() if not field.description] == []


def test_the_schema_file_is_that_of_the_model() -> None:
    """Mend with: make schemas"""
    assert (ROOT / "schemas" / "config.schema.json").read_text(encoding="utf-8") == module.schema_text()


def test_the_schema_accepts_the_example_and_refuses_an_unknown_key() -> None:
    schema = json.loads(module.schema_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    whole = example(with_the_commented_blocks(EXAMPLE.read_text(encoding="utf-8")))
    jsonschema.validate(whole, schema)
    jsonschema.validate({"agents_listener": {"host": "127.0.0.1"}}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(whole | {"polices": []}, schema)


def test_a_listener_named_without_a_port_keeps_its_usual_one() -> None:
    config = Config.model_validate({"agents_listener": {}, "reviewers_listener": {"host": "127.0.0.2"}})
    assert (config.agents_listener.port, config.reviewers_listener.port) == (8610, 8611)


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": "v2"},
        {"limits": {"body_bytes_max": 0}},
        {"limits": {"json_depth_max": 257}},
        {"limits": {"head_sec_max": float("inf")}},
        {"parking": {"hold_sec": 0}},
        {"retain_days": 0},
        {"policies": []},
        {"agents_listener": {"port": 65536}},
        {"inspection": {"workers": 0}},
        {"inspection": {"score_min": 1.01}},
        {"servers": {"a/b": {"command": "x"}}},
        {"servers": {"a.b": {"command": "x"}}},
        {"servers": {"": {"command": "x"}}},
        {"servers": {"both": {"command": "x", "url": "http://h/"}}},
        {"servers": {"neither": {}}},
        {"agents": {"x": {"key_sha256": "ABC"}}},
        {"agents": {"two words": {"key_sha256": "0" * 64}}},
        {"servers": {"a": {"command": "x", "env": {"A": {"env": "X", "file": "y"}}}}},
        {"servers": {"a": {"command": "x", "env": {"A": 1}}}},
    ],
    ids=str,
)
def test_what_has_no_meaning_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Config.model_validate(wrong)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_an_unknown_key_is_refused_in_every_part(part: type[BaseModel]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        part.model_validate({"no_such_key": 1})


def test_limits_are_taken_at_their_edges() -> None:
    limits = Limits(json_depth_max=256, body_bytes_max=1, json_keys_max=10_000_000)
    assert (limits.json_depth_max, limits.body_bytes_max, limits.json_keys_max) == (256, 1, 10_000_000)


def test_a_configuration_built_in_code_is_checked_as_one_from_a_file() -> None:
    with pytest.raises(ValidationError, match="let in from the network"):
        Config(
            agents_listener=Listener(host="0.0.0.0", port=1, public_url="https://g", trusted_proxies=["10.0.0.1"]),
            anonymous=Anonymous(enabled=True),
        )


def test_an_address_is_said_as_people_reach_it() -> None:
    assert Listener(port=8610).url() == "http://127.0.0.1:8610"
    assert Listener(port=0, host="::1").url(("::1", 4000)) == "http://[::1]:4000"
    assert Listener(port=8610, tls=Tls(cert=Path("c"), key=Path("k"))).url() == "https://127.0.0.1:8610"
    assert Listener(port=8610, public_url="https://gate.example/").url(("127.0.0.1", 8610)) == "https://gate.example"
