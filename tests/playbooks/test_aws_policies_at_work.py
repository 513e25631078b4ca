"""The whole application at work, each tier with no more than its policy allows."""

import httpx2
import judge
import pytest
from crowd import many
from harness import Cloud
from test_aws_policies import rendered

pytestmark = pytest.mark.nightly

PICTURES = 20


@pytest.mark.system
@pytest.mark.parametrize("fleet", ["ec2", "asg", "alarms"])
def test_a_burst_is_answered_and_the_fleet_leaves_within_the_policies(tmp_path, fleet):
    policies = rendered(tmp_path, fleet, skylens_deployment="local")
    (folder := tmp_path / "judged").mkdir()
    path = judge.prepare(folder, policies)
    with Cloud(tmp_path, "--max", "2", "--fleet", fleet, environment={"PYTHONPATH": path}) as cloud:
        for number, (name, data) in enumerate(many(PICTURES)):
            headers = {"Content-Type": "image/png", "Idempotency-Key": name, "Prefer": "respond-async"}
            answer = httpx2.post(f"{cloud.url}/v1/images", content=data, headers=headers, timeout=60)
            assert answer.status_code == 202, (number, answer.text)
        cloud.wait(lambda: len(cloud.keys("output")) == PICTURES, 120, "every image has its outcome")
        cloud.wait(lambda: not cloud.instances(), 120, "the fleet is gone")
    made = judge.notes(folder)
    assert [note for note in made if note[2]] == []
    assert {tier for tier, *_ in made} == {"web", "worker", "scaler"}
