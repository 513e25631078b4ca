"""The worker's unit is what systemd takes, leaves little to do harm with, and takes the instance down with it."""

import configparser
import re
import subprocess

import pytest
from rendered import need, render

MOST = 2.0


@pytest.fixture(scope="module")
def unit(tmp_path_factory):
    folder = tmp_path_factory.mktemp("worker")
    launcher = folder / "opt" / "current" / "bin" / "skylens"
    launcher.parent.mkdir(parents=True)
    launcher.write_text("#!/bin/sh\n")
    launcher.chmod(0o755)
    files = {
        "skylens-worker.service": ("skylens-worker.service.j2", None),
        "worker.env": ("worker.env.j2", None),
    }
    settings = {"skylens_root": str(folder / "opt"), "skylens_etc": str(folder)}
    render(folder, "worker", files, skylens_settings={"visibility_timeout": 120}, **settings)
    return folder / "skylens-worker.service"


@pytest.fixture(scope="module")
def sections(unit):
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read(unit)
    return parser


def test_systemd_takes_it(unit):
    done = subprocess.run([need("systemd-analyze"), "verify", unit], text=True, capture_output=True, check=False)
    ours = [line for line in done.stderr.splitlines() if "skylens" in line]
    assert (done.returncode, ours) == (0, [])


def test_its_exposure_is_low(unit):
    said = subprocess.check_output(
        [need("systemd-analyze"), "security", "--offline=true", "--no-pager", unit], text=True
    )
    (exposure,) = re.findall(r"Overall exposure level for .*: ([\d.]+)", said)
    assert float(exposure) < MOST, said


def test_the_instance_ends_with_its_worker_or_when_that_crashes_again_and_again(sections):
    of = sections["Unit"]
    assert (of["SuccessAction"], of["StartLimitAction"]) == ("poweroff", "poweroff")
    assert sections["Service"]["Restart"] == "on-failure"
    of_one = float(sections["Service"]["RestartSec"]) + float(sections["Service"]["TimeoutStartSec"])
    assert int(of["StartLimitBurst"]) * of_one < float(of["StartLimitIntervalSec"])


def test_it_waits_for_the_network_and_is_killed_only_after_the_drain(sections):
    assert "network-online.target" in sections["Unit"]["After"].split()
    assert int(sections["Service"]["TimeoutStopSec"]) > 120


def test_nothing_reports_to_the_makers_of_onnx_runtime(unit):
    assert "ORT_DISABLE_TELEMETRY=1" in (unit.parent / "worker.env").read_text().splitlines()
