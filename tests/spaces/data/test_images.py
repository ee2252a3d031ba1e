"""Data from folders of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.data.preparation import DataRequest, open_split, prepare_data
from litetuner.spaces.data.sources.images import parse_resize, read_images
from litetuner.spaces.errors import ConfigError, DataError
from litetuner.spaces.info import DataInfo, TensorInfo
from litetuner.spaces.store import Store
from tests.decisions import classes_known, numbers_known


def read(root: Path, folder: Path, **changed: Any) -> DataInfo:
    inputs = (TensorInfo("image", changed.pop("input_shape", (None, 4, 4, 1)), changed.pop("input_dtype", "float32")),)
    outputs = (TensorInfo("class", changed.pop("output_shape", (None, 3)), "float32"),)
    known = numbers_known if changed.pop("task", "classification") == "regression" else classes_known
    settings: dict[str, Any] = {"seed": 0, "preprocess": None, "known": known(outputs[0].shape)}
    request = DataRequest(source=str(root), inputs=inputs, outputs=outputs, **settings | changed)
    return prepare_data(request, Store(folder / "data"))


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
    assert facts.class_names == ("ant", "bee", "cow") and facts.x_dtype == "float32"
    assert sum(facts.counts.values()) == 37
    assert any("resized" in note for note in facts.notes) and any("notes.txt" in note for note in facts.notes)
    x, y = open_split(Store(tmp_path / "data"), facts.arrays, "train")
    assert np.abs(x.astype(int) - 80 * y[:, None, None, None]).max() <= 3  # WebP and JPEG are lossy


def test_split_folders_colours_and_sizes(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "images", ("train", "val", "test"))
    save(root / "train" / "ant" / "red.png", 200, mode="RGB")
    facts = read(root, tmp_path, input_shape=(None, 2, 3, 3))
    assert tuple(facts.counts.values()) == (37, 36, 36) and facts.x_shape == (2, 3, 3)
    assert (open_split(Store(tmp_path / "data"), facts.arrays, "train")[0] == [200, 0, 0]).all(axis=-1).any()
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


def photos(root: Path, mode: str = "RGB", suffix: str = "png") -> Path:
    """Two classes of fine textures, whose look depends on how they are resized, of several sizes."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for name in ("coarse", "fine"):
        (root / "train" / name).mkdir(parents=True)
        for at, shape in enumerate([(32, 32), (40, 21), (17, 40), (8, 10)]):
            pixels = rng.integers(0, 256, (*shape, 4), np.uint8)
            Image.fromarray(pixels, "RGBA").convert(mode).save(root / "train" / name / f"{at}.{suffix}")
    return root


@pytest.mark.parametrize(
    ("mode", "suffix", "channels", "resize"),
    [
        ("RGB", "png", 3, ("bilinear",)),
        ("RGB", "jpg", 3, ("bilinear",)),
        ("RGB", "jpg", 1, ("bilinear",)),
        ("L", "jpg", 3, ("bicubic",)),
        ("RGBA", "png", 3, ("bilinear", "crop")),
        ("RGBA", "png", 4, ("bilinear", "pad")),
        ("RGB", "png", 1, ("nearest",)),
        ("P", "png", 3, ("area", "crop")),
        ("LA", "png", 1, ("lanczos3",)),
    ],
)
def test_images_are_those_of_keras(
    tmp_path: Path, mode: str, suffix: str, channels: int, resize: tuple[str, ...]
) -> None:
    """Equal to ``keras.utils.image_dataset_from_directory``, which trained the model."""
    from litetuner.spaces import tf

    tf.load()
    import keras

    root = photos(tmp_path / "photos", mode, suffix)
    fit = {f"{resize[1]}_to_aspect_ratio": True} if resize[1:] else {}
    colors = {1: "grayscale", 3: "rgb", 4: "rgba"}[channels]
    dataset = keras.utils.image_dataset_from_directory(
        root / "train",
        image_size=(8, 10),
        batch_size=8,
        shuffle=False,
        color_mode=colors,
        interpolation=resize[0],
        verbose=False,
        **fit,
    )
    expected, labels = next(iter(dataset.as_numpy_iterator()))
    raw = read_images(root, TensorInfo("image", (None, 8, 10, channels), "float32"), resize)
    x, y = raw.splits["train"]
    assert np.array_equal(y, labels) and raw.class_names == ("coarse", "fine")
    np.testing.assert_allclose(x[:], expected, atol=1e-4)
    assert np.array_equal(x[np.array([5, 2])], x[:][[5, 2]]), "any rows, in any order"
    assert any("6 images were resized to 8x10 pixels" in note for note in raw.notes)
    assert any("alpha" in note for note in raw.notes) == (mode in ("RGBA", "LA", "P") and channels < 4)


def test_images_are_not_antialiased_as_pillow_does_it(tmp_path: Path) -> None:
    """Photos of fabric: with Pillow's resizing a model that Keras trained scored 0.667, and not 1.000."""
    from PIL import Image

    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.fromarray(stripes).save(tmp_path / "photos" / name / "0.png")
    raw = read_images(tmp_path / "photos", TensorInfo("image", (None, 32, 32, 1), "float32"), ("nearest",))
    x = raw.splits["train"][0][:]
    assert x.dtype == np.uint8 and set(np.unique(x)) <= {0, 255}, "an average would be 127"


def test_a_model_of_integers_gets_what_keras_would_cast(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos")
    real, whole = (
        read_images(root, TensorInfo("image", (None, 8, 10, 3), dtype), ("bicubic",)).splits["train"][0][:]
        for dtype in ("float32", "uint8")
    )
    assert whole.dtype == np.uint8 and np.array_equal(whole, real.clip(0, 255).astype(np.uint8))


def test_a_rotation_by_exif_is_said_and_not_applied(tmp_path: Path) -> None:
    from PIL import Image

    root = photos(tmp_path / "photos", suffix="jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    file = root / "train" / "fine" / "0.jpg"
    with Image.open(file) as image:
        image.load()
        image.save(file, exif=exif)
    notes = read_images(root, TensorInfo("image", (None, 8, 10, 3), "float32")).notes
    assert any("1 images have an EXIF rotation, which is not applied" in note for note in notes)


@pytest.mark.parametrize("given", [("bilinaer",), ("bilinear", "stretch"), ("bilinear", "crop", "pad")])
def test_an_unknown_resizing_is_refused(given: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=r"is not known.*bilinear.*crop or pad"):
        parse_resize(given)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_images_are_those_of_pillow(orientation: int, tmp_path: Path) -> None:
    from PIL import Image, ImageOps

    pixels = np.random.default_rng(0).integers(0, 255, (4, 6), dtype=np.uint8)
    image, exif = Image.fromarray(pixels), Image.Exif()
    exif[0x0112] = orientation
    for name in ("ant", "bee"):
        (tmp_path / "images" / name).mkdir(parents=True)
        image.save(tmp_path / "images" / name / "1.png", exif=exif)
    with Image.open(tmp_path / "images" / "ant" / "1.png") as found:
        expected = np.asarray(ImageOps.exif_transpose(found))
    item = TensorInfo("image", (None, *expected.shape, 1), "uint8")
    raw = read_images(tmp_path / "images", item, ("nearest", "upright"))
    x = raw.splits["train"][0]
    assert np.array_equal(x[:1][0, :, :, 0], expected)  # type: ignore[index]
    assert not any("resized" in note for note in raw.notes)
    assert any("is applied" in note for note in raw.notes) == (orientation != 1)
