# What a developer needs, in one word each. CI runs .ci/run, which does all of it from a clean checkout.
.PHONY: check test long soak browser conformance demo bench decide parked overload kernel schemas lock

check:  ## formatting, lint, types, tests: before every commit
	uv run ruff format --check .
	uv run ruff check .
	uv run mypy
	uv run pytest

test:  ## the quick tests
	uv run pytest

long:  ## tests that take more than a few seconds, the built wheel among them
	uv run pytest -m long

soak:  ## 10,000 times: traffic, SIGKILL at a failpoint, restart, compare with what the tools saw (hours)
	uv run python -m tests.faults.soak --cycles 10000

browser:  ## the console in Chromium, with axe-core where npm can fetch it
	-uv run python -m tests.browser.axe --install
	uv run pytest -m browser

conformance:  ## the public MCP suite's four legs, without and with the gate (needs npm)
	uv run python -m tests.conformance.gate

demo:  ## the gate with real servers and the reviewer played; fails if a step comes out wrong
	uv run interlock demo --auto

bench:  ## what the gate costs a call, beside what else stands in front of tool servers, as a table
	uv run python -m bench.overhead

decide:  ## what judging a call costs on 200 rules, and loading 2,000
	uv run python -m bench.decide

parked:  ## what 1,000 and 10,000 parked calls cost
	uv run python -m bench.parked

overload:  ## what it does at twice the load it can carry, as a table
	uv run python -m bench.overload

kernel:  ## the trust kernel with every branch covered
	.ci/kernel

schemas:  ## schemas/config.schema.json from the model
	uv run python -c "from pathlib import Path; from proxy.config import schema_text; Path('schemas/config.schema.json').write_text(schema_text(), encoding='utf-8')"

lock:  ## constraints.txt: what resolves together today, names and versions only
	uv lock --upgrade
	uv export --quiet --no-hashes --no-emit-project --no-dev --no-header --no-annotate --output-file constraints.txt
