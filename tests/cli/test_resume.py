"""A run of ``skylens classify`` that is killed in the middle goes on where it stopped."""

import json
import signal
import time

import pytest

from skylens.cli import main
from tests.cli import scripted
from tests.cli.scripted import journals

DEADLINE = 30.0


@pytest.fixture
def many(tmp_path):
    top = tmp_path / "many"
    top.mkdir()
    for number in range(40):
        (top / f"{number:03}.png").write_bytes(f"picture {number}".encode())
    return top


def start(service, folder, *words):
    return scripted.start("classify", folder, "--url", service.url, "--jobs", "4", *words)


def until(condition):
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def journaled(home):
    return [json.loads(line)["result"]["name"] for path in journals(home) for line in path.read_bytes().splitlines()]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("form", ["json", "ndjson"])
def test_no_image_is_asked_for_again_once_its_result_was_kept_and_none_is_missing(service, many, home, how, form):
    service.hold_after = 15
    first = start(service, many, "--format", form)
    until(lambda: len(journaled(home)) == 15 and len(service.posts) == 19)
    first.send_signal(how)
    _, err = first.communicate(timeout=DEADLINE)
    kept = journaled(home)
    assert len(kept) == 15
    if how == signal.SIGINT:
        assert first.returncode == 130
        assert "same command again" in err
        assert "Traceback" not in err
    service.release.set()

    second = start(service, many, "--format", form)
    out, err = second.communicate(timeout=DEADLINE)
    assert second.returncode == 0, err
    assert "15 of 40" in err
    times = service.times()
    assert [times[name] for name in kept] == [1] * 15
    assert len(times) == 40
    items = json.loads(out) if form == "json" else [json.loads(line) for line in out.splitlines()]
    names = [item["path"].rpartition("/")[2] for item in items]
    assert sorted(names) == sorted(path.name for path in many.iterdir())
    assert form == "ndjson" or names == sorted(names)
    assert journals(home) == []


def test_images_under_way_at_the_kill_are_the_same_jobs_afterwards(service, many, home):
    service.hold_after = 3
    first = start(service, many)
    until(lambda: len(service.posts) == 7)
    first.kill()
    first.communicate(timeout=DEADLINE)
    service.release.set()
    second = start(service, many)
    second.communicate(timeout=DEADLINE)
    assert second.returncode == 0
    keys = {}
    for name, key, *_ in service.posts:
        assert keys.setdefault(name, key) == key
    assert len(keys) == 40


def test_sigint_while_every_image_waits_to_be_tried_again_ends_at_once(service, many):
    for path in many.iterdir():
        service.script[path.name].append((503, b"", {"Retry-After": "500"}))
    first = start(service, many)
    until(lambda: len(service.posts) == 4)
    until(lambda: "trying again" in first.stderr.readline())
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=DEADLINE)
    assert first.returncode == 130


def interrupted(service, many, home, keep):
    """A journal of ``keep`` results, from a run that was killed."""
    service.hold_after = keep
    first = start(service, many)
    until(lambda: len(journaled(home)) == keep)
    until(lambda: len(service.posts) == keep + 4)  # those under way have come in as well, so none comes in later
    first.kill()
    first.communicate(timeout=DEADLINE)
    service.release.set()
    service.posts.clear()


def test_a_half_written_last_line_costs_only_that_image(service, many, home):
    interrupted(service, many, home, 10)
    (journal,) = journals(home)
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-1]) + lines[-1][:40])
    assert main(["classify", str(many), "--url", service.url]) == 0
    assert sum(service.times().values()) == 31


def test_a_line_of_another_release_costs_only_that_image(service, many, home):
    interrupted(service, many, home, 10)
    (journal,) = journals(home)
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([b'{"v": 99}\n', *lines[1:]]))
    assert main(["classify", str(many), "--url", service.url]) == 0
    assert sum(service.times().values()) == 31


def test_a_file_that_changed_since_is_sent_again(service, many, home, capsys):
    interrupted(service, many, home, 10)
    changed = journaled(home)[0]
    (many / changed).write_bytes(b"another picture, longer than before")
    assert main(["classify", str(many), "--url", service.url, "--format", "json"]) == 0
    assert service.times()[changed] == 1
    assert sum(service.times().values()) == 31
    assert len(json.loads(capsys.readouterr().out)) == 40


def test_fresh_ignores_the_journal(service, many, home):
    interrupted(service, many, home, 10)
    assert main(["classify", str(many), "--url", service.url, "--fresh"]) == 0
    assert sum(service.times().values()) == 40


def test_another_question_has_another_journal(service, many, home):
    interrupted(service, many, home, 10)
    assert main(["classify", str(many), "--url", service.url, "--top", "1"]) == 0
    assert sum(service.times().values()) == 40
    assert len(journals(home)) == 1


def test_the_same_command_twice_at_once_is_refused(service, many, home, capsys):
    service.hold_after = 0
    first = start(service, many)
    until(lambda: len(service.posts) == 4)
    assert main(["classify", str(many), "--url", service.url]) == 2
    assert "already running" in capsys.readouterr().err
    service.release.set()
    first.communicate(timeout=DEADLINE)
    assert first.returncode == 0


def test_where_no_journal_can_be_written_it_works_without(service, many, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert main(["classify", str(many), "--url", service.url]) == 0
    assert len(service.times()) == 40
