"""moto's server as the embedded cloud runs it, and what the playbooks would have made in it."""

import base64
import contextlib
import os
import socket
import subprocess
import sys
import time

import boto3
import httpx2

AWS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}
SUSPENDED = ["ReplaceUnhealthy", "AZRebalance", "AlarmNotification"]


def until(condition):
    deadline = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited for a minute"
        time.sleep(0.1)
    return found


@contextlib.contextmanager
def serving_moto():
    """The server's address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen(
        [sys.executable, "-m", "skylens.local.moto_server", "-H", "127.0.0.1", "-p", str(port)],
        env={**os.environ, "MOTO_EC2_LOAD_DEFAULT_AMIS": "false"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        address = f"http://127.0.0.1:{port}"
        until(lambda: answers(f"{address}/moto-api/"))
        yield address
        server.terminate()


def answers(url):
    try:
        return httpx2.get(url, timeout=5, trust_env=False).status_code == 200
    except httpx2.HTTPError:
        return False


def client(service, address):
    return boto3.client(
        service,
        region_name="us-east-1",
        endpoint_url=address,
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )


def template(ec2, name, lines="SKYLENS_MODEL=cifar10\n"):
    encoded = base64.b64encode(lines.encode()).decode()
    ec2.create_launch_template(
        LaunchTemplateName=name,
        LaunchTemplateData={"ImageId": "ami-00000000000000000", "InstanceType": "c7i.large", "UserData": encoded},
    )


def group(autoscaling, deployment, maximum, *, suspended=SUSPENDED):
    """The Auto Scaling group of fleet ``asg``; its name."""
    name = f"{deployment}-workers"
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName=name,
        LaunchTemplate={"LaunchTemplateName": f"{deployment}-worker"},
        MinSize=0,
        MaxSize=maximum,
        DesiredCapacity=0,
        AvailabilityZones=["us-east-1a"],
        NewInstancesProtectedFromScaleIn=True,
        Tags=[{"Key": "skylens:deployment", "Value": deployment, "PropagateAtLaunch": True}],
    )
    if suspended:
        autoscaling.suspend_processes(AutoScalingGroupName=name, ScalingProcesses=suspended)
    return name
