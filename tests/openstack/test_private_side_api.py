"""The private side's resources against OpenStack's real APIs; Nova has its fake driver, so no guest boots.

The tests are one story and run in this order; each needs what the one before it left.
"""

import random

import pytest
from neighbours import settle
from private_cloud import connect, differences, inventory
from scenario import Deployment

from skylens.nova import SdkNova, web_nodes

pytestmark = [pytest.mark.openstack, pytest.mark.timeout(1800), pytest.mark.xdist_group("openstack")]
NOTHING: dict[str, object] = {}


@pytest.fixture(scope="module")
def cloud(empty_cloud):
    """The project, with what others have in it."""
    settle(empty_cloud)
    return empty_cloud


@pytest.fixture(scope="module")
def before(cloud):
    return inventory(cloud)


@pytest.fixture(scope="module")
def lab(before, tmp_path_factory):
    return Deployment(tmp_path_factory.mktemp("lab"))


def good(run):
    assert run.rc == 0, run.output[-6000:]
    return run


def unchanged(run):
    assert good(run).stats["localhost"]["changed"] == 0, run.output
    return run


def names(cloud, kind):
    return {each.partition(" ")[0] for each in inventory(cloud)[kind]}


def servers(cloud):
    found = {server.name: server.id for server in cloud.compute.servers()}
    return {name: id_ for name, id_ in found.items() if name.startswith(("lab-web", "lab-balancer"))}


def credentials(cloud):
    return {name for name in names(cloud, "application credentials") if name.startswith("lab-web-")}


def test_check_mode_makes_nothing_in_an_empty_cloud(lab, cloud, before):
    assert good(lab.build("--check")).stats["localhost"]["changed"] > 3
    assert differences(before, inventory(cloud)) == NOTHING
    assert not (lab.folder / "secrets").exists()


def test_a_network_of_somebody_else_is_not_taken_for_ones_own(lab, cloud, before):
    theirs = cloud.network.create_network(name="lab-web")
    refused = lab.build()
    cloud.network.delete_network(theirs)
    assert refused.rc != 0
    assert "There is a network named lab-web that these playbooks did not make" in refused.output
    assert differences(before, inventory(cloud)) == NOTHING


def test_a_play_that_is_killed_anywhere_and_run_again_ends_with_the_whole(lab, cloud):
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    cloud.image.create_image(  # as a killed upload leaves it
        name="lab-image", disk_format="qcow2", container_format="bare", tags=["skylens:deployment=lab"]
    )
    # the rank of a task, of those that make something: anywhere in the three roles
    reached = [lab.killed("build", task, chance.uniform(0, 3)) for task in sorted(chance.sample(range(4, 38), 3))]
    print(f"seed {seed}: killed in", *reached, sep="\n  ")
    good(lab.build())
    assert list(servers(cloud)) == ["lab-web-1"]
    assert [image.status for image in cloud.image.images(name="lab-image")] == ["active"]
    (image,) = cloud.image.images(name="lab-image")
    assert (image.kernel_id, image.os_command_line) == (
        cloud.image.find_image("lab-image-kernel", ignore_missing=False).id,
        "root=/dev/vda",
    )
    assert len(credentials(cloud)) == 1
    assert sum("server=lab-web-1" in ip.description for ip in cloud.network.ips()) == 1


def test_a_second_run_and_check_mode_change_nothing(lab, cloud):
    whole = inventory(cloud)
    unchanged(lab.build())
    unchanged(lab.build("--check"))
    assert differences(whole, inventory(cloud)) == NOTHING


def test_only_the_proxy_is_open_to_clients(lab, cloud):
    group = cloud.network.find_security_group("lab-web", ignore_missing=False)
    doors = {
        (rule["port_range_min"], rule["remote_ip_prefix"] or rule["remote_group_id"])
        for rule in group.security_group_rules
        if rule["direction"] == "ingress"
    }
    assert doors == {(443, "0.0.0.0/0"), (22, "172.24.4.0/24"), (22, "2001:db8::/32"), (8081, group.id)}


def test_a_node_is_found_by_its_metadata_and_reached_by_its_floating_ip(lab, cloud, monkeypatch):
    found = lab.find()
    (address,) = [ip.floating_ip_address for ip in cloud.network.ips() if ip.description.endswith("server=lab-web-1")]
    assert found["web"] == {"lab-web-1": address}
    assert found["endpoint"] == f"https://{address}"
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(lab.folder / "secrets/clouds.yaml"))
    (node,) = web_nodes(SdkNova("skylens").servers(), "lab")  # as the autoscaler looks, with its own credential
    assert found["private"] == {"lab-web-1": node.address}


def test_the_tiers_credential_lists_servers_and_does_nothing_else(lab):
    with connect("skylens", lab.folder / "secrets/clouds.yaml") as tier:
        assert "lab-web-1" in {server.name for server in tier.compute.servers()}
        for path in ("/servers", "/os-keypairs", "/flavors"):
            assert tier.compute.get(path).status_code == 401
        assert tier.network.get("/networks").status_code == 401
        assert tier.compute.post("/servers", json={}).status_code == 401
    assert (lab.folder / "secrets").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o077 for path in (lab.folder / "secrets").iterdir() if path.suffix != ".pub"} == {0}


def test_nodes_come_and_go_and_addresses_stay(lab, cloud):
    first, one = lab.find()["web"], servers(cloud)
    good(lab.build(web_count=2, balancer="haproxy"))
    assert set(servers(cloud)) == {"lab-web-1", "lab-web-2", "lab-balancer"}
    found = lab.find(web_count=2, balancer="haproxy")
    assert found["web"].items() > first.items()
    assert found["balancer"] == ["lab-balancer"]
    assert found["endpoint"] not in {f"https://{address}" for address in found["web"].values()}
    group = cloud.network.find_security_group("lab-web", ignore_missing=False)
    door = cloud.network.find_security_group("lab-balancer", ignore_missing=False)
    assert {rule["remote_group_id"] for rule in group.security_group_rules if rule["port_range_min"] == 443} == {
        door.id
    }

    good(lab.build())
    assert servers(cloud) == one
    assert lab.find()["web"] == first
    assert "lab-balancer" not in names(cloud, "security groups")


def test_what_was_lost_is_made_anew_a_node_with_its_address_and_a_secret_with_its_credential(lab, cloud):
    address, old_servers = lab.find()["web"], servers(cloud)
    (old,) = credentials(cloud)
    cloud.compute.delete_server(old_servers["lab-web-1"])
    cloud.compute.wait_for_delete(cloud.compute.get_server(old_servers["lab-web-1"]), wait=120)
    for name in ("application-credential", "clouds.yaml"):
        (lab.folder / "secrets" / name).unlink()
    good(lab.build())
    assert servers(cloud) != old_servers
    assert lab.find()["web"] == address
    assert credentials(cloud) > {old}, "the nodes have the old one until the next deployment"
    good(lab.play("revoke"))
    (new,) = credentials(cloud)
    assert new != old
    with connect("skylens", lab.folder / "secrets/clouds.yaml") as tier:
        assert {server.name for server in tier.compute.servers()} >= {"lab-web-1"}


def test_a_teardown_wants_the_deployment_named(lab, cloud):
    whole = inventory(cloud)
    refused = lab.play("end")
    assert refused.rc != 0
    assert "skylens_confirm=lab" in refused.output
    assert differences(whole, inventory(cloud)) == NOTHING


def test_a_teardown_leaves_nothing_and_touches_nobody_else(lab, cloud, before):
    chance = random.Random()
    reached = [lab.killed("end", task, chance.uniform(0, 3)) for task in (5, chance.randrange(6, 14))]
    print("killed in", *reached, sep="\n  ")
    good(lab.end())
    assert differences(before, inventory(cloud)) == NOTHING
    unchanged(lab.end())
