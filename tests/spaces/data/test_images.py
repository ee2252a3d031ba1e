"""Data from folders of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.data.preparation import DataRequest, open_split, prepare_data
from litetuner.spaces.errors import DataError
from litetuner.spaces.info import DataInfo, TensorInfo
from tests.decisions import classes_known, numbers_known


def read(root: Path, folder: Path, **changed: Any) -> DataInfo:
    inputs = (TensorInfo("image", changed.pop("input_shape", (None, 4, 4, 1)), changed.pop("input_dtype", "float32")),)
    outputs = (TensorInfo("class", changed.pop("output_shape", (None, 3)), "float32"),)
    known = numbers_known if changed.pop("task", "classification") == "regression" else classes_known
    settings: dict[str, Any] = {"seed": 0, "preprocess": None, "known": known(outputs[0].shape)}
    request = DataRequest(source=str(root), inputs=inputs, outputs=outputs, **settings | changed)
    return prepare_data(request, folder / "data")


def refused(root: Path, folder: Path, *parts: str, **changed: Any) -> None:
    with pytest.raises(DataError) as caught:
        read(root, folder, **changed)
    for part in parts:
        assert part in str(caught.value)


def save(path: Path, value: int, size: tuple[int, int] = (4, 4), mode: str = "L") -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value, 0, 0)).save(path)


def image_folder(root: Path, splits: tuple[str, ...] = ("",), classes: tuple[str, ...] = ("ant", "bee", "cow")) -> Path:
    for split in splits:
        for number, name in enumerate(classes):
            for index, suffix in enumerate(("png", "bmp", "gif", "webp", "jpg", "jpeg") * 2):
                save(root / split / name / f"{index}.{suffix}", 80 * number)
    return root


def test_class_folders_become_numbered_images(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "images")
    save(root / "ant" / "wide.PNG", 0, (9, 5))
    (root / "ant" / ".hidden").write_text("x")
    (root / "bee" / "notes.txt").write_text("x")
    facts = read(root, tmp_path)
    assert facts.class_names == ("ant", "bee", "cow") and facts.x_dtype == "uint8"
    assert sum(facts.counts.values()) == 37
    assert any("resized" in note for note in facts.notes) and any("notes.txt" in note for note in facts.notes)
    x, y = open_split(facts.folder, "train")
    assert np.abs(x.astype(int) - 80 * y[:, None, None, None]).max() <= 3  # WebP and JPEG are lossy


def test_split_folders_colours_and_sizes(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "images", ("train", "val", "test"))
    save(root / "train" / "ant" / "red.png", 200, mode="RGB")
    facts = read(root, tmp_path, input_shape=(None, 2, 3, 3))
    assert tuple(facts.counts.values()) == (37, 36, 36) and facts.x_shape == (2, 3, 3)
    assert (open_split(facts.folder, "train")[0] == [200, 0, 0]).all(axis=-1).any()
    assert read(root, tmp_path, input_shape=(None, 2, 3)).x_shape == (2, 3)


def test_image_folder_refusals(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "images")
    refused(root, tmp_path, "3 classes", "the model has 10", output_shape=(None, 10))
    refused(root, tmp_path, "any size", input_shape=(None, None, None, 1))
    refused(root, tmp_path, "height, width, channels", input_shape=(None, 16))
    refused(root, tmp_path, "regression", output_shape=(None, 1), task="regression")
    broken = root / "bee" / "broken.png"
    broken.write_bytes((root / "bee" / "0.png").read_bytes()[:40])
    refused(root, tmp_path, str(broken), "does not decode")
    broken.unlink()
    outside = tmp_path / "outside.png"
    save(outside, 1)
    (root / "ant" / "link.png").symlink_to(outside)
    refused(root, tmp_path, "link.png", "leads out")
    (root / "ant" / "link.png").unlink()
    (root / "ant" / "link.png").symlink_to(root / "ant" / "0.png")
    assert sum(read(root, tmp_path).counts.values()) == 37
    (root / "dog").mkdir()
    refused(root, tmp_path, "dog", "no images")
    save(root / "dog" / "more" / "0.png", 1)
    refused(root, tmp_path, "inside a class folder")


def test_split_folders_must_agree(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "images", ("train", "test"))
    save(root / "test" / "dog" / "0.png", 1)
    refused(root, tmp_path, "differ", "dog")
    image_folder(tmp_path / "two", ("val", "validation"))
    refused(tmp_path / "two", tmp_path, "twice")
    image_folder(tmp_path / "mixed", ("train", ""))
    refused(tmp_path / "mixed", tmp_path, "side by side", "ant")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", tmp_path, "holds no folders")


def test_images_of_16_bits_are_refused(tmp_path: Path) -> None:
    from PIL import Image

    root = image_folder(tmp_path / "images")
    Image.fromarray(np.full((4, 4), 40000, np.uint16)).save(root / "ant" / "deep.png")
    refused(root, tmp_path, "deep.png", "8 bits")
