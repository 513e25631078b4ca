import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from skylens.errors import SettingsError
from skylens.local import state
from skylens.local.folder import RunFolder


def test_a_run_leaves_nothing_but_the_logs_that_were_asked_for(tmp_path):
    logs = tmp_path / "logs"
    folder = RunFolder(logs, tmp_path)
    (folder.temporary / "file").write_text("x")
    (folder.logs / "web-1.log").write_text("x")
    folder.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]
    assert [path.name for path in logs.iterdir()] == ["web-1.log"]


def test_logs_that_cannot_be_written_are_refused_and_leave_nothing(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"--keep-logs: cannot write in .*/file/logs: Not a directory"):
        RunFolder(tmp_path / "file" / "logs", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_state_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="--state: cannot write in"):
        state.prepare(tmp_path / "file" / "state.json")
    with pytest.raises(SettingsError, match="is a folder"):
        state.prepare(tmp_path)
    state.prepare(tmp_path / "new" / "state.json")
    assert [path.name for path in (tmp_path / "new").iterdir()] == []


def test_the_folder_of_a_living_run_is_left_alone(tmp_path):
    first = RunFolder(parent=tmp_path)
    second = RunFolder(parent=tmp_path)
    assert first.temporary.exists()
    first.remove()
    second.remove()


def test_the_folder_of_a_killed_run_is_removed_by_the_next(tmp_path):
    program = f"""
from pathlib import Path
from skylens.local.folder import RunFolder
print(RunFolder(parent=Path({str(tmp_path)!r})).path, flush=True)
import threading; threading.Event().wait()
"""
    killed = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    left = Path(killed.stdout.readline().strip())
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    killed.stdout.close()
    assert left.exists()
    RunFolder(parent=tmp_path).remove()
    assert not left.exists()
