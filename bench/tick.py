"""What one tick of the autoscaler costs with a thousand instances, and how its calls of AWS grow.

Prints the median, 90th percentile and largest CPU milliseconds of a tick, beside those with 20 instances, and the calls
of AWS a tick for a little and for a lot of traffic. EC2 and SQS are real boto3 clients against a stub of the network
that answers at once with XML and JSON as AWS does, so that parsing is in the figures; nothing leaves the process.

The first tick of whoever takes over reads all instances in one step, which takes 0.4 s; it is not in the figures.

Exit status 1 when the median tick with a thousand instances is above 50 ms, or when traffic adds calls.
"""

import io
import statistics
import sys
import time
from collections import Counter
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config

from autoscaler.fleets.ec2 import Ec2Fleet, places
from autoscaler.lease import Lease
from autoscaler.ledger import Accounts
from autoscaler.listener import Listener
from autoscaler.loop import Loop, Parts
from autoscaler.memory import Memory, Minds
from autoscaler.metrics import Metrics
from autoscaler.policies import make
from autoscaler.prices import Prices
from autoscaler.roster import Roster
from autoscaler.signals import Signals, Sources
from autoscaler.trouble import Troubles
from skylens import logs
from skylens.clock import FakeClock
from skylens.fakes import FakeQueue, FakeStore
from skylens.instances import Ec2Instances
from skylens.messages import Demand, FleetReport, WorkerEvent, encode
from skylens.queues import SqsQueue
from skylens.settings import ScalerSettings

LIMIT_MS = 50.0
TICKS = 120
NODE = "http://web"
"""One instance as DescribeInstances tells it."""
INSTANCE = """<item><reservationId>r-{n:017x}</reservationId><ownerId>123456789012</ownerId><instancesSet><item>
<instanceId>i-{n:017x}</instanceId><imageId>ami-0123456789abcdef0</imageId><instanceState><code>16</code>
<name>running</name></instanceState><privateDnsName>ip-10-0-0-1.ec2.internal</privateDnsName><amiLaunchIndex>0
</amiLaunchIndex><instanceType>c7i.large</instanceType><launchTime>2026-01-01T10:00:00.000Z</launchTime><placement>
<availabilityZone>us-east-1a</availabilityZone><tenancy>default</tenancy></placement><monitoring><state>disabled</state>
</monitoring><subnetId>subnet-1</subnetId><vpcId>vpc-1</vpcId><privateIpAddress>10.0.0.1</privateIpAddress>
<groupSet><item><groupId>sg-1</groupId><groupName>workers</groupName></item></groupSet><architecture>x86_64</architecture>
<rootDeviceType>ebs</rootDeviceType><rootDeviceName>/dev/xvda</rootDeviceName><blockDeviceMapping><item>
<deviceName>/dev/xvda</deviceName><ebs><volumeId>vol-1</volumeId><status>attached</status>
<attachTime>2026-01-01T10:00:00.000Z</attachTime><deleteOnTermination>true</deleteOnTermination></ebs></item>
</blockDeviceMapping><tagSet><item><key>skylens:deployment</key><value>bench</value></item><item><key>Name</key>
<value>worker</value></item></tagSet><networkInterfaceSet><item><networkInterfaceId>eni-1</networkInterfaceId>
<status>in-use</status><privateIpAddress>10.0.0.1</privateIpAddress><attachment><attachmentId>eni-attach-1</attachmentId>
<deviceIndex>0</deviceIndex><status>attached</status></attachment></item></networkInterfaceSet><metadataOptions>
<state>applied</state><httpTokens>required</httpTokens></metadataOptions></item></instancesSet></item>"""


class Network:
    """Answers botocore's requests, and counts them by operation."""

    def __init__(self, instances: int) -> None:
        self.calls: Counter[str] = Counter()
        self._items = [INSTANCE.format(n=number) for number in range(instances)]

    def client(self, service: str) -> Any:
        made = boto3.client(
            service,
            region_name="us-east-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",
            config=Config(retries={"total_max_attempts": 1}),
        )
        made.meta.events.register("before-send", lambda request, **_: self._answer(service, request))
        return made

    def _answer(self, service: str, request: AWSPreparedRequest) -> AWSResponse:
        if service == "sqs":
            self.calls["GetQueueAttributes"] += 1
            return _response(
                request.url,
                b'{"Attributes": {"ApproximateNumberOfMessages": "3", "ApproximateNumberOfMessagesNotVisible": "2"}}',
                "application/x-amz-json-1.0",
            )
        asked = dict(parse_qsl(request.body))
        self.calls[asked["Action"]] += 1
        first, most = int(asked.get("NextToken", 0)), int(asked.get("MaxResults", 1000))
        more = f"<nextToken>{first + most}</nextToken>" if first + most < len(self._items) else ""
        body = (
            '<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId>'
            f"<reservationSet>{''.join(self._items[first : first + most])}</reservationSet>{more}"
            "</DescribeInstancesResponse>"
        )
        return _response(request.url, body.encode(), "text/xml")


def _response(url: str, body: bytes, kind: str) -> AWSResponse:
    raw = SimpleNamespace(stream=lambda **_: iter([body]), read=io.BytesIO(body).read)
    return AWSResponse(url, 200, {"content-type": kind, "x-amzn-requestid": "r", "content-length": str(len(body))}, raw)


class Web:
    """One web node with ``rate`` images a second."""

    def __init__(self, clock: FakeClock, rate: int) -> None:
        self._clock, self._rate = clock, rate

    def demands(self) -> dict[str, Demand | None]:
        now, each = self._clock.now(), (self._rate,) * 120
        return {
            NODE: Demand(
                node="web",
                at=now,
                started=now - 3600,
                arrivals=each,
                completions=each,
                outstanding=self._rate // 10,
                oldest=0.1,
                service_times=(0.1,) * 200,
            )
        }

    def tell(self, report: FleetReport) -> dict[str, bool]:
        encode(report)
        return {NODE: True}


def measure(instances: int, rate: int) -> tuple[list[float], Counter[str]]:
    """CPU milliseconds of each tick, and the calls of AWS in all."""
    time_, network = FakeClock(), Network(instances)
    clock, metrics = time_.clock(), Metrics()
    settings = ScalerSettings(web_nodes=NODE, maximum=1000, minimum=instances, deployment="bench")
    troubles, roster, policy = Troubles(metrics), Roster(clock), make(settings)
    web, store, accounts = Web(time_, rate), FakeStore(clock), Accounts(Prices(), ())
    queue = SqsQueue(network.client("sqs"), None, "https://sqs.us-east-1.amazonaws.com/1/bench-requests")
    fleet = Ec2Fleet(Ec2Instances(network.client("ec2"), "bench", "bench-worker"), places((), (), spot=False), clock)
    events = FakeQueue(clock)
    listener = Listener(events, roster, troubles, clock)
    lease = Lease(store, "bench", settings.lease_seconds, clock)
    sources = Sources(web, queue, fleet, roster, listener, accounts)
    memory = Memory(store, lease, Minds(roster, accounts, policy, settings.policy), troubles, clock)
    signals = Signals(sources, settings, troubles, clock)
    parts = Parts(signals, policy, fleet, roster, listener, lease, memory, web, metrics, troubles)
    loop, took = Loop(parts, settings, clock), []
    loop.tick()
    for tick in range(TICKS):
        time_.sleep(1)
        for number in range(instances):
            beat = WorkerEvent(
                kind="heartbeat",
                instance=f"i-{number:017x}",
                at=clock.now() + tick / 1e6,
                in_flight=1,
                slots=2,
                cpu=50.0,
            )
            roster.hear(beat, clock.now())
        began = time.process_time()
        loop.tick()
        took.append((time.process_time() - began) * 1000)
    return took, network.calls


def show(name: str, took: list[float]) -> None:
    p90 = statistics.quantiles(took, n=10)[-1]
    print(f"{name:>16}  median {statistics.median(took):6.2f} ms  P90 {p90:6.2f} ms  largest {max(took):6.2f} ms")


def main() -> int:
    logs.configure("ERROR", "json", "bench")
    few, _ = measure(20, 10)
    many, quiet = measure(1000, 10)
    loaded, busy = measure(1000, 10_000)
    show("20 instances", few)
    show("1,000 instances", many)
    show("and 10,000/s", loaded)
    for name in sorted(quiet | busy):
        print(f"{name:>20}: {quiet[name] / TICKS:.2f} calls a tick at 10/s, {busy[name] / TICKS:.2f} at 10,000/s")
    middle = statistics.median(many)
    print(f"a thousand instances cost {middle / statistics.median(few):.1f} times what 20 do; limit {LIMIT_MS:g} ms")
    return int(statistics.median(many + loaded) > LIMIT_MS or quiet != busy)


if __name__ == "__main__":
    sys.exit(main())
