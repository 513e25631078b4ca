"""What a person types: ``skylens models`` and ``skylens worker --help``."""

import json

import pytest
from networks import model_folder

from skylens.cli import main


@pytest.fixture
def models(tmp_path, monkeypatch):
    monkeypatch.setenv("SKYLENS_MODELS_DIR", str(tmp_path / "models"))
    return tmp_path / "models"


def test_the_bundled_model_is_listed(models, capsys):
    assert main(["models", "list", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["name"], listed["version"], listed["width"]) == ("cifar10", "1", 32)
    assert main(["models", "list"]) == 0
    assert "cifar10@1" in capsys.readouterr().out


def test_a_model_is_added_and_then_listed(models, tmp_path, capsys):
    source = model_folder(tmp_path / "source")
    words = ["models", "add", str(source / "model.onnx"), "--name", "mine", "--labels", str(source / "labels.txt")]
    assert main([*words, "--mean", "1,2,3", "--std", "2", "--resize", "squash", "--licence", "MIT"]) == 0
    assert "SKYLENS_MODEL=mine" in capsys.readouterr().out
    main(["models", "list", "--json"])
    assert [(one["name"], one["licence"]) for one in json.loads(capsys.readouterr().out)][1:] == [("mine", "MIT")]


def test_a_broken_model_is_listed_with_its_problem(models, capsys):
    (models / "bad@1").mkdir(parents=True)
    (models / "bad@1" / "model.toml").write_text("name = 3")
    main(["models", "list", "--json"])
    assert "name = 3" in json.loads(capsys.readouterr().out)[1]["problem"]
    main(["models", "list"])
    assert "bad@1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "there is no file or folder nowhere"),
        (["https://example.org/m.zip"], "needs --sha256"),
        (["m.onnx", "--mean", "1,2"], "expected one number or three"),
        (["m.onnx", "--mean", "x"], "expected one number or three"),
    ],
)
def test_an_error_is_one_line_and_status_2(models, words, said, capsys):
    try:
        status = main(["models", "add", *words])
    except SystemExit as end:
        status = end.code
    assert status == 2
    assert said in capsys.readouterr().err


ACTIONS = ("add", "verify", "quantize", "activate")


@pytest.mark.parametrize("words", [["worker"], *(["models", action] for action in ACTIONS)])
def test_help_has_an_example(words, capsys):
    with pytest.raises(SystemExit):
        main([*words, "--help"])
    assert "example" in capsys.readouterr().out
