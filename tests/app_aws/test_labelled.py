"""Labelled images are found in folders and lists, and whatever is no label or no list is named."""

import pytest

from app_aws import labelled
from skylens.errors import ModelError

LABELS = ("cat", "tiger shark", "crane", "dog", "crane")


@pytest.fixture
def images(tmp_path):
    """A place to put files into: ``images("cat/1.png")``."""

    def put(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b"")
        return tmp_path

    return put


def found(place):
    return [(str(one.path.relative_to(place)), one.label) for one in labelled.read(place, LABELS)]


def test_each_folder_is_a_label_in_words_or_as_an_index(images):
    place = images("cat/1.png", "Tiger_Shark/2.JPEG", "3/3.webp", "cat/notes.txt", ".hidden/4.png", "empty/notes.txt")
    assert found(place) == [("3/3.webp", 3), ("Tiger_Shark/2.JPEG", 1), ("cat/1.png", 0)]


def test_images_without_a_folder_have_no_label(images):
    assert found(images("1.png")) == [("1.png", None)]


@pytest.mark.parametrize(("name", "comma"), [("list.tsv", "\t"), ("list.csv", ",")])
def test_a_list_names_files_beside_itself(tmp_path, name, comma):
    lines = [f"file{comma}label", f"a.png{comma}dog", "", f"sub/b.png{comma}4"]
    (tmp_path / name).write_text("\n".join(lines))
    read = labelled.read(tmp_path / name, LABELS)
    assert [(str(one.path.relative_to(tmp_path)), one.label) for one in read] == [("a.png", 3), ("sub/b.png", 4)]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("a.png\tcow", "line 2: 'cow' is no label of this model; labels.txt has cat, tiger shark, crane, dog, crane"),
        ("a.png\t5", "line 2: '5' is no label"),
        ("a.png\tcrane", "several labels 'crane'; say which by its index, 2 or 4"),
        ("a.png", r"line 2: expected a file and a label, not \['a.png'\]"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, row, said):
    (tmp_path / "list.tsv").write_text(f"file\tlabel\n{row}\n")
    with pytest.raises(ModelError, match=said):
        labelled.read(tmp_path / "list.tsv", LABELS)


def test_a_list_that_is_no_text_is_named(tmp_path):
    (tmp_path / "list.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelError, match=r"list\.csv cannot be read"):
        labelled.read(tmp_path / "list.csv", LABELS)


@pytest.mark.parametrize("name", ["nowhere", "picture.png"])
def test_neither_a_folder_nor_a_list_is_refused(images, name):
    place = images("picture.png")
    with pytest.raises(ModelError, match="expected a folder of images, or a list"):
        labelled.read(place / name, LABELS)


def test_a_folder_without_images_says_so(images):
    with pytest.raises(ModelError, match="has no images"):
        labelled.read(images("cat/notes.txt"), LABELS)
