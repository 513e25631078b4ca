"""The private side on a real OpenStack: a Nova guest made, configured, updated, rolled back and removed by playbooks.

The tests are one story and run in this order; each needs what the one before it left.
"""

import re
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from crowd import many, media_type
from private_cloud import bring_up, connect, differences, inventory
from private_side import NEXT_VERSION, AwsSide, Load, PrivateSide, guest_image, next_version

from app_aws import engine, registry
from skylens import __version__

pytestmark = [pytest.mark.guest, pytest.mark.timeout(3000)]
RATE = 20
"""Requests a second while an update goes on."""


def say(text):
    print(text, file=sys.stderr, flush=True)


@pytest.fixture(scope="module")
def before():
    """What the project had before the deployment."""
    lacking = bring_up("libvirt")
    assert not lacking, lacking
    guest_image()
    return inventory(connect())


@pytest.fixture(scope="module")
def side(before, tmp_path_factory):
    folder = tmp_path_factory.mktemp("guest")
    say(f"what the playbooks print: {folder}/played.txt")
    aws = AwsSide(folder)
    yield PrivateSide(folder, aws)
    aws.stop()


@pytest.fixture(scope="module")
def pictures():
    return many(100)


def good(run):
    assert run.rc == 0, run.output[-6000:]
    return run


def changed(run):
    return {host: counts["changed"] for host, counts in run.stats.items() if counts["changed"]}


def release(side):
    return side.shell("readlink /opt/skylens/current").strip().rpartition("/")[2]


def test_one_command_makes_both_sides_and_an_image_gets_its_label(side):
    done = good(side.play("site.yml"))
    found = re.search(r"(https://[\d.]+) says: (.+)", done.output)
    side.address = found[1].removeprefix("https://")
    assert "frog" in found[2]


def test_a_hundred_images_through_the_https_endpoint_are_right(side, pictures):
    model = registry.load(registry.BUNDLED / "cifar10")

    def wanted(data):
        scores = model.infer([model.prepare(data)])[0]
        return engine.top(scores, model.labels, 1)[0].label

    with side.client() as client, ThreadPoolExecutor(8) as pool:

        def recognise(named):
            headers = {"Content-Type": media_type(named[0])}
            return client.post("/v1/images?wait=60", content=named[1], headers=headers)

        answers = list(pool.map(recognise, pictures))
    assert [answer.status_code for answer in answers] == [200] * 100
    labels = [answer.json()["labels"][0]["label"] for answer in answers]
    assert labels == [wanted(data) for _, data in pictures]


def test_the_second_run_changes_nothing(side):
    assert changed(good(side.play("site.yml"))) == {}


def test_only_the_proxy_can_be_reached_and_it_keeps_metrics_to_itself(side):
    with side.client() as client:
        assert client.get("/metrics").status_code == 404
        assert client.get("/internal/demand").status_code == 404
        assert client.get("/readyz").status_code == 200
    for port in (8080, 8081, 8082):
        assert not side.reachable(port)


def credentials(cloud):
    """Names of the application credentials that nodes of this deployment may have."""
    found = cloud.identity.application_credentials(user=cloud.current_user_id)
    return {one.name for one in found if one.description == "skylens:deployment=guest"}


def test_an_update_under_load_fails_no_request(side, pictures, tmp_path):
    source, cloud = next_version(tmp_path), connect()
    present = credentials(cloud)
    cloud.identity.create_application_credential(
        cloud.current_user_id, "guest-web-older", description="skylens:deployment=guest"
    )
    assert credentials(cloud) == present | {"guest-web-older"}
    with Load(side, pictures, RATE) as load:
        good(side.play("deploy.yml", source=source))
    say(f"update under load: {load.summary}")
    assert len(load.answers) > RATE
    assert load.failed == []
    assert release(side).startswith(NEXT_VERSION)
    assert credentials(cloud) == present


def test_a_rollback_under_load_fails_no_request_and_brings_the_release_before(side, pictures):
    with Load(side, pictures, RATE) as load:
        good(side.play("rollback.yml"))
    say(f"rollback under load: {load.summary}")
    assert load.failed == []
    assert release(side).startswith(f"{__version__}+") or release(side).startswith(f"{__version__}-")


def test_status_tells_of_release_fleet_and_queue(side):
    told = good(side.play("status.yml")).output
    assert release(side) in told
    assert "ready: yes" in told


def test_teardown_leaves_no_resource(side, before):
    good(side.play("teardown.yml", "-e", "skylens_confirm=guest"))
    assert differences(before, inventory(connect())) == {}
