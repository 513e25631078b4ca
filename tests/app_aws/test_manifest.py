"""A model.toml that is wrong says which key, which value, and what would be right."""

from pathlib import Path

import pytest

from app_aws import manifest
from app_aws.registry import BUNDLED
from skylens.errors import ModelError

GOOD = (BUNDLED / "cifar10" / "model.toml").read_text("utf-8")


def changed(old, new):
    assert old in GOOD
    return GOOD.replace(old, new)


def test_the_bundled_one_is_read():
    found = manifest.read(BUNDLED / "cifar10")
    assert (found.id, found.input.shape, found.output.activation) == ("cifar10@1", (3, 32, 32), "none")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (changed('name = "cifar10"', 'name = "../x"'), r"name = '\.\./x': expected `str` matching"),
        (changed("width = 32", 'width = "32"'), r"input\.width = '32': expected `int`, got `str`"),
        (changed("width = 32", "width = 0"), r"input\.width = 0: expected `int` >= 1"),
        (changed("height = 32\n", ""), r"input: .*missing required field `height`"),
        (changed('layout = "NCHW"', 'layout = "NWHC"'), r"input\.layout = 'NWHC'"),
        (changed("mean = [0.0, 0.0, 0.0]", "mean = [0.0]"), r"input\.mean = \[0\.0\]: expected `array` of length 3"),
        (changed("std = [1.0, 1.0, 1.0]", "std = [1.0, 0.0, 1.0]"), r"input\.std\[1\] = 0\.0: expected `float` >="),
        (changed("std = [1.0, 1.0, 1.0]", "std = [1.0, nan, 1.0]"), r"input\.std\[1\] = nan"),
        (changed('activation = "none"', 'activation = "relu"'), r"output\.activation = 'relu'"),
        (changed('resize = "squash"', 'resize = "crop"\nshorter_side = 20'), "shorter_side = 20 is less than the crop"),
        (changed('resize = "squash"', 'resize = "squash"\nshorter_side = 64'), 'is for resize = "crop" only'),
        (changed('licence = "', 'license = "'), "unknown field `license`|missing required field `licence`"),
        (GOOD + "\n[extra]\n", "unknown field `extra`"),
        (GOOD + "\nbroken", "not TOML"),
        pytest.param("a = " + "[" * 5000, "not TOML", id="deep"),
        pytest.param("a = " + "1" * 5000, "not TOML", id="a long number"),
        pytest.param(changed("width = 32", f"width = 0x{'f' * 5000}"), "not TOML", id="one too long to show"),
    ],
)
def test_what_is_wrong_is_named(text, said):
    with pytest.raises(ModelError, match=said):
        manifest.parse(text)


def test_a_missing_file_is_a_model_error_with_its_path(tmp_path):
    with pytest.raises(ModelError, match=str(tmp_path / "model.toml")):
        manifest.read(tmp_path)


def test_crop_scales_to_the_usual_margin_unless_told():
    text = changed('resize = "squash"', 'resize = "crop"').replace("= 32", "= 224")
    assert manifest.parse(text).input.scaled_side == 256
    text = text.replace('resize = "crop"', 'resize = "crop"\nshorter_side = 240')
    assert manifest.parse(text).input.scaled_side == 240


def test_what_is_written_is_read_back():
    nasty = changed('description = "', 'description = "\\"quoted\\" \\n line \\u007f \\\\ \u00fcber \U0001f600 ')
    found = manifest.parse(nasty)
    assert manifest.parse(manifest.to_toml(found)) == found


def test_paths_in_errors_are_the_files(tmp_path: Path):
    (tmp_path / "model.toml").write_text("name = 1")
    with pytest.raises(ModelError, match=r"model\.toml: "):
        manifest.read(tmp_path)
