"""The questions: what is asked, what is asked again, and that nothing a server says of itself chooses for anybody."""

from __future__ import annotations

from proxy.init.asking import Usual, ask, choose
from proxy.init.listed import Tool
from proxy.init.wishes import Wishes
from tests.proxy.init.builders import Written

USUAL = Usual("my-agent", 8610, 8611, has_servers=False)


def test_everything_can_be_answered_and_empty_answers_are_the_usual_ones() -> None:
    person = Written(
        "time", "uvx mcp-server-time", "TZ, HTTP_KEY", "docs", "https://docs.example.com/mcp", "", "", "", "9001"
    )
    person.secrets.append("Bearer hunter2")
    wished, secrets = ask(person, Wishes(), USUAL)
    assert wished == Wishes(
        servers={
            "time": {
                "command": "uvx",
                "args": ["mcp-server-time"],
                "env": {"TZ": {"env": "TZ"}, "HTTP_KEY": {"env": "HTTP_KEY"}},
            },
            "docs": {
                "url": "https://docs.example.com/mcp",
                "headers": {"Authorization": {"file": "secrets/docs-authorization"}},
            },
        },
        agent="my-agent",
        agents_port=8610,
        reviewers_port=9001,
    )
    assert secrets == {"secrets/docs-authorization": "Bearer hunter2"}
    assert "hunter2" not in person.text


def test_what_a_flag_said_and_what_is_there_already_is_not_asked() -> None:
    wished = Wishes(servers={"a": {"command": "x"}}, agent="anna", agents_port=1, reviewers_port=2)
    person = Written()
    assert ask(person, wished, USUAL) == (wished, {})
    assert ask(person, wished, Usual(None, None, None, has_servers=True)) == (wished, {})
    assert person.heard == []
    assert ask(Written(""), Wishes(), Usual(None, None, None, has_servers=True)) == (Wishes(), {})


def test_an_answer_that_cannot_be_taken_is_asked_again() -> None:
    person = Written("", "my time", "time", "'uvx", "uvx x", "1KEY", "", "", "", "70000", "8610", "")
    wished, _ = ask(person, Wishes(), USUAL)
    assert wished.servers == {"time": {"command": "uvx", "args": ["x"]}}
    for said in ("'' cannot name", "'my time' cannot name", "quote it", "'1KEY' is no variable", "'70000' is no port"):
        assert said in person.text


TOOLS = [
    Tool("read", "Reads.\x1b[2J"),
    Tool("wipe", says_it_destroys=True),
    Tool("odd name"),
    Tool("write", "x" * 500),
]


def test_tools_are_shown_inert_and_chosen_by_number() -> None:
    person = Written("1", "2")
    assert choose(person, "files", TOOLS) == (frozenset({"read"}), frozenset({"wipe"}))
    assert "\x1b" not in person.text
    assert "wipe  (it calls itself destructive)" in person.text
    assert max(map(len, person.heard)) < 200


def test_p09_no_answer_chooses_no_tool() -> None:
    assert choose(Written("", ""), "files", TOOLS) == (frozenset(), frozenset())


def test_numbers_that_mean_nothing_a_tool_that_cannot_be_named_and_one_chosen_twice_are_asked_again() -> None:
    person = Written("0", "1-9", "x", "3", "1 4", "1", "2")
    assert choose(person, "files", TOOLS) == (frozenset({"read", "write"}), frozenset({"wipe"}))
    for said in ("'0': write numbers", "'1-9'", "'x'", "cannot be named", "read cannot be both"):
        assert said in person.text
