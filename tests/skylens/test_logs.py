"""The log: one JSON object a line, whoever writes it and whatever it holds."""

import json
import re
import subprocess
import sys

SCRIPT = """
import logging, threading
from skylens import logs
logs.configure("INFO", "{}", "web")
log = logs.get("x")
{}
"""


def printed(script, style):
    run = [sys.executable, "-c", SCRIPT.format(style, script)]
    return subprocess.run(run, check=True, timeout=60, stdout=subprocess.PIPE).stdout.decode()


def lines(script):
    return [json.loads(line) for line in printed(script, "json").splitlines()]


def test_lines_of_many_threads_stay_whole():
    write = "lambda: [log.info('a', n=n, x='x' * 1000) for n in range(100)]"
    seen = lines(f"for _ in range(8): threading.Thread(target={write}).start()")
    assert sorted(line["n"] for line in seen) == sorted(list(range(100)) * 8)


def test_what_json_does_not_know_is_shown_and_loses_no_line():
    seen = lines("log.info('a', half='\\ud800', what=object)\nlog.info('b', what=object, number=1)")
    assert [(line["event"], line["what"], line["tier"]) for line in seen] == [
        ("a", "<class 'object'>", "web"),
        ("b", "<class 'object'>", "web"),
    ]
    assert (seen[0]["half"], seen[1]["number"]) == ("\ud800", 1)


def test_a_thing_within_itself_loses_no_line():
    (line,) = lines("loop = []\nloop.append(loop)\nlog.info('a', loop=loop)")
    assert line["loop"] == "[[...]]"


def test_errors_carry_their_trace_and_others_lines_have_the_same_form():
    seen = lines("try: 1 / 0\nexcept ZeroDivisionError: log.exception('a')\nlogging.getLogger('y').warning('b %d', 1)")
    assert "ZeroDivisionError" in seen[0]["exception"]
    assert [(line["event"], line["level"]) for line in seen] == [("a", "error"), ("b 1", "warning")]


def test_a_line_for_people_stays_one_and_leaves_their_terminal_alone():
    evil, shown = "a\\x1b[2J\\r\\nfake\\x9b\\u2028", r"a\x1b[2J\r\nfake\x9b\u2028"
    seen = printed(
        f"log.info('b{evil}', name='{evil}', one=1, of=['{evil}'])\n"
        f"try: raise ValueError('{evil}')\nexcept ValueError: log.exception('c')",
        style="text",
    )
    plain = re.sub(r"\x1b\[\d+m", "", seen)
    first = plain.split("\n")[0]
    assert f"b{shown}" in first
    assert f"name={shown}" in first
    assert "one=1" in first
    assert not set("\x1b\r\x9b\u2028") & set(plain)
    assert "\nTraceback" in plain
    assert "\nValueError: a\\x1b[2J" in plain
