"""Writes and then removes the files that standard input names as JSON, and prints the paths of those that differed.

``{"wanted": [entry, ...], "absent": [path, ...]}``. Each file is written at once. An entry: path, mode, group, content
(a folder has none) and validate, a command that is given the new file before it takes its place. Folders on
the way are made. ``--check``: only says what it would do. Runs on the node, as root.
"""

import grp
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

NOBODYS = -1
"""The group of a file whose group comes with a package that check mode has not installed."""


def main() -> None:
    check = "--check" in sys.argv
    files = json.load(sys.stdin)
    for entry in files["wanted"]:
        path, mode, group = Path(entry["path"]), int(entry["mode"], 8), group_of(entry, check=check)
        content = entry["content"].encode() if entry.get("content") is not None else None
        if not differs(path, content, mode, group):
            continue
        if not check:
            write(path, content, mode, group, entry.get("validate", []))
        print(path)
    for path in map(Path, files["absent"]):
        if path.exists():
            if not check:
                path.unlink()
            print(path)


def group_of(entry: dict[str, Any], *, check: bool) -> int:
    try:
        return grp.getgrnam(entry.get("group", "root")).gr_gid
    except KeyError:
        if check:
            return NOBODYS
        raise


def differs(path: Path, content: bytes | None, mode: int, group: int) -> bool:
    try:
        found = path.stat()
        same = content is None or path.read_bytes() == content
    except OSError:
        return True
    return not same or (found.st_mode & 0o7777, found.st_uid, found.st_gid) != (mode, os.geteuid(), group)


def write(path: Path, content: bytes | None, mode: int, group: int, validate: list[str]) -> None:
    if content is None:
        path.mkdir(parents=True, exist_ok=True)
        own(path, mode, group)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    new.touch(0o600)
    new.write_bytes(content)
    if validate:
        done = subprocess.run([*validate, new], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)  # noqa: S603 - the role names the program
        if done.returncode:
            new.unlink()
            sys.exit(f"{path} would be wrong, and was left as it is: {done.stdout.decode(errors='replace')}")
    own(new, mode, group)
    new.replace(path)


def own(path: Path, mode: int, group: int) -> None:
    os.chown(path, os.geteuid(), group)
    path.chmod(mode)


main()
