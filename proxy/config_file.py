"""Finding and reading the configuration file, with errors that say what, where and how to mend it.

Rules of this module:
* The order is: `--config`, `$INTERLOCK_CONFIG`, `interlock.yaml` from the working directory up to the folder that holds
  `.git`, the user's settings, `/etc/interlock/`. The first that is there is the whole configuration; nothing is merged.
* A file that is named but not there is an error, never a reason to look elsewhere.
* Every error has file, line and column; an unknown key comes with the nearest valid one; all are told in one go.
* Environment, working directory and home are arguments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from pydantic import ValidationError

from policies.errors import PolicyError, PolicyErrors
from policies.yaml_source import load_positioned
from proxy.config import Config, ConfigError, HttpServer, StdioServer
from proxy.config_checks import KEYS_INSIDE, LISTENERS, Problem, lies_inside
from proxy.config_mistakes import mistake, mistakes

FILE_NAME = "interlock.yaml"
VARIABLE = "INTERLOCK_CONFIG"
FILE_BYTES_MAX = 1024 * 1024


class ConfigErrors(ConfigError):
    """Every mistake in the file, in reading order; the text has one line for each."""

    def __init__(self, errors: tuple[PolicyError, ...]) -> None:
        self.errors = errors
        super().__init__("\n".join(map(str, errors)))


class ConfigNotFound(ConfigError):
    """There is no configuration; the text says where one was looked for."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where this process looks: what of the environment matters here, as values."""

    environ: Mapping[str, str]
    cwd: Path
    home: Path
    user_dir: Path
    system_dir: Path = Path("/etc/interlock")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration, the file it came from, and why that file was taken. `base` is what its globs are meant from."""

    config: Config
    file: Path
    why: str

    @property
    def base(self) -> Path:
        return self.file.parent


def user_config_dir() -> Path:
    """The folder of this user's Interlock settings."""
    return platformdirs.user_config_path("interlock", appauthor=False)


def load(explicit: Path | None, places: Places) -> Loaded:
    """The configuration this process is to use, with `keys_dir` settled. Raises: ConfigNotFound, ConfigErrors."""
    file, why = find(explicit, places)
    return Loaded(read(file, home=places.home, default_keys_dir=places.user_dir / "keys"), file, why)


def find(explicit: Path | None, places: Places) -> tuple[Path, str]:
    """The file to read and why it is the one. Raises: ConfigNotFound."""
    if explicit is not None:
        return _named(places.cwd / explicit, "--config")
    if variable := places.environ.get(VARIABLE):
        return _named(places.cwd / variable, f"${VARIABLE}")
    candidates = list(_candidates(places))
    for file, why in candidates:
        if file.is_file():
            return file, why
    looked = "\n".join(f"  {file} ({why})" for file, why in candidates)
    mend = "Write one (config.example.yaml has every key), or name it with --config."
    raise ConfigNotFound(f"No configuration was found. Looked for:\n{looked}\n{mend}")


def _named(file: Path, why: str) -> tuple[Path, str]:
    if not file.is_file():
        raise ConfigNotFound(f"{why} names {file}, and there is no such file.")
    return file, why


def _candidates(places: Places) -> Iterator[tuple[Path, str]]:
    above = (places.cwd, *places.cwd.parents)
    root = next((index for index, folder in enumerate(above) if (folder / ".git").exists()), 0)
    for folder in above[: root + 1]:  # without a repository only here: what lies above may be somebody else's
        yield folder / FILE_NAME, "working directory" if folder == places.cwd else "above the working directory"
    yield places.user_dir / FILE_NAME, "user settings"
    yield places.system_dir / FILE_NAME, "system settings"


def read(file: Path, *, home: Path, default_keys_dir: Path) -> Config:
    """The configuration in `file`; relative paths in it start from its folder. Raises: ConfigErrors."""
    try:
        if file.stat().st_size > FILE_BYTES_MAX:
            raise ConfigErrors((PolicyError(str(file), 1, 1, f"the file is larger than {FILE_BYTES_MAX} bytes"),))
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigErrors((PolicyError(str(file), 1, 1, f"the file cannot be read: {error.strerror}"),)) from error
    except UnicodeDecodeError as error:
        raise ConfigErrors((PolicyError(str(file), 1, 1, f"the file is not UTF-8 (byte {error.start})"),)) from error
    return parse(text, file, home=home, default_keys_dir=default_keys_dir)


def parse(text: str, file: Path, *, home: Path, default_keys_dir: Path) -> Config:
    """As `read`, of a text already at hand. Raises: ConfigErrors."""
    try:
        value, positions = load_positioned(text, str(file))
    except PolicyErrors as unreadable:
        raise ConfigErrors(unreadable.errors) from unreadable
    if value is None:
        value = {}
    if isinstance(value, dict) and value.get("keys_dir") is None:
        value = value | {"keys_dir": str(default_keys_dir)}
    try:
        config = Config.model_validate(value, context={"base": file.parent.absolute(), "home": home})
    except ValidationError as error:
        raise ConfigErrors(tuple(sorted(mistakes(error, value, positions)))) from error
    missing = [mistake(problem, value, positions) for problem in _on_disk(config)]
    if missing:
        raise ConfigErrors(tuple(sorted(missing)))
    return config


def _on_disk(config: Config) -> Iterator[Problem]:
    """What only the file system can tell."""
    if config.keys_dir is not None and lies_inside(str(config.keys_dir.resolve()), str(config.data_dir.resolve())):
        yield Problem(("keys_dir",), *KEYS_INSIDE)
    for name in LISTENERS:
        tls = getattr(config, name).tls
        for part in ("cert", "key") if tls is not None else ():
            if not getattr(tls, part).is_file():
                yield Problem(
                    (name, "tls", part), f"there is no file {getattr(tls, part)}", "give the path of a PEM file"
                )
    for name, server in config.servers.items():
        if isinstance(server, HttpServer) and server.ca_file is not None and not server.ca_file.is_file():
            yield Problem(("servers", name, "ca_file"), f"there is no file {server.ca_file}", "give a PEM file's path")
        if isinstance(server, StdioServer) and server.cwd is not None and not server.cwd.is_dir():
            yield Problem(("servers", name, "cwd"), f"there is no folder {server.cwd}", "make it, or leave cwd out")
