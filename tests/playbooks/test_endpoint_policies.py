"""The ways out of the workers' network lead to what is this deployment's, whosever credentials come."""

import json

import pytest
from iam import OWNED, PLACE, Asked, allows, questions, s3, sqs
from rendered import render
from test_aws_policies import CALLER, LOGS, NEEDS, OURS


@pytest.fixture(scope="module")
def endpoints(tmp_path_factory):
    """The policies of the ways out of the workers' network, by service."""
    folder = tmp_path_factory.mktemp("endpoints")
    files = {service: ("endpoint.json.j2", service) for service in ("s3", "sqs", "logs")}
    caller = {"aws_network_caller": CALLER["aws_access_caller"], "skylens_log_agent": "agent.deb"}
    render(folder, "aws_network", files, **caller)
    return {service: json.loads((folder / service).read_text()) for service in files}


def test_the_endpoints_let_each_call_of_a_worker_through(endpoints):
    for operation, call in NEEDS["worker"]:
        for asked in questions(operation, call, OURS):
            assert allows(endpoints[asked.action.partition(":")[0]], asked), (operation, call)
    assert allows(endpoints["logs"], LOGS)


@pytest.mark.parametrize(
    "asked",
    [
        Asked("s3:PutObject", s3("elsewhere/stolen"), {"aws:ResourceAccount": "999999999999"}),
        Asked("s3:PutObject", s3("skylens-input/stolen"), {"aws:ResourceAccount": "999999999999"}),
        Asked("s3:PutObject", s3("skylens-input-2/stolen"), OWNED),
        Asked("sqs:SendMessage", f"arn:aws:sqs:{PLACE}:999999999999:skylens-requests", OWNED),
        Asked("sqs:SendMessage", sqs("other-requests"), OWNED),
        Asked("logs:PutLogEvents", f"arn:aws:logs:{PLACE}:999999999999:log-group:stolen:log-stream:i-1", OWNED),
    ],
    ids=lambda asked: asked.resource,
)
def test_through_the_endpoints_nobodys_credentials_reach_what_is_not_the_deployments(endpoints, asked):
    assert not allows(endpoints[asked.action.partition(":")[0]], asked)
