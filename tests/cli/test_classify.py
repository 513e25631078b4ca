"""``skylens classify`` against a scripted service: results, failures, formats, exit codes."""

import csv
import hashlib
import io
import json
import os
import subprocess
import sys

import pytest

from skylens.cli import main
from skylens.messages import Result, decode
from tests.cli.scripted import RESET, journals, problem, result


def classify(service, *words):
    return main(["classify", *map(str, words), "--url", service.url])


def test_a_folder_is_walked_and_each_image_is_sent_once_and_reported_in_order(service, folder, capsys):
    assert classify(service, folder, "--format", "json") == 0
    items = json.loads(capsys.readouterr().out)
    assert [item["path"] for item in items] == sorted(str(p) for p in folder.rglob("p*.*") if ".hidden" not in str(p))
    assert len(items) == 12
    assert set(service.times().values()) == {1}
    for item in items:
        assert decode(Result, json.dumps(item["result"])).name == item["path"].rpartition("/")[2]


def test_the_bytes_arrive_unchanged_and_top_and_wait_are_asked_for(service, folder):
    assert classify(service, folder / "p00.png", "--top", "3") == 0
    ((_, _, digest, headers),) = service.posts
    assert digest == hashlib.sha256((folder / "p00.png").read_bytes()).hexdigest()
    assert headers["Prefer"] == "wait=20"


def test_a_file_named_explicitly_is_sent_whatever_it_is_called_and_only_once(service, folder):
    assert classify(service, folder / "notes.txt", folder / ".hidden.png", folder / "notes.txt") == 0
    assert service.times() == {"notes.txt": 1, ".hidden.png": 1}


def test_csv_holds_the_best_label_and_the_error(service, folder, capsys):
    service.script["p01.JPG"].append(problem(422, "undecodable-image", "cut off at byte 7"))
    assert classify(service, folder, "--format", "csv") == 1
    out = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(out.out)))
    assert list(rows[0]) == ["path", "label", "score", "id", "model", "version", "error"]
    good, bad = (next(row for row in rows if name in row["path"]) for name in ("p00", "p01"))
    assert good["label"].startswith("label-")
    assert (good["score"], good["model"], good["version"], good["error"]) == ("0.7500", "cifar10", "1", "")
    assert (bad["label"], bad["error"]) == ("", "cut off at byte 7")
    assert "p01.JPG: cut off at byte 7" in out.err


def test_ndjson_comes_as_it_is_done(service, folder, capsys):
    assert classify(service, folder, "--format", "ndjson") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["result"]["name"] for line in lines} == set(service.times())


def test_the_table_shows_file_label_score_and_milliseconds_or_the_failure(service, folder, capsys):
    service.script["p01.JPG"].append(problem(415, "unsupported-image", "a text, not an image"))
    assert classify(service, folder) == 1
    out = capsys.readouterr().out
    assert all(heading in out for heading in ("file", "label", "score", "ms"))
    assert "0.7500" in out
    assert "123" in out
    assert "a text, not an image" in out


def test_out_goes_to_the_file_and_nothing_to_standard_output(service, folder, tmp_path, capsys):
    assert classify(service, folder, "--format", "json", "--out", tmp_path / "all.json") == 0
    assert capsys.readouterr().out == ""
    assert len(json.loads((tmp_path / "all.json").read_text())) == 12


def test_quiet_says_nothing_but_failures(service, folder, capsys):
    service.script["p01.JPG"].append(problem(415, "unsupported-image", "a text"))
    assert classify(service, folder, "--quiet", "--format", "csv") == 1
    assert capsys.readouterr().err == f"{folder / 'p01.JPG'}: a text\n"


def test_one_that_is_accepted_is_polled_where_location_says(service, folder):
    place = "/v1/images/later"
    service.script["p00.png"].append((202, {"id": "later", "status": "working"}, {"Location": place}))
    service.script[place].append((202, {"id": "later", "status": "working"}, {"Location": place}))
    service.results["later"] = {}
    service.script[place].append(problem(422, "poison-image", "every worker failed"))
    assert classify(service, folder / "p00.png") == 1
    assert service.polls == [f"{place}?wait=20"] * 2


@pytest.mark.parametrize(
    "trouble",
    [
        problem(503, "unavailable", "busy", **{"Retry-After": "0"}),
        problem(429, "too-many-requests", "slower", **{"Retry-After": "0"}),
        (502, b"<h1>Bad Gateway</h1>", {"Content-Type": "text/html"}),
        RESET,
    ],
    ids=["503", "429", "proxy", "reset"],
)
def test_what_passes_is_tried_again_with_the_same_key(service, folder, trouble):
    service.script["p00.png"].extend([trouble, trouble])
    assert classify(service, folder / "p00.png") == 0
    keys = [key for _, key, *_ in service.posts]
    assert len(keys) == 3
    assert len(set(keys)) == 1


def test_a_second_run_asks_for_the_same_job_and_fresh_for_another(service, folder):
    for words in ([], [], ["--fresh"]):
        assert classify(service, folder / "p00.png", *words) == 0
    first, second, fresh = (key for _, key, *_ in service.posts)
    assert first == second != fresh


def test_two_files_with_the_same_bytes_and_name_are_two_jobs(service, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.png").write_bytes(b"same")
    assert classify(service, tmp_path / "a", tmp_path / "b") == 0
    assert len({key for _, key, *_ in service.posts}) == 2


def test_an_unreachable_service_fails_after_the_timeout_and_says_so(folder, capsys):
    assert main(["classify", str(folder / "p00.png"), "--url", "http://127.0.0.1:9", "--timeout", "1"]) == 1
    assert "does not answer" in capsys.readouterr().err


def test_the_key_comes_from_a_file_or_the_environment(service, folder, tmp_path, monkeypatch):
    service.key = "secret-1"
    (tmp_path / "key").write_text("secret-1\n")
    assert classify(service, folder / "p00.png", "--key-file", tmp_path / "key") == 0
    monkeypatch.setenv("SKY_API_KEY", "secret-1")
    assert classify(service, folder / "p00.png") == 0


@pytest.mark.parametrize("text", ["", "two\nlines", "schl\u00fcssel"])
def test_a_file_that_holds_no_key_is_refused_without_showing_it(service, folder, tmp_path, capsys, text):
    (tmp_path / "key").write_text(text)
    assert classify(service, folder, "--key-file", tmp_path / "key") == 2
    said = capsys.readouterr().err
    assert "--key-file" in said
    assert not text or text not in said
    assert service.posts == []


def test_a_refused_key_ends_the_whole_run_and_says_how_to_give_one(service, folder, capsys):
    service.key = "secret-1"
    assert classify(service, folder, "--jobs", "1") == 2
    assert "--key-file" in capsys.readouterr().err
    assert len(service.posts) <= 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["/nowhere/x.png"], "no such file"),
        (["{folder}/.hidden/.."], None),
        (["{folder}/empty"], "no image"),
        (["{folder}", "--key-file", "/nowhere/key"], "--key-file"),
        (["{folder}", "--out", "/nowhere/out"], "--out"),
    ],
)
def test_wrong_usage_is_2_and_sends_nothing(service, folder, capsys, words, said):
    (folder / "empty").mkdir()
    status = classify(service, *(word.format(folder=folder) for word in words))
    if said is None:
        assert status == 0
        return
    assert status == 2
    assert said in capsys.readouterr().err
    assert service.posts == []


@pytest.mark.parametrize(
    "words", [["--url", "ftp://x"], ["--url", "localhost:8080"], ["--jobs", "0"], ["--top", "x"], ["--format", "xml"]]
)
def test_wrong_options_are_refused_by_name(folder, capsys, words):
    with pytest.raises(SystemExit) as stopped:
        main(["classify", str(folder), *words])
    assert stopped.value.code == 2
    assert words[0] in capsys.readouterr().err


def test_a_file_that_cannot_be_read_fails_alone(service, folder, monkeypatch, capsys):
    (folder / "gone.png").symlink_to(folder / "nowhere")
    assert classify(service, folder) == 1
    assert "gone.png: No such file or directory" in capsys.readouterr().err
    assert len(service.posts) == 12


def test_a_name_that_is_no_utf8_or_holds_control_characters_is_sent_and_shown_escaped(service, tmp_path, capsys):
    top = tmp_path / "odd"
    top.mkdir()
    for name in (b"\xff.png", b"a\x1b[31m.png"):
        (top / os.fsdecode(name)).write_bytes(b"x")
    assert classify(service, top, "--format", "json") == 0
    paths = [item["path"] for item in json.loads(capsys.readouterr().out)]
    assert [path.rpartition("/")[2] for path in paths] == ["a\\x1b[31m.png", "\\xff.png"]


@pytest.mark.parametrize("style", ["table", "csv", "json", "ndjson"])
def test_what_a_service_says_does_nothing_to_the_terminal(service, folder, capsys, style):
    evil = result("p00.png", "0" * 64)
    evil["labels"][0]["label"] = "cat\x1b]0;owned\x07"
    service.script["p00.png"].append((200, evil, {}))
    service.script["p01.JPG"].append(problem(422, "undecodable-image", "cut\x1b[2J"))
    assert classify(service, folder, "--format", style) == 1
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err
    assert "cut\\x1b[2J" in shown.err


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((200, b"<html>", {}), "not a Result"),
        ((302, b"", {"Location": "/login"}), "answered 302"),
        ((202, {}, {}), "without saying where"),
        ((202, {}, {"Location": "https://elsewhere.example/steal"}), "without saying where"),
        (problem(418, "some-new-code", "a failure of a newer release"), "a failure of a newer release"),
    ],
)
def test_an_answer_that_is_none_of_ours_is_a_failure_with_a_sentence(service, folder, capsys, answer, said):
    service.script["p00.png"].append(answer)
    assert classify(service, folder / "p00.png") == 1
    assert said in capsys.readouterr().err


def test_the_journal_is_gone_when_all_went_well_and_stays_when_something_failed(service, folder, home):
    service.script["p01.JPG"].append(problem(415, "unsupported-image", "a text"))
    assert classify(service, folder) == 1
    assert len(journals(home)) == 1
    assert classify(service, folder) == 0
    assert journals(home) == []
    assert service.times()["p01.JPG"] == 2
    assert sum(service.times().values()) == 13


def test_a_reader_that_leaves_early_makes_no_traceback(service, folder):
    command = f"{sys.executable} -m skylens.cli classify {folder} --url {service.url} --format ndjson --quiet | head -1"
    done = subprocess.run(["bash", "-c", command], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
