"""A plan is reproducible by its seed, and strikes as often as it is asked to."""

from collections import Counter

import pytest
from operation import Operation
from plan import Fault, Plan, Rule, Script, always, scripted

PUT, SEND = Operation("s3", "PutObject", "a/1"), Operation("sqs", "SendMessage", "requests", "json")
KINDS = (Fault("lost"), Fault("reset"), Fault("refused", "throttled"))


def course(plan, operations):
    script = Script(plan)
    return [script.next(one) for one in operations]


def test_a_scripted_call_fails_by_its_number_among_those_that_the_rule_concerns():
    plan = scripted("lost", operation="sqs.Send*", calls=(2, 3))
    found = course(plan, [SEND, PUT, SEND, PUT, SEND, SEND])
    assert [fault and fault.kind for fault in found] == [None, None, "lost", None, "lost", None]


def test_a_rule_may_concern_one_bucket():
    plan = always("refused", "denied", operation="s3.PutObject", resource="a/*")
    assert course(plan, [PUT, PUT._replace(resource="b/1"), SEND]) == [Fault("refused", "denied"), None, None]


def test_the_first_rule_that_strikes_counts_and_each_counts_its_calls():
    rules = (Rule(calls=(2,), faults=(Fault("lost"),)), Rule(calls=(2, 3), faults=(Fault("torn"),)))
    found = course(Plan(rules=rules), [PUT, PUT, PUT])
    assert [fault and fault.kind for fault in found] == [None, "lost", "torn"]


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 1.0])
def test_random_faults_come_in_about_the_share_that_was_asked_for_and_each_kind_as_often(share):
    plan = Plan(rules=(Rule(share=share, faults=KINDS),), seed=3)
    found = Counter(course(plan, [PUT] * 4000))
    struck = 4000 - found.pop(None, 0)
    assert struck == pytest.approx(4000 * share, abs=60)
    for kind in KINDS:
        assert found[kind] == pytest.approx(struck / 3, abs=100)


def test_the_same_seed_gives_the_same_faults_whatever_comes_between_and_another_seed_others():
    def of(seed, operations):
        plan = Plan(rules=(Rule(operation="s3.*", share=0.3, faults=KINDS),), seed=seed)
        return [found for found, one in zip(course(plan, operations), operations, strict=True) if one is PUT]

    assert of(1, [PUT] * 50) == of(1, [PUT, SEND] * 50)
    assert of(1, [PUT] * 50) != of(2, [PUT] * 50)
