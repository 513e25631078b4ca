"""What is simulated: the fleet's and the service's numbers."""

from dataclasses import dataclass

from autoscaler.simulator.distributions import Distribution, Fixed, Lognormal

BOOT = Lognormal.through(p50=30.0, p90=45.0)
SERVICE = Fixed(0.1)


@dataclass(frozen=True, kw_only=True)
class Model:
    """Times in seconds. The defaults are those of the project's comparison."""

    service: Distribution = SERVICE
    """Of work per image, on one slot."""
    boot: Distribution = BOOT
    """From the launch call to a ready worker."""
    leave: float = 0.0
    """From being told to leave to gone, of an instance without work: until it looks, and its long poll is over."""
    concurrency: int = 2
    """Images that one instance works on at once."""
    minimum: int = 0
    maximum: int = 20
    """Most instances, pending and draining ones counted."""
    goal: float = 2.0
    """Seconds from arrival to answer within which an image is in time."""
    minimum_bill: float = 60.0
    """EC2 bills an instance for at least that long."""
    deaths_per_hour: float = 0.0
    """Rate at which a ready instance dies; its images return to the queue after the visibility timeout."""
    visibility_timeout: float = 30.0
    sqs_lag: float = 30.0
    """Age of what SQS's counts show."""
    price: float = 0.08925
    """Dollars an hour of one instance."""
    initial: int = 0
    """Instances that are ready at the start."""
    seed: int = 1
