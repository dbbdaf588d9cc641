"""`topics:` by the tool's labels; an unclassified call has none."""

from __future__ import annotations

from tests.policies.match_builders import holds, labels


def test_a_topic_is_matched_among_the_labels() -> None:
    given = labels(topics={"job.refund.process", "job.crm.read"})
    assert holds("topics: job.refund.*", given=given, allowing=True)
    assert holds("topics: ['job.*.list', 'job.*.read']", given=given)
    assert not holds("topics: job.deploy.*", given=given)


def test_an_unclassified_call_is_matched_by_the_catch_all_of_rules_that_ask_or_deny_only() -> None:
    assert holds("topics: '*'", allowing=False)
    assert not holds("topics: '*'", allowing=True)
    assert not holds("topics: job.*", allowing=False)
