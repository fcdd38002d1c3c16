"""Folders become patches, and each thing wrong with one gets a line that names it."""

from pathlib import Path

import numpy as np
import pytest

from tinycnn.data import evaluation_patches, read_folder, training_patches
from tinycnn.errors import InputError


def put(path: Path, level: int = 0, width: int = 2, height: int = 2) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"P5 %d %d 255\n" % (width, height) + bytes([level] * width * height))


@pytest.fixture
def flat(tmp_path):
    for label in "01":
        for number in (2, 10, 1):
            put(tmp_path / label / f"000{label}_{number}.pgm", 51 * int(label) + number)
    return tmp_path


@pytest.fixture
def parted(tmp_path):
    for split in ("Train", "Test"):
        for label in "01":
            put(tmp_path / split / label / f"{split}7.pgm")
    return tmp_path


def complaint(root: Path, pattern: str = r"^\d+") -> str:
    with pytest.raises(InputError) as caught:
        read_folder(root, pattern)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_flat_folder_is_one_split_in_the_order_of_the_names(flat):
    (split,) = read_folder(flat).items()
    assert split[0] == "all"
    patches = split[1]
    assert patches.names.tolist() == [f"{c}/000{c}_{n}.pgm" for c in "01" for n in (1, 10, 2)]
    assert patches.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert patches.labels.dtype == np.int64
    assert patches.cases.tolist() == ["0000"] * 3 + ["0001"] * 3
    assert patches.images.shape == (6, 1, 2, 2)
    assert patches.images.dtype == np.float32
    np.testing.assert_array_equal(
        patches.images[:, 0, 0, 0], np.float32([1, 10, 2, 52, 61, 53]) / np.float32(255)
    )


def test_train_and_test_are_two_splits_and_each_use_gets_its_own(parted):
    assert list(read_folder(parted, "7")) == ["Train", "Test"]
    training, evaluation = training_patches(parted, "7"), evaluation_patches(parted, "7")
    assert training.names.tolist() == ["Train/0/Train7.pgm", "Train/1/Train7.pgm"]
    assert evaluation.names.tolist() == ["Test/0/Test7.pgm", "Test/1/Test7.pgm"]


def test_without_a_parting_both_uses_get_everything(flat):
    assert training_patches(flat).names.tolist() == evaluation_patches(flat).names.tolist()


def test_with_train_alone_it_is_evaluated_and_with_test_alone_nothing_is_trained(parted):
    (parted / "Test").rename(parted / "elsewhere")
    assert evaluation_patches(parted, "7").names[0] == "Train/0/Train7.pgm"
    (parted / "Train").rename(parted / "TEST")  # the case of a letter does not matter
    assert evaluation_patches(parted, "7").names[0] == "TEST/0/Train7.pgm"
    with pytest.raises(InputError, match="nothing to train on"):
        training_patches(parted, "7")


def test_training_does_not_open_the_test_folder(parted):
    (parted / "Test" / "0" / "Test7.pgm").write_text("broken")
    assert len(training_patches(parted, "7")) == 2
    with pytest.raises(InputError, match=r"Test7\.pgm: not a PGM"):
        evaluation_patches(parted, "7")


def test_hidden_files_and_a_readme_beside_the_classes_are_passed_over(flat):
    (flat / "README.md").write_text("about")
    (flat / "0" / ".DS_Store").write_text("hidden")
    (flat / "0" / "Thumbs.db").write_text("hidden by Windows")
    assert len(read_folder(flat)["all"]) == 6


def test_the_case_is_the_first_group_of_the_pattern_or_all_it_matches(flat):
    assert set(read_folder(flat, r"_(\d+)")["all"].cases) == {"1", "10", "2"}
    assert set(read_folder(flat, r"_\d+")["all"].cases) == {"_1", "_10", "_2"}


def test_a_missing_folder_or_a_file_in_its_place_is_named(tmp_path):
    missing = tmp_path / "missing"
    assert complaint(missing) == f"{missing}: No such file or directory"
    put(tmp_path / "file")
    assert complaint(tmp_path / "file").startswith(f"{tmp_path / 'file'}: Not a directory")


def test_neither_layout_or_both_at_once_is_an_error(tmp_path, flat):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert complaint(empty) == f"{empty}: has neither folders Train or Test nor folders 0 and 1"
    put(flat / "Train" / "0" / "1.pgm")
    assert complaint(flat) == f"{flat}: has class folders both in itself and in Train"


def test_an_empty_class_folder_is_named(flat):
    for path in (flat / "1").iterdir():
        path.unlink()
    (flat / "1" / ".keep").touch()
    assert complaint(flat) == f"{flat / '1'}: no images in this class folder"


def test_one_class_only_is_an_error(flat):
    (flat / "0").rename(flat / "normal")
    assert complaint(flat) == f"{flat}: one class only: there is no folder 0"


def test_an_image_of_another_size_is_named_beside_its_neighbour(flat):
    put(flat / "1" / "0001_1.pgm", width=3)
    assert complaint(flat) == (
        f"{flat / '1' / '0001_1.pgm'}: 3 × 2 pixels, but {flat / '0' / '0000_1.pgm'} has 2 × 2"
    )


def test_splits_of_different_image_sizes_are_an_error(parted):
    for label in "01":
        put(parted / "Test" / label / "Test7.pgm", height=5)
    assert f"2 × 5 pixels, but {parted / 'Train' / '0' / 'Train7.pgm'} has 2 × 2" in complaint(
        parted, "7"
    )


def test_a_file_that_is_no_image_and_a_folder_in_a_class_folder_are_named(flat):
    (flat / "0" / "0009.png").write_text("I am text")
    assert complaint(flat).startswith(f"{flat / '0' / '0009.png'}: not a PGM, PNG, TIFF or DICOM")
    (flat / "0" / "0009.png").unlink()
    (flat / "0" / "0003").mkdir()
    assert complaint(flat) == f"{flat / '0' / '0003'}: a folder, not an image"


@pytest.mark.parametrize("pattern", [r"^[a-z]+", r"^\d*?", r"^(x)?\d"])
def test_a_name_without_a_case_is_named_and_the_option_suggested(pattern, flat):
    message = complaint(flat, pattern)
    assert message.startswith(f"{flat / '0' / '0000_1.pgm'}: the case pattern {pattern!r} finds")
    assert "--case-pattern" in message


def test_a_pattern_that_is_none_is_an_error(flat):
    assert complaint(flat, "(").startswith("case pattern '(': missing ), unterminated subpattern")


def test_two_folders_that_differ_only_in_the_case_of_a_letter_are_an_error(parted):
    (parted / "train").mkdir(exist_ok=True)
    if len(list(parted.iterdir())) < 3:
        pytest.skip("this file system does not tell Train from train")
    assert complaint(parted).endswith("has two folders of one name, Train, train")
