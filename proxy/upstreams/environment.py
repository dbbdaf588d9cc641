"""The environment a tool process starts with: a short list from the gate's own, and what its configuration adds.

Rules of this module:
* Nothing of the gate's environment passes but the names in `INHERITED`: not its secrets, not its proxy settings, not
  its interpreter's switches. What a tool needs beyond these stands under `servers.<name>.env`.
* Values that look like exported shell functions do not pass either.
"""

from __future__ import annotations

from collections.abc import Mapping

INHERITED = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER")


def child_environment(ours: Mapping[str, str], configured: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a child: the inherited names, then the configured ones, which win."""
    inherited = {name: ours[name] for name in INHERITED if name in ours and not ours[name].startswith("()")}
    return inherited | dict(configured)
