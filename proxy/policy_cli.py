"""`interlock policy …`: the commands of policy authors. Thin: each verb imports what it needs when it is called.

Rules of this module:
* Exit codes are those of `cli.py`: 0 done, 1 findings, 2 wrong usage, 3 something could not be reached. Each verb's
  own are in its module below `proxy/author/`.
* With `--json` the one answer on stdout is JSON, also of a set that does not load.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

policy_cli = typer.Typer(help="Work on policies.", no_args_is_help=True, rich_markup_mode=None)

FilesArgument = Annotated[
    list[Path], typer.Argument(help="Policy and case files, or folders of them: one set, read together.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]


@policy_cli.command("check")
def policy_check(files: FilesArgument) -> None:
    """Say whether the files load, and where and how to mend what does not."""
    from policies.check import check_paths

    report, code = check_paths(files)
    print(report)
    raise typer.Exit(code)


@policy_cli.command("test")
def policy_test(
    files: FilesArgument,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write the outcomes here, as JUnit XML.")] = None,
    coverage: Annotated[bool, typer.Option("--coverage", help="Name the rules that no case reaches.")] = False,
    coverage_min: Annotated[
        float | None, typer.Option("--coverage-min", min=0, max=100, help="Fail below so many percent of rules.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Run the cases (`*_test.yaml`) of the set, and name each that comes out otherwise than wanted."""
    from time import perf_counter

    from proxy.author.trying import Wanted, run

    wanted = Wanted(tuple(files), junit, shows_coverage=coverage, coverage_min=coverage_min, as_json=json)
    raise typer.Exit(run(wanted, perf_counter))


@policy_cli.command("lint")
def policy_lint(
    files: FilesArgument,
    strict: Annotated[bool, typer.Option("--strict", help="Notes count as findings too.")] = False,
    json: JsonOption = False,
) -> None:
    """Advice: rules no call reaches, allows never heard, facts bound elsewhere, what is often not meant."""
    from proxy.author.advising import run

    raise typer.Exit(run(files, strict=strict, as_json=json))


@policy_cli.command("pack")
def policy_pack(
    named: Annotated[str | None, typer.Argument(help="pack:NAME=SERVER; without it, the list of packs.")] = None,
    cases: Annotated[bool, typer.Option("--cases", help="Its cases instead of its policy.")] = False,
) -> None:
    """List the policies that are shipped, or print one as it would load, to keep it as a file of your own."""
    from proxy.author.packing import run

    raise typer.Exit(run(named, cases=cases))
