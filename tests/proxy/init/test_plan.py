"""What would be written: checked before it is shown, and a second run that changes only what is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.init.files import write
from proxy.init.plan import CannotPlan, Draft, Place, draft, look, plan
from proxy.init.policy_text import Chosen
from proxy.init.wishes import Wishes

TIME = {"time": {"command": "uvx", "args": ["mcp-server-time"]}}
FILES = {"files": {"url": "https://files.example.com/mcp"}}


def place(folder: Path) -> Place:
    return Place(folder / "gate", folder, folder / "keys")


def make(at: Place, wished: Wishes, digest: str | None = None, *, replace: bool = False) -> list[str]:
    """Plan and write; the names of the files that changed."""
    drafted = draft(at, look(at), wished, digest, {})
    files, _ = plan(at, drafted, chosen(drafted, wished), replace=replace)
    write(files)
    return [one.path.relative_to(at.folder).as_posix() for one in files if one.is_change]


def chosen(drafted: Draft, wished: Wishes) -> dict[str, Chosen]:
    reads = {name: frozenset(tool.split("/")[1] for tool in wished.reads) for name in drafted.new_servers}
    return {name: Chosen(name, ("look", "act"), reads[name]) for name in drafted.new_servers}


def test_a_first_run_writes_configuration_policy_and_cases_and_the_second_nothing(tmp_path: Path) -> None:
    at, wished = place(tmp_path), Wishes(TIME, "my-agent", reads=frozenset({"time/look"}))
    written = ["interlock.yaml", "policies/time.yaml", "policies/time_test.yaml"]
    assert make(at, wished, "a" * 64) == written
    assert make(at, wished) == []
    assert at.parse(at.file.read_text()).agents["my-agent"].key_sha256 == "a" * 64


def test_a_later_run_adds_a_server_and_changes_nothing_else(tmp_path: Path) -> None:
    at = place(tmp_path)
    make(at, Wishes(TIME, "my-agent"), "a" * 64)
    policy = at.folder / "policies" / "time.yaml"
    policy.write_text(policy.read_text() + "# mine\n")
    assert make(at, Wishes(FILES)) == ["interlock.yaml", "policies/files.yaml", "policies/files_test.yaml"]
    assert policy.read_text().endswith("# mine\n")
    assert set(at.parse(at.file.read_text()).servers) == {"time", "files"}


def test_a_policy_that_is_there_is_left_unless_it_is_to_be_replaced(tmp_path: Path) -> None:
    at = place(tmp_path)
    make(at, Wishes(TIME, "my-agent"), "a" * 64)
    wished = Wishes(TIME, reads=frozenset({"time/look"}))
    drafted = draft(at, look(at), wished, None, {})
    files, report = plan(at, drafted, chosen(drafted, wished), replace=False)
    assert [one.path.name for one in files if one.is_change] == []
    assert "left as it is (--replace" in report
    assert make(at, wished, replace=True) == ["policies/time.yaml", "policies/time_test.yaml"]


def test_a_server_that_is_there_and_differs_is_not_overwritten(tmp_path: Path) -> None:
    at = place(tmp_path)
    make(at, Wishes(TIME, "my-agent"), "a" * 64)
    with pytest.raises(CannotPlan, match=r"servers\.time is in .* differs"):
        draft(at, look(at), Wishes({"time": {"command": "npx"}}), None, {})


def test_usual_ports_are_not_written_and_others_are(tmp_path: Path) -> None:
    at = place(tmp_path)
    make(at, Wishes(TIME, "my-agent", agents_port=8610, reviewers_port=9001), "a" * 64)
    assert "agents_listener" not in at.file.read_text()
    assert make(at, Wishes(agents_port=9002)) == ["interlock.yaml"]
    config = at.parse(at.file.read_text())
    assert (config.agents_listener.port, config.reviewers_listener.port) == (9002, 9001)


def test_what_would_break_the_policies_that_are_there_is_not_offered(tmp_path: Path) -> None:
    at = place(tmp_path)
    make(at, Wishes(TIME, "my-agent"), "a" * 64)
    (at.folder / "policies" / "all.yaml").write_text("rules: [{decision: deny}]")
    with pytest.raises(CannotPlan, match=r"files_test\.yaml:3: asks a person: effect is 'deny'"):
        make(at, Wishes(FILES))
    assert "files" not in at.file.read_text()


def test_policies_go_where_the_configuration_finds_them(tmp_path: Path) -> None:
    at = place(tmp_path)
    at.folder.mkdir()
    at.file.write_text("policies: [rules/*.yaml]\n")
    assert make(at, Wishes(TIME))[1:] == ["rules/time.yaml", "rules/time_test.yaml"]
    at.file.write_text("policies: [rules/time.yaml]\n")
    with pytest.raises(CannotPlan, match="one by one"):
        make(at, Wishes(FILES))


def test_files_point_editors_at_the_schemas_where_there_are_any(tmp_path: Path) -> None:
    near = Place(tmp_path / "gate", tmp_path, tmp_path / "keys", tmp_path / "schemas")
    assert near.schema("config.schema.json", near.file) is None
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "config.schema.json").write_text("{}")
    assert near.schema("config.schema.json", near.file) == "../schemas/config.schema.json"
    far = Place(tmp_path.parent / "far", tmp_path, tmp_path / "keys", tmp_path / "schemas")
    assert far.schema("config.schema.json", far.file) == str(tmp_path / "schemas" / "config.schema.json")
