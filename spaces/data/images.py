"""Data from a folder of class folders of images."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from litetuner.spaces.data.raw import RawData
from litetuner.spaces.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp")
SPLIT_FOLDERS = {"train": "train", "search": "search", "val": "search", "validation": "search", "test": "test"}
MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def read_images(folder: Path, input_shape: tuple[int | None, ...]) -> RawData:
    """Images in class folders; above these, where there are splits, ``train``, ``search`` (``val``, ``validation``), ``test``.

    Classes are numbered in the order of their names. Images become uint8 0 to 255, grey or RGB by the model's channels,
    resized to the model's input (Pillow's bilinear; the first frame of an animation; EXIF orientation is not applied, as
    TensorFlow's decoders do not). Hidden files are left out; so are files of other kinds, with a note.
    Raises ``DataError`` for an image that does not decode, a link that leads out of the folder, or classes that differ.
    """
    height, width, channels = _size(folder, input_shape)
    splits = _split_folders(folder)
    classes = {split: [item.name for item in _folders(folder, path)] for split, path in splits.items()}
    names = next(iter(classes.values()))
    for split, found in classes.items():
        if found != names:
            odd = sorted(set(found) ^ set(names))
            first = next(iter(classes))
            raise DataError(
                f"{folder}: the class folders of {first} and {split} differ: {', '.join(odd[:5])}. Each split must have all."
            )
    skipped: list[Path] = []
    raw: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    resized = 0
    for split, path in splits.items():
        by_class = [_images(folder, path / name, skipped) for name in names]
        files = [file for images in by_class for file in images]
        x = np.empty((len(files), height, width, channels), np.uint8)
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes without the GIL
            resized += sum(pool.map(_decode, files, x))
        labels = np.repeat(np.arange(len(names)), [len(images) for images in by_class])
        raw[split] = (x if len(input_shape) == 4 else x[..., 0], labels)
    notes = []
    if resized:
        notes.append(f"{resized} images were resized to {height}x{width} pixels (bilinear)")
    if skipped:
        notes.append(f"{len(skipped)} files that are not images were skipped, such as {skipped[0].relative_to(folder)}")
    return RawData(raw, tuple(names), tuple(notes))


def _size(folder: Path, input_shape: tuple[int | None, ...]) -> tuple[int, int, int]:
    sample = input_shape[1:] if len(input_shape) == 4 else (*input_shape[1:], 1)
    height, width, channels = sample if len(sample) == 3 else (None, None, None)
    if channels not in MODES:
        raise DataError(
            f"{folder} is a folder of images, the model takes {input_shape[1:]}; it must be (height, width, channels) with "
            f"{', '.join(map(str, MODES))} channels. Give the data as an .npz or module:function."
        )
    if height is None or width is None:
        raise DataError(
            f"{folder}: the model takes images of any size, {input_shape[1:]}, so the size to bring them to is not known. "
            "Give arrays of one size (.npz or module:function)."
        )
    return height, width, channels


def _split_folders(folder: Path) -> dict[str, Path]:
    """Split -> its folder; a folder without splits is all train."""
    found = _folders(folder, folder)
    inside = [path for path in found if path.name in SPLIT_FOLDERS]
    if not inside:
        return {"train": folder}
    if len(inside) != len(found):
        other = next(path.name for path in found if path not in inside)
        raise DataError(
            f"{folder} holds splits ({inside[0].name}) and other folders ({other}) side by side. Move one of them."
        )
    splits: dict[str, Path] = {}
    for path in inside:
        split = SPLIT_FOLDERS[path.name]
        if split in splits:
            raise DataError(f"{folder} has the {split} split twice: {splits[split].name} and {path.name}")
        splits[split] = path
    return splits


def _folders(root: Path, folder: Path) -> list[Path]:
    found = [path for path in _entries(root, folder) if path.is_dir()]
    if not found:
        raise DataError(f"{folder} holds no folders. It must have one folder for each class, with the images in it.")
    return found


def _images(root: Path, folder: Path, skipped: list[Path]) -> list[Path]:
    entries = _entries(root, folder)
    inner = [path for path in entries if path.is_dir()]
    if inner:
        raise DataError(
            f"{inner[0]} is a folder inside a class folder. The images of a class must be in {folder} itself."
        )
    images = [path for path in entries if path.suffix.lower() in SUFFIXES]
    skipped.extend(path for path in entries if path.suffix.lower() not in SUFFIXES)
    if not images:
        raise DataError(f"{folder} holds no images ({', '.join(SUFFIXES)}). Fill it, or remove the class.")
    return images


def _entries(root: Path, folder: Path) -> list[Path]:
    """The entries of a folder by name, without hidden files. Raises ``DataError`` for a link that leads out of ``root``."""
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    inside = root.resolve()
    for path in entries:
        if path.is_symlink() and not path.resolve().is_relative_to(inside):
            raise DataError(
                f"{path} is a link that leads out of {root}. Copy the file, or give the folder that contains it."
            )
    return entries


def _decode(file: Path, into: np.ndarray) -> bool:
    """Write an image into (height, width, channels) uint8; was it resized?"""
    from PIL import Image

    height, width, channels = into.shape
    try:
        with Image.open(file) as image:
            image.load()
            wide = image.mode.startswith("I") or image.mode == "F"
            if not wide:
                same = image.size == (width, height)
                plain = image.convert(MODES[channels])
                if not same:
                    plain = plain.resize((width, height), Image.Resampling.BILINEAR)
                into[...] = np.asarray(plain).reshape(into.shape)
    except Exception as error:  # decoders raise whatever their format calls for
        raise DataError(
            f"{file} does not decode as an image: {type(error).__name__}: {error}. Remove or replace it."
        ) from error
    if wide:
        raise DataError(f"{file} has more than 8 bits a channel (mode {image.mode}). Give such data as an .npz.")
    return not same
