"""The entry point: makes sure that our packages are ours, then starts the command line.

Rules of this module:
* Standard library only, and nothing of ours is imported before the check: the import packages have generic names, and
  another distribution's package of the same name would otherwise run in our place (docs/adr/0004).
* The check compares paths: nothing is imported for it. Installed metadata is not asked: editable installs have none.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.machinery import PathFinder
from pathlib import Path

PACKAGES = ("proxy", "policies", "redaction", "review", "audit")
HOME = Path(__file__).resolve().parent


def package_folder(name: str) -> Path | None:
    """The folder that `import name` would take its code from, or None where there is none."""
    loaded = sys.modules.get(name)
    spec = getattr(loaded, "__spec__", None) if loaded is not None else PathFinder.find_spec(name)
    if spec is None:
        return None
    if spec.origin is not None:
        origin = Path(spec.origin).resolve()
        return origin.parent if origin.name == "__init__.py" else origin
    return next((Path(place).resolve() for place in spec.submodule_search_locations or ()), None)


def strangers(folder_of: Callable[[str], Path | None] = package_folder) -> Iterator[str]:
    """One sentence for each package name that somebody else owns, or that is missing."""
    for name in PACKAGES:
        ours, found = HOME / name, folder_of(name)
        if found is None:
            yield f"The package '{name}' is missing; it belongs in {ours}."
        elif found != ours:
            yield f"The package '{name}' would be taken from {found}, not from Interlock's own {ours}."


def main() -> None:
    """The console script `interlock`. Exits with 3 where a package is not ours."""
    found = list(strangers())
    if found:
        print(
            "interlock: another distribution owns a name that Interlock needs, so it does not start.", file=sys.stderr
        )
        for sentence in found:
            print(f"  {sentence}", file=sys.stderr)
        print(
            "Install Interlock into an environment of its own (uv tool install, pipx, or a fresh venv).",
            file=sys.stderr,
        )
        raise SystemExit(3)

    from proxy.cli import main as command_line  # late: only once the name is known to be ours

    command_line()


if __name__ == "__main__":
    main()
