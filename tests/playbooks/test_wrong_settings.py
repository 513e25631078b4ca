"""A wrong or missing variable stops every playbook before anything is made, and the message says which, and why."""

import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from aws_emulators import client, emulated
from playbook import PLAYBOOKS, run
from wrong import RIGHT, Wrong, wrong

CHECK = """\
- name: Check the settings
  hosts: all:!localhost
  gather_facts: false
  roles: [skylens]
"""
# One or two of each way in which a setting is refused; test_setting_rules.py has the rules one by one.
TABLE = [
    wrong("aws, openstack & azure", sides=["azure"]),
    wrong("zwei & int", web_count="zwei"),
    wrong("'2' & without quotes & on the command line", web_count="2"),
    wrong("true or false", open_door="yes"),
    wrong("ec2, asg, alarms & manual", fleet="manual"),
    wrong("is missing & clouds.yaml", cloud=""),
    wrong("is 30 & skylens_maximum, which is 20", minimum=30),
    wrong("SKYLENS_LOG_LEVLE & SKYLENS_LOG_LEVEL?", settings={"log_levle": "INFO"}),
    wrong("SKYLENS_POLICY='clever'", scaler_settings={"policy": "clever"}),
    wrong("set skylens_maximum instead", scaler_settings={"maximum": 7}),
    wrong("no variable of the playbooks & skylens_web_count?", web_coutn=1),
    Wrong({"skylens_api_keys": ["{{ vault_api_key }}"]}, ("'vault_api_key' is undefined",)),
]
NAMES = [f"{number:02}-{next(iter(line.variables))}" for number, line in enumerate(TABLE)]
PLAYS = sorted(path.name for path in PLAYBOOKS.glob("*.yml") if path.name != "requirements.yml")


@pytest.fixture(scope="module")
def messages(tmp_path_factory):
    """The message for each line of the table: one run, each line a host."""
    folder = tmp_path_factory.mktemp("table")
    (folder / "check.yml").write_text(CHECK)
    shutil.copytree(PLAYBOOKS / "group_vars", folder / "group_vars")
    hosts = {name: {**RIGHT, **line.variables} for name, line in zip(NAMES, TABLE, strict=True)} | {"right": RIGHT}
    env = {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json", "ANSIBLE_ROLES_PATH": str(PLAYBOOKS / "roles")}
    source = f"skylens_source={PLAYBOOKS.parent}"
    done = run(folder / "check.yml", {}, env, "--forks", "2", "-e", source, folder=folder, hosts=hosts)
    report, _ = json.JSONDecoder().raw_decode(done.output, done.output.index("{\n"))
    told = dict.fromkeys(hosts, "")
    for play in report["plays"]:
        for task in play["tasks"]:
            for host, result in task["hosts"].items():
                if result.get("failed"):
                    told[host] += result["msg"]
    return told


@pytest.mark.parametrize(("name", "line"), list(zip(NAMES, TABLE, strict=True)), ids=NAMES)
def test_the_message_says_what_is_wrong_and_why(name, line, messages):
    for words in line.told:
        assert words in messages[name]


def test_right_settings_pass(messages):
    assert messages["right"] == ""


class Recorder(BaseHTTPRequestHandler):
    """A cloud that answers every call with an error, and remembers it."""

    def _record(self) -> None:
        self.server.calls.append(f"{self.command} {self.path}")
        self.send_error(400)

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = _record  # noqa: N815 - names of the standard library

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def clouds(tmp_path):
    """Both clouds' endpoints: (environment that leads there, calls so far)."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as server:
        server.calls = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        auth = {"auth_url": url, "username": "u", "password": "p", "project_name": "p"}
        (tmp_path / "clouds.yaml").write_text(json.dumps({"clouds": {"lab": {"auth": auth}}}))
        yield (
            {
                "AWS_ENDPOINT_URL": url,
                "AWS_ACCESS_KEY_ID": "testing",
                "AWS_SECRET_ACCESS_KEY": "testing",
                "AWS_MAX_ATTEMPTS": "1",
                "AWS_EC2_METADATA_DISABLED": "true",
                "OS_CLIENT_CONFIG_FILE": str(tmp_path / "clouds.yaml"),
                "NO_PROXY": "127.0.0.1",
            },
            server.calls,
        )
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("playbook", PLAYS)
def test_no_playbook_calls_a_cloud_with_a_wrong_setting(playbook, clouds, tmp_path):
    env, calls = clouds
    done = run(playbook, {**RIGHT, "skylens_minimum": 30}, env, folder=tmp_path)
    assert done.rc == 2
    assert "skylens_minimum is 30" in done.output
    assert sum(counts["changed"] for counts in done.stats.values()) == 0
    assert calls == []


def test_with_right_settings_the_clouds_are_called(clouds, tmp_path):
    env, calls = clouds
    assert run("provision.yml", RIGHT, env, folder=tmp_path).rc == 2
    assert calls


def test_a_cloud_that_clouds_yaml_lacks_is_named_before_anything_is_made(clouds, tmp_path):
    env, calls = clouds
    settings = {**RIGHT, "skylens_sides": ["openstack"], "skylens_cloud": "elsewhere"}
    done = run("provision.yml", settings, env, folder=tmp_path)
    assert done.rc == 2
    assert "for skylens_cloud elsewhere" in done.output
    assert calls == []


def test_a_zone_that_the_region_lacks_is_named_before_anything_is_made(tmp_path):
    settings = {"skylens_sides": ["aws"], "skylens_zones": ["us-east-1a", "us-east-1q"]}
    with emulated(tmp_path) as variables:
        done = run("provision.yml", settings, variables, folder=tmp_path)
        buckets = client(variables, "s3").list_buckets()["Buckets"]
    assert done.rc == 2
    assert "skylens_zones is us-east-1a, us-east-1q; this account has us-east-1a, us-east-1b" in done.output
    assert buckets == []


def test_what_somebody_else_has_under_our_names_is_told_before_anything_is_made(tmp_path):
    settings = {"skylens_sides": ["aws"]}
    with emulated(tmp_path) as variables:
        client(variables, "iam").create_role(RoleName="skylens-web", AssumeRolePolicyDocument="{}")
        queues = client(variables, "sqs")
        queues.create_queue(QueueName="skylens-events", tags={"team": "somebody's"})
        queues.create_queue(QueueName="skylens-requests")  # as a play leaves it that was cut off
        client(variables, "s3").create_bucket(Bucket="skylens-input")
        client(variables, "s3").create_bucket(Bucket="skylens-state")
        client(variables, "s3").put_object(Bucket="skylens-state", Key="theirs", Body=b"theirs")
        queues.send_message(
            QueueUrl=queues.create_queue(QueueName="skylens-requests-dead")["QueueUrl"], MessageBody="x"
        )
        named = [{"Key": "Name", "Value": "skylens-workers"}, {"Key": "team", "Value": "theirs"}]
        ec2 = client(variables, "ec2")
        ec2.create_tags(Resources=[ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]], Tags=named)
        ec2.create_launch_template(
            LaunchTemplateName="skylens-worker",
            LaunchTemplateData={"ImageId": "ami-12345678"},
            TagSpecifications=[{"ResourceType": "launch-template", "Tags": named}],
        )
        done = run("provision.yml", settings, variables, folder=tmp_path)
        tagged = [queues.list_queue_tags(QueueUrl=url).get("Tags") for url in queues.list_queues()["QueueUrls"]]
        baked = run("bake.yml", settings, variables, folder=tmp_path)
    assert done.rc == 2
    for taken in (
        *("roles: skylens-web", "queues: skylens-events", "queues: skylens-requests-dead", "buckets: skylens-state"),
        *("vpcs: skylens-workers", "templates: skylens-worker"),
    ):
        assert f"{taken} has the name but not the tag skylens:deployment=skylens" in baked.output
        assert f"{taken} has the name but not the tag skylens:deployment=skylens" in done.output
    for free in ("queues: skylens-requests ", "buckets: skylens-input "):
        assert free not in done.output
    assert "Choose another skylens_deployment" in done.output
    assert sorted(map(str, tagged)) == sorted(map(str, [{"team": "somebody's"}, {}, {}]))
