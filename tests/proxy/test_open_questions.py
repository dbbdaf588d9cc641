"""Counting open questions (P14): by agent and in all, places taken ahead, and who is to be looked at again."""

from __future__ import annotations

from proxy.open_questions import Full, OpenQuestions


def test_p14_a_place_counts_before_its_question_is_written() -> None:
    questions = OpenQuestions(open_max=10, of_agent_max=2)
    places = [questions.take_place("demo"), questions.take_place("demo")]
    assert places[0] != places[1]
    assert questions.full_for("demo") is Full.OF_AGENT
    assert questions.full_for("other") is None
    questions.over(places[0])
    assert questions.full_for("demo") is None


def test_p14_questions_in_all_are_capped_whoever_asks() -> None:
    questions = OpenQuestions(open_max=2, of_agent_max=2)
    questions.count("call_1", "a")
    assert questions.full_for("c") is None
    questions.count("call_2", "b")
    assert questions.full_for("c") is Full.IN_ALL


def test_a_question_counts_once_and_its_end_counts_once() -> None:
    questions = OpenQuestions(open_max=10, of_agent_max=1)
    questions.count("call_1", "demo")
    questions.count("call_1", "demo")
    questions.over("call_1")
    assert questions.full_for("demo") is None
    questions.over("call_1")
    questions.over("never heard of")
    assert questions.full_for("demo") is None


def test_a_changed_question_counts_until_it_was_seen_to_be_over() -> None:
    questions = OpenQuestions(open_max=10, of_agent_max=1)
    assert questions.changed("call_1") is False  # not counted: nobody need look
    questions.count("call_1", "demo")
    assert questions.changed("call_1") is True
    assert questions.doubtful() == ("call_1",)
    assert questions.full_for("demo") is Full.OF_AGENT
    questions.count("call_1", "demo")  # looked at: still open
    assert questions.doubtful() == ()
    questions.changed("call_1")
    questions.over("call_1")
    assert questions.doubtful() == ()
    assert questions.full_for("demo") is None
