"""``skylens worker``: its command line. What it runs is in ``app_aws.service``, imported only then."""

import argparse

_HELP = """\
Takes images from the deployment's queue, recognises them and answers, until there is a reason to leave.

Everything is set by SKYLENS_* variables (`skylens settings` lists them); on an instance, lines of the same form in
its user data count where the environment says nothing. The ones that matter most:

  SKYLENS_DEPLOYMENT       whose queues and buckets to use
  SKYLENS_MODEL            name of an installed model, name@version, or path of a model folder
  SKYLENS_SLOTS            images taken at once
  SKYLENS_IDLE_TIMEOUT     leave after so many seconds without work
  SKYLENS_ORPHAN_TIMEOUT   leave after so many seconds without work and without a living autoscaler
  SKYLENS_RESIDENT         never leave for either of these

It leaves, finishing what it has taken, on SIGTERM or SIGINT (twice: at once), a Spot notice, an Auto Scaling
termination, or the tag skylens:state=draining.
"""
_EPILOG = """\
exit status:
  0  left in order, everything taken is answered: the instance may be shut down
  1  left with work unfinished, or broken: that work reappears on the queue
  2  could not start; the reason is on standard error

example:
  SKYLENS_DEPLOYMENT=demo SKYLENS_MODEL=mobilenet skylens worker
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog = _HELP, _EPILOG


def run(args: argparse.Namespace) -> int:
    """Work until told to leave; the exit status."""
    del args
    from app_aws.service import run  # noqa: PLC0415 - help must not load boto3 and numpy

    return run()
