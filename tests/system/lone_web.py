"""A web process by itself, which is not to start."""

import os
import subprocess
import sys


def start(**settings):
    """Exit status and standard error of a web tier with these settings, as they are without their prefix."""
    environ = {"PATH": os.environ["PATH"], "SKYLENS_LISTEN": "127.0.0.1:0", "SKYLENS_INTERNAL_LISTEN": "127.0.0.1:1"}
    environ |= {f"SKYLENS_{name}": value for name, value in settings.items()}
    environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    command = [sys.executable, "-m", "skylens.cli", "web"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stderr
