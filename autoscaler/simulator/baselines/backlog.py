"""The queue length that an operator would let each instance have."""

from autoscaler.simulator.model import Model


def acceptable(model: Model) -> float:
    """Images that one instance works off within the latency goal, at least 1.

    Source: Amazon EC2 Auto Scaling User Guide, "Scaling policy based on Amazon SQS": acceptable latency over the mean
    processing time. An instance here works on ``concurrency`` images at once, which multiplies it.
    """
    return max(1.0, model.concurrency * model.goal / model.service.mean)
