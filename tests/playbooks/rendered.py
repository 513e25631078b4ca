"""The files that the playbooks write on a web node, without a web node; and programs that a laptop may lack."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from playbook import PLAYBOOKS, run

ROLES = PLAYBOOKS / "roles"


def need(program: str) -> str:
    """The program's path. A laptop may lack it, CI may not."""
    found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if not found:
        missing = f"{program} is not installed"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    return found


def render(folder: Path, role: str, files: dict[str, tuple[str, Any]], **settings: Any) -> None:
    """Write ``files`` below ``folder`` from the role's templates: by file name, the template and the loop's ``item``.

    ``settings``: as a user would set them, beside those of group_vars (``skylens_root``), which only a test sets.
    """
    folder.mkdir(exist_ok=True)
    if not (folder / "group_vars").exists():
        (folder / "group_vars").symlink_to(PLAYBOOKS / "group_vars")
    tasks = [
        {
            "ansible.builtin.template": {"src": str(ROLES / role / "templates" / template), "dest": str(folder / name)},
            "vars": {"item": item},
        }
        for name, (template, item) in files.items()
    ]
    own = str(ROLES / role / "vars" / "main.yml")
    play = {"hosts": "localhost", "gather_facts": False, "vars_files": [own], "tasks": tasks}
    (folder / "play.json").write_text(json.dumps([play]))
    defaults = yaml.safe_load((ROLES / "skylens" / "defaults" / "main.yml").read_text())
    extra = {"skylens_source": str(PLAYBOOKS.parent), "skylens_open_door": True, **settings}
    done = run(folder / "play.json", defaults, {}, "-e", json.dumps(extra), folder=folder)
    assert done.rc == 0, done.output
