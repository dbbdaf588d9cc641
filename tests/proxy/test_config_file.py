"""Finding the configuration and reading it: order, paths, and errors that name file, line and column."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.config_file import (
    FILE_BYTES_MAX,
    ConfigErrors,
    ConfigNotFound,
    Places,
    find,
    load,
    parse,
    read,
    user_config_dir,
)

TEXT = "version: v1\n"


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """A repository with a folder inside it, a user's settings and a system's, all empty."""
    for folder in ("above/repository/.git", "above/repository/inner/deep", "user", "system", "home"):
        (tmp_path / folder).mkdir(parents=True)
    return Places(
        environ={},
        cwd=tmp_path / "above/repository/inner/deep",
        home=tmp_path / "home",
        user_dir=tmp_path / "user",
        system_dir=tmp_path / "system",
    )


def put(folder: Path) -> Path:
    file = folder / "interlock.yaml"
    file.write_text(TEXT, encoding="utf-8")
    return file


def with_variable(places: Places, value: str) -> Places:
    return Places({"INTERLOCK_CONFIG": value}, places.cwd, places.home, places.user_dir, places.system_dir)


def test_the_first_place_that_has_a_file_wins(places: Places, tmp_path: Path) -> None:
    inner = places.cwd.parent
    order = [
        (places.system_dir, "system settings"),
        (places.user_dir, "user settings"),
        (inner.parent, "above the working directory"),
        (inner, "above the working directory"),
        (places.cwd, "working directory"),
    ]
    for folder, why in order:  # from the weakest to the strongest
        file = put(folder)
        assert find(None, places) == (file, why)
    other = tmp_path / "other.yaml"
    other.write_text(TEXT, encoding="utf-8")
    assert find(None, with_variable(places, str(other))) == (other, "$INTERLOCK_CONFIG")
    assert find(inner / "interlock.yaml", with_variable(places, str(other)))[1] == "--config"


def test_what_lies_above_the_repository_is_somebody_elses(places: Places, tmp_path: Path) -> None:
    put(tmp_path / "above")
    with pytest.raises(ConfigNotFound):
        find(None, places)


def test_without_a_repository_only_the_working_directory_is_looked_at(places: Places, tmp_path: Path) -> None:
    alone = tmp_path / "plain/inner"
    alone.mkdir(parents=True)
    put(alone.parent)
    outside = Places({}, alone, places.home, places.user_dir, places.system_dir)
    with pytest.raises(ConfigNotFound):
        find(None, outside)
    assert find(None, outside.__class__({}, alone.parent, places.home, places.user_dir, places.system_dir))[1] == (
        "working directory"
    )


def test_a_file_that_is_named_but_not_there_is_an_error_and_no_reason_to_look_elsewhere(places: Places) -> None:
    put(places.cwd)
    with pytest.raises(ConfigNotFound, match=r"--config names .*nowhere.yaml, and there is no such file"):
        find(Path("nowhere.yaml"), places)
    with pytest.raises(ConfigNotFound, match=r"\$INTERLOCK_CONFIG names .*gone.yaml"):
        find(None, with_variable(places, "gone.yaml"))


def test_where_nothing_is_found_every_place_is_named(places: Places) -> None:
    with pytest.raises(ConfigNotFound) as missing:
        find(None, places)
    looked = str(missing.value)
    for folder in (places.cwd, places.cwd.parents[1], places.user_dir, places.system_dir):
        assert f"{folder / 'interlock.yaml'} (" in looked
    assert "name it with --config" in looked


def test_relative_paths_start_from_the_files_folder_and_tilde_is_home(places: Places) -> None:
    file = places.cwd / "interlock.yaml"
    (places.cwd / "work").mkdir()
    file.write_text(
        "data_dir: data\nkeys_dir: ~/keys\n"
        "servers: {git: {command: mcp-server-git, cwd: work, env: {T: {file: secrets/token}}}}\n",
        encoding="utf-8",
    )
    loaded = load(file, places)
    git = loaded.config.servers["git"].model_dump()
    assert loaded.config.data_dir == places.cwd / "data"
    assert loaded.config.keys_dir == places.home / "keys"
    assert (git["cwd"], git["env"]["T"]["file"]) == (places.cwd / "work", places.cwd / "secrets/token")
    assert (loaded.base, loaded.why) == (places.cwd, "--config")


def test_defaults_are_rooted_too_and_keys_go_to_the_users_settings(places: Places) -> None:
    config = load(put(places.cwd), places).config
    assert config.data_dir == places.cwd / ".interlock"
    assert config.keys_dir == places.user_dir / "keys"


def test_an_empty_file_is_a_configuration_of_defaults(places: Places) -> None:
    file = places.cwd / "interlock.yaml"
    file.write_text("# nothing\n", encoding="utf-8")
    assert load(file, places).config.servers == {}


def errors(text: str, tmp_path: Path, default_keys_dir: str = "keys-elsewhere") -> list[str]:
    """Each mistake as line:column: message."""
    file = tmp_path / "interlock.yaml"
    try:
        parse(text, file, home=tmp_path, default_keys_dir=tmp_path / default_keys_dir)
    except ConfigErrors as found:
        return [str(error).removeprefix(f"{file}:") for error in found.errors]
    return []


def test_files_that_are_named_must_be_there(tmp_path: Path) -> None:
    text = (
        "agents_listener:\n  tls: {cert: c.pem, key: k.pem}\n"
        "servers:\n  a: {url: 'https://x/mcp', ca_file: ca.pem}\n  b: {command: x, cwd: folder}\n"
    )
    assert errors(text, tmp_path) == [
        f"2:15: 'agents_listener.tls.cert': there is no file {tmp_path / 'c.pem'} (give the path of a PEM file)",
        f"2:27: 'agents_listener.tls.key': there is no file {tmp_path / 'k.pem'} (give the path of a PEM file)",
        f"4:38: 'servers.a.ca_file': there is no file {tmp_path / 'ca.pem'} (give a PEM file's path)",
        f"5:24: 'servers.b.cwd': there is no folder {tmp_path / 'folder'} (make it, or leave cwd out)",
    ]
    for name in ("c.pem", "k.pem", "ca.pem"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    assert errors(text, tmp_path) == []


def test_keys_inside_the_data_are_refused_also_by_default_and_through_a_link(tmp_path: Path) -> None:
    wrong = "the keys lie inside data_dir, where whoever copies the record copies its keys"
    hint = "(choose a folder outside data_dir, or leave keys_dir out)"
    assert errors("data_dir: .\nkeys_dir: keys\n", tmp_path) == [f"2:11: 'keys_dir': {wrong} {hint}"]
    assert errors("data_dir: user\n", tmp_path, "user/keys") == [f"1:1: 'keys_dir': {wrong} {hint}"]
    (tmp_path / "data/keys").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "data/keys")
    assert errors("data_dir: data\nkeys_dir: link\n", tmp_path) == [f"2:11: 'keys_dir': {wrong} {hint}"]


def test_yaml_that_cannot_be_read_is_an_error_with_its_place(tmp_path: Path) -> None:
    [first] = errors("limits: {a: 1\nb: 2", tmp_path)
    assert first.startswith("2:")
    assert errors("version: v1\nversion: v1\n", tmp_path) == ["2:1: the key 'version' a second time (first in line 1)"]


def test_a_file_that_cannot_be_read_is_an_error_with_its_name(tmp_path: Path) -> None:
    def said(file: Path) -> str:
        with pytest.raises(ConfigErrors) as refused:
            read(file, home=tmp_path, default_keys_dir=tmp_path)
        return str(refused.value)

    assert (
        said(tmp_path / "gone.yaml")
        == f"{tmp_path / 'gone.yaml'}:1:1: the file cannot be read: No such file or directory"
    )
    (tmp_path / "latin.yaml").write_bytes(b"version: v1 # caf\xe9\n")
    assert said(tmp_path / "latin.yaml") == f"{tmp_path / 'latin.yaml'}:1:1: the file is not UTF-8 (byte 17)"
    (tmp_path / "long.yaml").write_bytes(b"#" * (FILE_BYTES_MAX + 1))
    assert said(tmp_path / "long.yaml").endswith(f":1:1: the file is larger than {FILE_BYTES_MAX} bytes")


def test_the_users_settings_are_where_the_platform_keeps_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert user_config_dir() == tmp_path / "interlock"
