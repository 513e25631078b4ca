"""Stand-ins for the AWS ports, for tests and simulations: they record, can be scripted to fail, and keep AWS's rules.

Unlike the emulators they run on an injected clock, so a test can let a visibility timeout or a boot pass at once, and
they can be late, deliver twice and refuse. Each lies in a file named as its port's.
"""

from skylens.fakes.cloudwatch import FakeCloudWatch
from skylens.fakes.groups import FakeGroup
from skylens.fakes.instances import FakeInstances
from skylens.fakes.queues import NOISY, FakeQueue, FakeQueues
from skylens.fakes.script import Script, aws_error
from skylens.fakes.store import FakeStore

__all__ = [
    "NOISY",
    "FakeCloudWatch",
    "FakeGroup",
    "FakeInstances",
    "FakeQueue",
    "FakeQueues",
    "FakeStore",
    "Script",
    "aws_error",
]
