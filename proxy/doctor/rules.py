"""The policies: whether the set loads, its cases hold, and its advice."""

from __future__ import annotations

from collections.abc import Iterator

from policies.check import check
from policies.errors import PolicyErrors
from policies.loader import read_set
from proxy.doctor.finding import Finding, ok, problem, warning
from proxy.doctor.subject import Subject


def policy(subject: Subject) -> Iterator[Finding]:
    try:
        files = read_set(subject.config.policies, subject.loaded.base)
    except PolicyErrors as bad:
        yield problem("policy", str(bad), "without a policy that loads the gate does not start")
        return
    report, code = check(files)
    lines = report.splitlines()
    if code:
        mend = "mend it; interlock policy check shows the same"
        yield problem("policy", "\n".join(lines), mend)
        return
    advice = [line.removeprefix("advice: ") for line in lines if line.startswith("advice: ")]
    said = [line for line in lines if line.startswith(("ok: ", "cases: "))]
    if advice:
        yield warning("policy", "\n".join(advice), "see docs/policy-language.md")
    yield ok("policy", f"{len(files)} files load; {'; '.join(said)}", files=sorted(files))
