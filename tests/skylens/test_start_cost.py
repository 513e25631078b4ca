"""A tier does not pay at each start for what only the command line shows."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("room", ["app_aws.service", "web_openstack.main"])
def test_a_tier_starts_without_the_command_lines_tables(room):
    script = f"import sys, {room}; from skylens import logs; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0


def test_tables_can_still_be_drawn_after_logs_were_imported():
    script = "from skylens import logs; import rich.table, rich.console; logs.configure('INFO', 'text', 'web')"
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0
