"""The house keeps its shape (DESIGN §3): who imports whom, what stays pure, where foreign libraries and tests live.

Every exception stands in a table of this file, with its reason; a table's line that is no longer needed fails too.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PACKAGES = ("policies", "redaction", "audit", "review", "proxy")

# --- who may import whom ------------------------------------------------------------------------------------------

MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "policies": (),
    "audit": (),
    "redaction": ("policies.model",),
    "review": ("policies", "audit"),
    "proxy": ("policies", "redaction", "review", "audit"),
    "interlock": ("proxy.cli",),
}

# --- what stays pure ----------------------------------------------------------------------------------------------

# Folders and files whose code does no I/O and reads no clock, randomness, environment or id.
PURE = (
    "policies",
    "redaction",
    "audit",
    "review/lifecycle.py",
    "review/model.py",
    "review/binding.py",
    "review/votes.py",
    "review/agreement.py",
    "proxy/gate.py",
    "proxy/events.py",
    "proxy/commands.py",
    "proxy/config_checks.py",
    "proxy/wire/strict_json.py",
    "proxy/wire/jsonrpc.py",
    "proxy/wire/sse.py",
)
NOT_PURE = {
    "policies/loader.py": "reads and watches policy files (DESIGN §3)",
    "policies/check.py": "hands the paths of the command line to the loader",
    "audit/verify.py": "reads a record from disk; can be copied out and run alone (DESIGN §3)",
}
IMPURE_IMPORTS = words("""
    aiohttp aiosqlite anyio asyncio concurrent ftplib getpass glob http httptools httpx2 io logging multiprocessing
    os pathlib platform random requests sched secrets select selectors shutil signal smtplib socket socketserver sqlite3
    ssl starlette structlog subprocess tempfile threading time urllib.request uuid uuid_utils uvicorn webbrowser
""")
IMPURE_CALLS = words("""
    open print input breakpoint exec eval datetime.now datetime.utcnow datetime.today date.today datetime.datetime.now
    datetime.datetime.utcnow datetime.date.today
""")

# --- foreign libraries --------------------------------------------------------------------------------------------

# Frames: what a package is built in, imported by any of its files.
FRAMES: dict[str, frozenset[str]] = {
    "policies": frozenset(),
    "redaction": frozenset(),
    "audit": frozenset(),
    "review": frozenset({"starlette", "structlog"}),
    "proxy": frozenset(
        {"starlette", "structlog", "pydantic", "pydantic_core", "cryptography", "mcp", "mcp_types", "typer", "uvicorn"}
    ),
    "interlock": frozenset(),
}
# Every other foreign library lives in one file per package, behind our own words.
ONE_FILE: dict[tuple[str, str], str] = {
    ("policies", "yaml"): "policies/yaml_source.py",
    ("policies", "jsonpath_ng"): "policies/json_path.py",
    ("policies", "cel"): "policies/condition.py",
    ("policies", "jsonschema"): "policies/arguments.py",
    ("policies", "referencing"): "policies/arguments.py",
    ("redaction", "jsonpath_ng"): "redaction/fields.py",
    ("redaction", "phonenumbers"): "redaction/detectors/presidio.py",
    ("redaction", "presidio_analyzer"): "redaction/detectors/presidio.py",
    ("redaction", "regex"): "redaction/detectors/presidio.py",
    ("redaction", "tldextract"): "redaction/detectors/presidio.py",
    ("audit", "cryptography"): "audit/keyed.py",
    ("audit", "orjson"): "audit/canonical.py",
    ("audit", "rfc8785"): "audit/canonical.py",
    ("review", "argon2"): "review/passwords.py",
    ("proxy", "prometheus_client"): "proxy/metrics.py",
    ("review", "jinja2"): "review/console/render.py",
    ("review", "markupsafe"): "review/console/render.py",
    ("review", "sse_starlette"): "review/console/events.py",
    ("proxy", "aiosqlite"): "proxy/store/connection.py",
    ("proxy", "brotli"): "proxy/wire/body.py",
    ("proxy", "zstandard"): "proxy/wire/body.py",
    ("proxy", "httptools"): "proxy/wire/http_response.py",
    ("proxy", "orjson"): "proxy/wire/strict_json.py",
    ("proxy", "platformdirs"): "proxy/config_file.py",
    ("proxy", "uuid_utils"): "proxy/ids.py",
    ("proxy", "uvloop"): "proxy/wire/http_server.py",
}

# --- files and their tests ----------------------------------------------------------------------------------------

WITHOUT_TEST_FILE = {
    "policies/model.py": "declarations; used by every test of policies",
    "redaction/model.py": "declarations; used by every test of redaction",
    "audit/entry.py": "declarations; used by every test of audit",
    "review/model.py": "declarations; used by every test of review",
    "review/ports.py": "protocols only",
    "proxy/store/base.py": "protocols and rows only; the contract tests are those of its implementations",
    "proxy/exchange.py": "a protocol and values only",
    "proxy/upstreams/base.py": "a protocol and values only",
    "proxy/events.py": "declarations; used by tests/proxy/test_gate.py",
    "proxy/commands.py": "declarations; used by tests/proxy/test_gate.py",
    "proxy/doctor/finding.py": "values only; used by every test of the doctor",
}
TESTS_OF_NO_ONE_FILE = (
    "tests/bench/",
    "tests/blackbox/",
    "tests/browser/",
    "tests/conformance/",
    "tests/faults/",
    "tests/cases/",
)
LINES_MAX = 500
LONGER: dict[str, str] = {
    "tests/proxy/test_gate.py": "one playbook for each turn of one table; splitting it would hide which are missing",
    "tests/proxy/doors/door_world.py": "the doors' whole other side: a scripted gate, upstream and client in memory",
}
FUNCTION_LINES_MAX = 60
LONGER_FUNCTIONS: dict[str, str] = {}
CATCH_ALLS = {"proxy/runner.py": 1}  # the top of the runner: it refuses the call and records why

MACHINE_PATH = re.compile(r"(^|[^A-Za-z0-9_.])/(work|farm|root)/")
INDEX_ADDRESS = re.compile(r"""https?://[^ "']*(/simple([/" ]|$)|/packages/[0-9a-f]{2}/)""")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError|not implemented yet", re.IGNORECASE)


@cache
def tracked() -> tuple[str, ...]:
    """What version control holds or would hold: tracked files, and new ones that are not ignored."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return tuple(sorted(name for name in listed.split("\0") if name and (ROOT / name).is_file()))


@cache
def sources() -> tuple[str, ...]:
    """Our own code outside tests and benchmarks."""
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    return (*sorted(file.relative_to(ROOT).as_posix() for file in files), "interlock.py")


@cache
def tree(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text(encoding="utf-8"), name)


def package_of(name: str) -> str:
    return name.partition("/")[0].removesuffix(".py")


@cache
def imports(name: str) -> frozenset[str]:
    """Every module a file imports anywhere, also inside functions and for types only; relative ones made absolute."""
    found: set[str] = set()
    here = Path(name).with_suffix("").parts
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(here[: len(here) - node.level]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            found.add(module)
            if module.partition(".")[0] in PACKAGES:  # `from policies import model` imports policies.model
                found.update(f"{module}.{alias.name}" for alias in node.names)
    return frozenset(found)


def is_within(module: str, allowed: str) -> bool:
    return module == allowed or module.startswith(f"{allowed}.")


def foreign(name: str) -> set[str]:
    """The top-level names of other people's libraries that a file imports."""
    tops = {module.partition(".")[0] for module in imports(name)}
    return {top for top in tops if top not in sys.stdlib_module_names and top not in PACKAGES}


@pytest.mark.parametrize("name", sources())
def test_packages_import_only_inwards(name: str) -> None:
    ours = package_of(name)
    allowed = (*MAY_IMPORT[ours], *((ours,) if ours in PACKAGES else ()))
    others = {module for module in imports(name) if module.partition(".")[0] in (*PACKAGES, "interlock", "tests")}
    # `from policies import model` is seen as policies and policies.model: the second is what counts.
    bare = {top for top in PACKAGES if top in others and any(m.startswith(f"{top}.") for m in others)}
    wrong = {m for m in others - bare if not any(is_within(m, a) for a in allowed)}
    assert not wrong, f"{name} imports {sorted(wrong)}; {ours} may import {', '.join(allowed) or 'nothing of ours'}"


@pytest.mark.parametrize("name", sources())
def test_nothing_is_imported_by_a_name_made_at_run_time(name: str) -> None:
    """What the other tests of this file cannot see would not be held to their rules."""
    by_name = {"import_module", "__import__", "exec_module", "load_module", "run_module", "run_path"}
    called = [node.func for node in ast.walk(tree(name)) if isinstance(node, ast.Call)]
    assert [ast.unparse(func) for func in called if ast.unparse(func).rpartition(".")[2] in by_name] == []


def is_pure(name: str) -> bool:
    return name not in NOT_PURE and any(name == pure or name.startswith(f"{pure}/") for pure in PURE)


@pytest.mark.parametrize("name", [name for name in sources() if is_pure(name)])
def test_pure_modules_do_no_io_and_read_no_clock(name: str) -> None:
    impure = {module for module in imports(name) if any(is_within(module, bad) for bad in IMPURE_IMPORTS)}
    called = {ast.unparse(node.func) for node in ast.walk(tree(name)) if isinstance(node, ast.Call)}
    assert not impure, f"{name} must stay pure, and imports {sorted(impure)}"
    assert not called & IMPURE_CALLS, f"{name} must stay pure, and calls {sorted(called & IMPURE_CALLS)}"


@pytest.mark.parametrize("name", sources())
def test_a_foreign_library_lives_in_one_file_of_a_package(name: str) -> None:
    ours = package_of(name)
    for library in sorted(foreign(name) - FRAMES[ours]):
        home = ONE_FILE.get((ours, library))
        assert home is not None, f"{name} imports {library}, which has no home in {ours}: choose one, in ONE_FILE"
        assert home == name, f"{name} imports {library}, which lives in {home} alone"


def test_the_table_of_foreign_libraries_holds_nothing_that_is_gone() -> None:
    used = {(package_of(name), library) for name in sources() for library in foreign(name)}
    assert set(ONE_FILE) - used == set()


def expected_test(name: str) -> str | None:
    """Where the tests of a source file are; None for one that needs none."""
    path = Path(name)
    if path.name == "__init__.py":
        if not tree(name).body:
            return None
        path = path.parent  # `policies/criteria/__init__.py` is tested as `test_criteria.py`
    if path.name == "__main__.py":
        return None
    return (Path("tests") / path.parent / f"test_{path.stem}.py").as_posix()


def test_every_source_file_has_its_test_file() -> None:
    needed = {name: expected_test(name) for name in sources() if name not in WITHOUT_TEST_FILE}
    missing = {name: test for name, test in needed.items() if test is not None and not (ROOT / test).is_file()}
    assert missing == {}


def test_every_test_file_has_its_source_file() -> None:
    tests = [file.relative_to(ROOT).as_posix() for file in (ROOT / "tests").rglob("test_*.py")]
    known = {test for name in sources() if (test := expected_test(name)) is not None}
    stems = {test.removesuffix(".py") for test in known}
    lost = []
    for test in sorted(tests):
        alone = test.startswith(TESTS_OF_NO_ONE_FILE) or Path(test).parent.as_posix() == "tests"
        # `test_decide_properties.py` is a further file of tests for decide.py.
        further = any(test.startswith(f"{stem}_") for stem in stems)
        if not (alone or test in known or further):
            lost.append(test)
    assert lost == []


def test_the_list_of_files_without_tests_holds_nothing_that_is_gone_or_has_tests() -> None:
    stale = [
        name
        for name in WITHOUT_TEST_FILE
        if not (ROOT / name).is_file() or ((test := expected_test(name)) is not None and (ROOT / test).is_file())
    ]
    assert stale == []


def test_no_first_level_module_is_named_like_the_standard_library_or_a_dependency() -> None:
    """A script in such a folder would shadow it: `sys.path[0]` is the script's folder."""
    theirs = {name for name in packages_distributions() if name not in PACKAGES} | set(sys.stdlib_module_names)
    ours = {Path(name).stem if Path(name).parent.name == "" else Path(name).parts[1] for name in sources()}
    first = {part.removesuffix(".py") for part in ours} - {"__init__", "interlock"}
    assert first & theirs == set()


def test_the_packages_themselves_belong_to_no_other_distribution() -> None:
    owners = packages_distributions()
    assert {name: owners[name] for name in PACKAGES if set(owners.get(name, [])) - {"interlock"}} == {}


def test_no_file_is_longer_than_it_should_be() -> None:
    files = [
        *sources(),
        *(file for file in tracked() if file.startswith(("tests/", "bench/")) and file.endswith(".py")),
    ]
    lines = {name: (ROOT / name).read_text(encoding="utf-8").count("\n") for name in set(files)}
    assert {name: count for name, count in lines.items() if count > LINES_MAX and name not in LONGER} == {}
    assert {name for name in LONGER if lines.get(name, 0) <= LINES_MAX} == set()


def docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[0]
    has_docstring = ast.get_docstring(node) is not None
    return (first.end_lineno or first.lineno) - first.lineno + 1 if has_docstring else 0


def test_functions_fit_a_screen() -> None:
    long = {}
    for name in sources():
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                count = (node.end_lineno or node.lineno) - node.lineno + 1 - docstring_lines(node)
                if count > FUNCTION_LINES_MAX:
                    long[f"{name}:{node.name}"] = count
    assert {where: count for where, count in long.items() if where not in LONGER_FUNCTIONS} == {}
    assert set(LONGER_FUNCTIONS) - set(long) == set()


def catch_alls(name: str) -> Iterator[int]:
    """Handlers that catch everything and do not pass it on."""
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type is not None else "BaseException"
            passes_on = isinstance(node.body[-1], ast.Raise)
            if re.search(r"\b(Base)?Exception\b", caught) and not (caught == "BaseException" and passes_on):
                yield node.lineno


def test_there_is_one_catch_all_at_the_top_of_the_runner() -> None:
    found = {name: len(lines) for name in sources() if (lines := list(catch_alls(name)))}
    assert found == CATCH_ALLS


def test_no_unfinished_marks_stand_in_the_code() -> None:
    found = [
        f"{name}:{number}"
        for name in sources()
        for number, line in enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert found == []


def test_no_lock_file_is_tracked() -> None:
    """`uv.lock` carries the addresses of the index it was made with; `constraints.txt` has names and versions."""
    assert [name for name in tracked() if Path(name).name in ("uv.lock", "package-lock.json")] == []


def test_no_machine_paths_or_index_addresses_are_tracked() -> None:
    found = []
    for name in tracked():
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # pictures and other bytes
        for number, line in enumerate(text.splitlines(), 1):
            if MACHINE_PATH.search(line) or INDEX_ADDRESS.search(line):
                found.append(f"{name}:{number}: {line.strip()[:100]}")
    assert found == []


def test_constraints_hold_names_and_versions_only() -> None:
    line = re.compile(r"[a-z0-9][a-z0-9._-]*==[A-Za-z0-9.!+]+( ; [a-z_]+ [!=<>in ]+ '[^']*'( (and|or) [^;]*)?)?")
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert [text for text in lines if not line.fullmatch(text)] == []
    assert len(lines) > 50
