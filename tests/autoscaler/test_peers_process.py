"""The autoscaler's process finds its web node in Nova, through openstacksdk, Keystone and HTTP."""

import json
import os
import signal
import subprocess
import sys
import time

import moto_cloud
from openstack_cloud import raw, serving_openstack
from web_node import Node, serving

from skylens.messages import Demand, encode


def test_the_process_reads_the_demand_of_the_node_that_nova_shows(tmp_path):
    now = time.time()
    demand = Demand(
        node="web-1",
        at=now,
        started=now - 3600,
        arrivals=(8, 0),
        completions=(0, 0),
        outstanding=8,
        oldest=1.0,
        service_times=(),
    )
    with moto_cloud.serving_moto() as moto, serving(Node(encode(demand))) as web, serving_openstack() as cloud:
        cloud.shown = [raw("web-1", "127.0.0.1", port=web.server_port)]
        moto_cloud.template(moto_cloud.client("ec2", moto), "skylens-worker")
        for kind in ("requests", "events"):
            moto_cloud.client("sqs", moto).create_queue(QueueName=f"skylens-{kind}")
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SKYLENS_")},
            **moto_cloud.AWS,
            "AWS_ENDPOINT_URL": moto,
            "AWS_ENDPOINT_URL_S3": moto,
            "OS_CLIENT_CONFIG_FILE": str(cloud.clouds(tmp_path)),
            "SKYLENS_NOVA_CLOUD": "private",
            "SKYLENS_TICK_SECONDS": "0.1",
            "SKYLENS_POLICY": "greedy",
        }
        command = [sys.executable, "-m", "skylens.cli", "scaler", "--dry-run"]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            lines = []
            for line in map(json.loads, process.stdout):
                lines.append(line)
                if line["event"] == "scaler.decision" and line["outstanding"] == 8 and "demand" not in line["stale"]:
                    break
            process.send_signal(signal.SIGTERM)
            rest, _ = process.communicate(timeout=60)
    (changed,) = [line for line in lines if line["event"] == "nodes.changed"]
    assert changed["nodes"] == {web.url: "web-1"}
    assert (process.returncode, json.loads(rest.splitlines()[-1])["event"]) == (0, "scaler.stopped")
