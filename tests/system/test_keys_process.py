"""A real web process with a keys file: keys let in, are changed under it, and never get into its log."""

import subprocess
import sys

import lone_web
import pytest
import requests


def skylens(path, *words):
    """Run ``skylens keys``; what it prints on standard output."""
    command = [sys.executable, "-m", "skylens.cli", "keys", "--file", str(path), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout.strip()


def ask(url, key, scheme="Bearer"):
    return requests.get(url, headers={"Authorization": f"{scheme} {key}"}, timeout=60).status_code


@pytest.mark.system
def test_keys_are_changed_under_a_running_process_and_never_logged(start, pictures, tmp_path):
    path = tmp_path / "keys.json"
    keys = {name: skylens(path, "add", "acme", "--note", name) for name in ("client", "rotated", "revoked")}
    keys["operator"] = skylens(path, "add", "ops", "--scope", "operate")
    keys["wrong"] = keys["client"][:-8] + "00000000"
    cloud = start("--max", "1", "--boot", "0", "--set", f"web.keys_file={path}", "--set", "all.log_level=DEBUG")
    name, data = pictures[0]

    def post(key, **more):
        headers = {"Authorization": f"Bearer {key}", "Prefer": "wait=60", **more}
        return requests.post(f"{cloud.url}/v1/images", files={"f": (name, data)}, headers=headers, timeout=90)

    answer = post(keys["client"])
    assert (answer.status_code, answer.json()["name"]) == (200, name)
    assert post(keys["wrong"]).status_code == 401
    assert post(keys["operator"]).status_code == 403
    assert post(keys["client"], **{"X-Request-ID": keys["client"]}).status_code == 200
    assert ask(f"{cloud.url}/metrics", keys["operator"]) == 200
    assert ask(f"{cloud.url}/metrics", keys["client"]) == 403
    assert ask(f"{cloud.url}/v1/images/{keys['client']}?key={keys['client']}", keys["client"]) == 404
    assert ask(f"{cloud.url}/v1/status", keys["client"], "Basic") == 401
    skylens(path, "revoke", keys["revoked"].split("_")[1])
    cloud.wait(lambda: ask(f"{cloud.url}/v1/status", keys["revoked"]) == 401, 30, "the revoked key is refused")
    keys["new"] = skylens(path, "rotate", keys["rotated"].split("_")[1], "--overlap", "1d")
    cloud.wait(lambda: ask(f"{cloud.url}/v1/status", keys["new"]) == 200, 30, "the new key lets in")
    assert ask(f"{cloud.url}/v1/status", keys["rotated"]) == 200
    good = path.read_bytes()
    path.write_text("{")
    cloud.wait(lambda: ask(f"{cloud.url}/v1/status", keys["new"]) == 200 and unread(cloud), 30, "the damage is logged")
    path.write_bytes(good)
    denied = [line for line in cloud.records("web-1") if line["event"] == "audit.denied"]
    assert {line["reason"] for line in denied} >= {"unknown_key", "scope", "no_key"}
    assert keys["client"].split("_")[1] in {line["key"] for line in denied}
    log = cloud.log("web-1")
    assert "http.request" in log
    for key in keys.values():
        assert key.split("_")[2] not in log
    assert "bearer" not in log.lower()


def unread(cloud):
    return [line for line in cloud.records("web-1") if line["event"] == "keys.not_read"]


@pytest.mark.parametrize(("text", "said"), [(None, "there is no keys file"), ("{", "is damaged")])
def test_a_web_process_does_not_start_without_a_good_file(tmp_path, text, said):
    path = tmp_path / "keys.json"
    if text:
        path.write_text(text)
        path.chmod(0o600)
    status, told = lone_web.start(KEYS_FILE=str(path))
    assert status == 2
    assert said in told
    assert "Traceback" not in told
