"""What another project shares with ours is never taken for the deployment's, whatever its name and description say."""

import json

from neutron import PROJECT, answering
from playbook import PLAYBOOKS, run

OTHER = "b" * 32
MARK = "skylens:deployment=lab"


def thing(id_, name, project=PROJECT, **more):
    return {"id": id_, "name": name, "description": MARK, "project_id": project, "tenant_id": project, **more}


def group(id_, name, project=PROJECT):
    return thing(id_, name, project, security_group_rules=[])


def play(folder, role, tasks):
    """Play these tasks of a role as if all settings were known to be good."""
    (folder / "group_vars").symlink_to(PLAYBOOKS / "group_vars")
    words = [("skylens", "project"), (role, tasks)]
    steps = [{"ansible.builtin.import_role": {"name": name, "tasks_from": file}} for name, file in words]
    defaults = {"group/openstack.cloud.openstack": {"cloud": "lab"}}
    book = [{"hosts": "localhost", "gather_facts": False, "module_defaults": defaults, "tasks": steps}]
    (folder / "play.json").write_text(json.dumps(book))
    variables = {"skylens_checked": True, "skylens_source": str(PLAYBOOKS.parent), "skylens_sides": ["openstack"]}
    variables |= {"skylens_deployment": "lab", "skylens_cloud": "lab"}
    env = {"OS_CLIENT_CONFIG_FILE": str(folder / "clouds.yaml"), "NO_PROXY": "127.0.0.1"}
    env["ANSIBLE_ROLES_PATH"] = str(PLAYBOOKS / "roles")
    return run(folder / "play.json", {}, env, "-e", json.dumps(variables), folder=folder)


def test_nothing_is_built_on_what_is_shared_under_our_name_and_mark(tmp_path):
    kinds = ("network", "subnet", "security_group")
    with answering(tmp_path, **{f"{kind}s": [group(f"their-{kind}", "lab-web", OTHER)] for kind in kinds}):
        done = play(tmp_path, "openstack_network", "main")
    assert done.rc == 2
    said = " ".join(done.output.split())
    for kind in kinds:
        assert f"There is a {kind.replace('_', ' ')} named lab-web that these playbooks did not make" in said
        assert f"their-{kind} is of another project, which shares it with yours" in said
    assert done.stats["localhost"]["changed"] == 0


def test_our_own_under_our_name_and_mark_is_good(tmp_path):
    own = {
        "networks": [thing("n", "lab-web")],
        "security_groups": [group("g", "lab-web"), group("x", "default", OTHER)],
    }
    with answering(tmp_path, **own):
        done = play(tmp_path, "openstack_network", "names")
    assert done.rc == 0, done.output


def test_a_teardown_leaves_what_is_shared_alone(tmp_path):
    def both(make, kind, name="lab-web"):
        return [make(f"our-{kind}", name), make(f"their-{kind}", name, OTHER)]

    addresses = [
        thing(id_, None, project, floating_ip_address="192.0.2.7", description=f"{MARK} server=lab-web-1")
        for id_, project in (("our-address", PROJECT), ("their-address", OTHER))
    ]
    things = {
        "networks": both(thing, "network"),
        "routers": both(thing, "router"),
        "security_groups": [*both(group, "group"), *both(group, "door", "lab-balancer")],
        "floatingips": addresses,
    }
    with answering(tmp_path, **things) as server:
        done = play(tmp_path, "openstack_teardown", "network")
    assert done.rc == 0, done.output
    assert sorted(server.gone) == ["our-address", "our-door", "our-group", "our-network", "our-router"]
