"""How a model is best run is measured on the machine that runs it, and kept beside the model."""

import threading

import numpy as np
import pytest

from app_aws import cpu, tuning
from app_aws.tuning import Choice, Measured
from skylens.cli import main
from skylens.clock import Clock

MEASURED = Measured(Choice(2, 1, 4), ((Choice(2, 1, 1), 90.0), (Choice(2, 1, 4), 100.0)))


class Ticking:
    """A clock that only the model moves: each call costs ``cost(threads, images)`` seconds."""

    def __init__(self, cost):
        self.cost, self.time, self.lock, self.used = cost, 0.0, threading.Lock(), []

    def clock(self):
        return Clock(ticks=lambda: self.time)

    def open_with(self, threads):
        def infer(batch):
            with self.lock:
                self.used.append((threads, len(batch)))
                self.time += self.cost(threads, len(batch))
            return np.zeros((len(batch), 2), np.float32)

        return infer


def chosen(cost, cores=2):
    world = Ticking(cost)
    found = tuning.measure(world.open_with, (3, 4, 4), cores, 2.0, world.clock())
    return found, world


def test_the_fastest_candidate_is_chosen():
    found, _ = chosen(lambda threads, images: 0.001 * images + (0.004 if threads == 1 else 0.05))
    assert found.choice == Choice(2, 1, 8)
    wide, _ = chosen(lambda threads, images: 0.001 * images / threads**2)
    assert wide.choice.threads == 2


def test_what_is_faster_by_a_hundredth_is_not_worth_a_larger_batch():
    found, _ = chosen(lambda threads, images: (0.010 - 0.0001 * (images > 1)) * images * threads)
    assert found.choice == Choice(2, 1, 1)


def test_it_takes_about_the_time_it_was_given_and_tries_everything():
    found, world = chosen(lambda threads, images: 0.001 * images)
    assert world.time < 2.0 + 0.3
    assert [one for one, _ in found.rates] == list(tuning.candidates(2))
    assert {(1, 1), (1, 8), (2, 1), (2, 8)} <= set(world.used)


def test_one_core_has_no_second_thread_to_try():
    assert {(one.calls, one.threads) for one in tuning.candidates(1)} == {(1, 1)}


def test_a_measurement_is_found_under_its_own_key_alone(tmp_path):
    ours = tuning.key("c7i.large, some processor", 2, "ab" * 32, "1.31.0")
    assert tuning.kept(tmp_path, ours) is None
    assert tuning.keep(tmp_path, ours, MEASURED)
    assert tuning.keep(tmp_path, "another", Measured(Choice(1, 1, 1), ()))
    assert tuning.kept(tmp_path, ours) == Choice(2, 1, 4)
    for other in (
        tuning.key("c7i.xlarge, some processor", 2, "ab" * 32, "1.31.0"),
        tuning.key("c7i.large, some processor", 4, "ab" * 32, "1.31.0"),
        tuning.key("c7i.large, some processor", 2, "cd" * 32, "1.31.0"),
        tuning.key("c7i.large, some processor", 2, "ab" * 32, "1.32.0"),
    ):
        assert tuning.kept(tmp_path, other) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"key": {"choice": 7}}', b"\xff\xfe"])
def test_a_damaged_file_is_no_measurement_and_is_written_anew(tmp_path, content):
    (tmp_path / tuning.FILE).write_bytes(content)
    assert tuning.kept(tmp_path, "key") is None
    assert tuning.keep(tmp_path, "key", MEASURED)
    assert tuning.kept(tmp_path, "key") == MEASURED.choice


def test_a_folder_that_cannot_be_written_to_is_no_error(tmp_path):
    assert not tuning.keep(tmp_path / "missing", "key", MEASURED)
    (tmp_path / tuning.FILE).mkdir()
    assert not tuning.keep(tmp_path, "key", MEASURED)
    assert [path.name for path in tmp_path.iterdir()] == [tuning.FILE]


def test_a_machine_is_told_by_its_firmware_and_its_processor(tmp_path):
    assert tuning.machine(tmp_path) == "unknown, unknown"
    (tmp_path / "sys/devices/virtual/dmi/id").mkdir(parents=True)
    (tmp_path / "sys/devices/virtual/dmi/id/product_name").write_text("c7i.large\n")
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("processor\t: 0\nmodel name\t: Fast One\n\nprocessor\t: 1\n")
    assert tuning.machine(tmp_path) == "c7i.large, Fast One"


def test_the_command_measures_shows_and_keeps(models, source, monkeypatch, capsys):
    monkeypatch.setenv("SKYLENS_MODELS_DIR", str(models))
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["models", "tune", str(source), "--seconds", "0.2"]) == 0
    shown = capsys.readouterr().out
    assert "images a second" in shown
    assert f"Kept in {source / tuning.FILE}" in shown
    ours = tuning.own_key(source, cpu.cores())
    assert tuning.kept(source, ours) in tuning.candidates(cpu.cores())
    assert ours in shown


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "soon", "1e9"])
def test_the_command_takes_a_sensible_time_only(seconds, capsys):
    with pytest.raises(SystemExit):
        main(["models", "tune", "cifar10", "--seconds", seconds])
    assert f"expected seconds from 0.1 to 600, not '{seconds}'" in capsys.readouterr().err
