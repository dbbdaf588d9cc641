"""From wishes to files: what the configuration, the policies and the cases will say, checked before anybody is shown.

Rules of this module:
* A second run changes only what is asked: a server that is there as wished, and an agent that has a key, stay.
* A policy that is there already is somebody's work: it is left as it is, unless `replace` says otherwise.
* What would not load, or would decide otherwise than its cases say, is not even offered (`CannotPlan`).
"""

from __future__ import annotations

import fnmatch
import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from policies.check import check
from policies.errors import PolicyErrors
from policies.loader import find_files, read_files
from policies.packs import is_pack, pack_texts
from proxy.config import Config
from proxy.config_file import FILE_NAME, parse
from proxy.init import policy_text
from proxy.init.asking import Secrets
from proxy.init.config_edit import NEW, Edits, edited
from proxy.init.files import Planned, current, planned
from proxy.init.policy_text import Chosen
from proxy.init.wishes import Wishes


class CannotPlan(Exception):
    """What was wished cannot be done; the text says why and how to mend it."""


@dataclass(frozen=True, slots=True)
class Place:
    """The folder, and what is needed to read a configuration in it. `schemas` None: there are none to point at."""

    folder: Path
    home: Path
    keys_dir: Path
    schemas: Path | None = None

    @property
    def file(self) -> Path:
        return self.folder / FILE_NAME

    def parse(self, text: str) -> Config:
        """Raises: ConfigErrors."""
        return parse(text, self.file, home=self.home, default_keys_dir=self.keys_dir)

    def schema(self, name: str, file: Path) -> str | None:
        """Where an editor finds the schema of `file`: nearby as a relative path, else as a whole one."""
        if self.schemas is None or not (self.schemas / name).is_file():
            return None
        schema = (self.schemas / name).resolve()
        is_near = file.resolve().is_relative_to(schema.parents[1])
        return os.path.relpath(schema, file.resolve().parent) if is_near else str(schema)


@dataclass(frozen=True, slots=True)
class Before:
    """What is there: the text of the configuration (None: none yet) and what it says."""

    text: str | None
    config: Config | None


@dataclass(frozen=True, slots=True)
class Draft:
    """A configuration as it will be, not yet shown. `new_servers` are those whose policies are to be written."""

    text: str
    config: Config
    new_servers: tuple[str, ...]
    secrets: Secrets = field(default_factory=dict)


def look(place: Place) -> Before:
    """Raises: ConfigErrors, OSError, UnicodeDecodeError."""
    text = current(place.file)
    return Before(text, None if text is None else place.parse(text))


def draft(place: Place, before: Before, wished: Wishes, digest: str | None, secrets: Secrets) -> Draft:
    """Raises: CannotPlan, CannotEdit, ConfigErrors."""
    there = before.config.servers if before.config else {}
    alone = place.parse(edited(NEW, Edits(servers=wished.servers), str(place.file))).servers
    for name in sorted(set(there) & set(alone)):
        if there[name] != alone[name]:
            raise CannotPlan(f"servers.{name} is in {place.file} already, and differs; change it there by hand")
    new = {name: entry for name, entry in wished.servers.items() if name not in there}
    hashes = {wished.agent: digest} if wished.agent is not None and digest is not None else {}
    text = NEW if before.text is None else before.text
    if before.text is None and (schema := place.schema("config.schema.json", place.file)) is not None:
        text = f"# yaml-language-server: $schema={schema}\n{text}"
    text = edited(text, Edits(new, hashes, _ports(before.config, wished)), str(place.file))
    for file in secrets:
        if (place.folder / file).exists():
            raise CannotPlan(f"{place.folder / file} is there already; name it in the configuration by hand")
    return Draft(text, place.parse(text), tuple(sorted(wished.servers)), secrets)


def _ports(config: Config | None, wished: Wishes) -> dict[str, int]:
    """The ports that are to change; the usual ones need not be written."""
    asked = {"agents_listener": wished.agents_port, "reviewers_listener": wished.reviewers_port}
    now = config or Config()
    return {name: port for name, port in asked.items() if port is not None and port != getattr(now, name).port}


def plan(place: Place, drafted: Draft, chosen: Mapping[str, Chosen], *, replace: bool) -> tuple[list[Planned], str]:
    """Every file as it will be, and what is to be said about them. Raises: CannotPlan, OSError, UnicodeDecodeError."""
    folder = _policy_folder(place, drafted.config)
    files = [planned(place.file, drafted.text, is_private=True)]
    files += [
        planned(place.folder / file, f"{value}\n", is_private=True, is_secret=True)
        for file, value in drafted.secrets.items()
    ]
    remarks = []
    for server in drafted.new_servers:
        policy = folder / f"{server}.yaml"
        texts = {
            policy: policy_text.policy(chosen[server], place.schema("policy.schema.json", policy)),
            folder / f"{server}_test.yaml": policy_text.cases(chosen[server]),
        }
        if current(policy) is not None and not replace:
            if current(policy) != texts[policy]:
                remarks.append(f"{policy} is there already, and is left as it is (--replace writes it anew).")
            continue
        files += [planned(path, text) for path, text in texts.items()]
    report, code = check(_policies_then(place, drafted.config, files))
    if code:
        raise CannotPlan(f"with what would be written, the policies would not hold:\n{report}")
    return files, "\n".join([report, *remarks])


def _policy_folder(place: Place, config: Config) -> Path:
    """Where a new policy is found by the configuration's patterns. Raises: CannotPlan."""
    for pattern in config.policies:
        path = Path(pattern)
        if fnmatch.fnmatchcase("new.yaml", path.name):
            return place.folder / path.parent
    raise CannotPlan(f"{place.file} names its policies one by one; add policies/*.yaml to `policies:` first")


def _policies_then(place: Place, config: Config, files: list[Planned]) -> dict[str, str]:
    """The policy files as they will be: what is there, with what is planned over it. Raises: CannotPlan."""
    try:
        found = pack_texts(filter(is_pack, config.policies))
    except PolicyErrors as bad:
        raise CannotPlan(str(bad)) from bad
    for pattern in itertools.filterfalse(is_pack, config.policies):
        try:
            paths = find_files([pattern], place.folder)
        except PolicyErrors:
            continue  # nothing fits it yet: what is planned may, and the check says if there is nothing at all
        try:
            found |= read_files(paths, place.folder)
        except PolicyErrors as bad:
            raise CannotPlan(str(bad)) from bad
    for one in files[1:]:
        if one.path.suffix == ".yaml":
            found[one.path.relative_to(place.folder).as_posix()] = one.after
    return found
