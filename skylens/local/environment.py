"""What a child of the embedded cloud gets to see: a few harmless variables and the emulators, nothing else.

Built from nothing, not by removal: no profile, key, endpoint, proxy or SKYLENS_ setting of the user's own can slip
through, so no child can ever reach a real AWS account.
"""

import os
from collections.abc import Mapping
from pathlib import Path

KEPT = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "XDG_DATA_HOME", "PYTHONPATH")
REGION = "us-east-1"
KEY = "skylens-local"


def base(source: Mapping[str, str], temporary: Path) -> dict[str, str]:
    """The variables of ``source`` that every child keeps; its temporary files go to ``temporary``."""
    return {name: source[name] for name in KEPT if name in source} | {
        "TMPDIR": str(temporary),
        "PYTHONUNBUFFERED": "1",
        "PYTHONSAFEPATH": "1",  # a file called json.py where the user stands is not ours to import
        "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime would report to its maker
    }


def aws(control: str, data: str) -> dict[str, str]:
    """Variables that make any AWS SDK talk to the emulators: ``data`` for S3 and SQS, ``control`` for all else."""
    return {
        "AWS_ENDPOINT_URL": control,
        "AWS_ENDPOINT_URL_S3": data,
        "AWS_ENDPOINT_URL_SQS": data,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": KEY,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
