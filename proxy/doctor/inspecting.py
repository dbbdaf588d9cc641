"""The inspectors: whether a worker starts here, in time, and finds what it must find."""

from __future__ import annotations

import time

from policies.model import OutputRules
from proxy.doctor.finding import Finding, ok, problem
from proxy.doctor.subject import Subject
from proxy.inspector_template import InspectorsDown
from proxy.inspectors import InspectorPool
from redaction.model import Outcome, Surface

# Nobody's key: of the form of one, so that a worker which finds nothing is noticed.
SAMPLE = {"result": {"content": [{"type": "text", "text": f"aws_access_key_id = AKIA{'Z5QH2JX7M4KTRBWC'}"}]}}


async def inspectors(subject: Subject) -> list[Finding]:
    settings = subject.config.inspection.model_copy(update={"workers": 1})
    pool = InspectorPool(settings)
    began = time.monotonic()
    try:
        await pool.start()
        try:
            found = await pool.inspect(SAMPLE, rules=OutputRules(), surface=Surface.RESULT)
        finally:
            await pool.close()
    except InspectorsDown as down:
        mend = "the gate does not start without them; look at inspection in the configuration, and at the memory"
        return [problem("inspectors", f"a worker cannot be started: {down}", mend)]
    took_ms = round((time.monotonic() - began) * 1000)
    looks_for_secrets = not settings.entities or "aws_access_key" in settings.entities
    if found.outcome is Outcome.QUARANTINE and found.why and not found.findings:
        mend = "outputs would be quarantined; look at inspection in the configuration"
        return [problem("inspectors", f"a worker could not inspect: {found.why}", mend, took_ms=took_ms)]
    if looks_for_secrets and found.outcome is Outcome.ALLOW:
        return [
            problem("inspectors", "a worker let something pass that has the form of a key", "install Interlock anew")
        ]
    return [ok("inspectors", f"a worker starts and inspects ({took_ms:,} ms)", took_ms=took_ms)]
