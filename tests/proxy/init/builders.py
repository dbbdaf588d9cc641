"""A person whose answers are written down beforehand, and a tool server to be listed."""

from __future__ import annotations

import shlex
import sys
from collections import deque
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "blackbox" / "servers" / "stdio_tool.py"
ECHO = f"echo={shlex.quote(sys.executable)} {shlex.quote(str(SCRIPT))}"  # it has one tool, `echo`

GIT = f"code={shlex.quote(sys.executable)} -m mcp_server_git"  # a server that a pack was written for


class Written:
    """Answers in their order; a question more than there are answers is end of input, as at a closed terminal."""

    def __init__(self, *answers: str, secrets: tuple[str, ...] = ()) -> None:
        self.answers, self.secrets = deque(answers), deque(secrets)
        self.heard: list[str] = []

    def say(self, text: str) -> None:
        self.heard.append(text)

    def line(self, question: str) -> str:
        self.heard.append(question)
        if not self.answers:
            raise EOFError
        return self.answers.popleft()

    def secret(self, question: str) -> str:
        self.heard.append(question)
        return self.secrets.popleft()

    @property
    def text(self) -> str:
        return "\n".join(self.heard)
