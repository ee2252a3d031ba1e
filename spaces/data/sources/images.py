"""Data from a folder that has one folder of images for each class."""

import dataclasses
import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from litetuner.spaces.data.raw import RawData
from litetuner.spaces.errors import ConfigError, DataError, nearest
from litetuner.spaces.info import TensorInfo
from litetuner.spaces.tf import load

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp")
SPLIT_FOLDERS = {"train": "train", "search": "search", "val": "search", "validation": "search", "test": "test"}
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP")  # whatever the file name is; for others Pillow may start programs
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
METHODS = ("bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5")  # of tf.image.resize
FITS = ("crop", "pad")
UPRIGHT = "upright"
ORIENTATION = 0x0112  # EXIF tag
OF_TENSORFLOW = ("JPEG", "MPO", "PNG")  # Keras reads these formats differently from Pillow, or not at all


def read_images(folder: Path, item: TensorInfo, resize: Sequence[str] = ("bilinear",)) -> RawData:
    """Read images in class folders, which may be in split folders (train; search, val or validation; test).

    Classes are numbered in the order of their names. Images are decoded and resized to the model's input ``item`` as in
    ``keras.utils.image_dataset_from_directory``, without antialiasing, and without rotation by EXIF (``resize`` with
    ``upright`` rotates). They are uint8 0 to 255 if none is resized or the model takes integers, else float32.
    ``resize`` names the interpolation, and ``crop`` or ``pad`` to keep the aspect ratio. Files that are not images are
    skipped with a note. Raises ``DataError`` for an image that cannot be decoded, a link that leads out of the folder,
    or classes that differ between splits.
    """
    how, size = parse_resize(resize), _size(folder, item.shape)
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
    files, labels = {}, {}
    for split, path in splits.items():
        by_class = [_images(folder, path / name, skipped) for name in names]
        labels[split] = np.repeat(np.arange(len(names)), [len(images) for images in by_class])
        files[split] = [file for images in by_class for file in images]
    with ThreadPoolExecutor() as pool:
        headers = list(pool.map(_header, itertools.chain(*files.values())))
    resized = sum(header.upright(how) != size[:2] for header in headers)
    dtype = np.dtype(
        np.float32 if resized and how.method != "nearest" and np.dtype(item.dtype).kind == "f" else np.uint8
    )
    raw = {split: (Images(files[split], size, dtype, how, len(item.shape) == 3), labels[split]) for split in splits}
    notes = []
    if resized:
        notes.append(
            f"{resized} images were resized to {size[0]}x{size[1]} pixels ({', '.join(resize)}, as Keras does)"
        )
    rotated = sum(header.orientation != 1 for header in headers)
    if rotated:
        done = "is applied" if how.upright else f"is not applied, as in Keras; {UPRIGHT} in --resize applies it"
        notes.append(f"{rotated} images have an EXIF rotation, which {done}")
    clear = sum(header.alpha for header in headers) if size[2] < 4 else 0
    if clear:
        notes.append(f"{clear} images have an alpha channel, which is left out, as in Keras")
    if skipped:
        notes.append(f"{len(skipped)} files that are not images were skipped, such as {skipped[0].relative_to(folder)}")
    return RawData(raw, tuple(names), tuple(notes))


@dataclasses.dataclass(frozen=True)
class Resize:
    method: str  # of tf.image.resize
    fit: str | None  # crop or pad; None: stretch
    upright: bool = False  # rotate as EXIF says


def parse_resize(given: Sequence[str]) -> Resize:
    """``bilinear``, ``bilinear,crop`` or ``bilinear,upright``. Raises ``ConfigError``."""
    method, *others = given
    fit = [item for item in others if item != UPRIGHT]
    if method not in METHODS or len(fit) > 1 or not set(fit) <= set(FITS):
        known = f"one of {', '.join(METHODS)}, and {' or '.join(FITS)} to keep the aspect ratio, {UPRIGHT} to rotate by EXIF"
        raise ConfigError(f"resize: {','.join(given)} is not known{nearest(method, METHODS)}. Give {known}.")
    return Resize(method, fit[0] if fit else None, UPRIGHT in others)


@dataclasses.dataclass(frozen=True)
class Images:
    """Rows (n, height, width, channels) of images that are decoded on demand, so that memory holds only those rows."""

    files: list[Path]
    size: tuple[int, int, int]
    dtype: np.dtype
    how: Resize
    flat: bool  # without the channel axis

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        chosen = self.files[rows] if isinstance(rows, slice) else [self.files[row] for row in rows]
        x = np.empty((len(chosen), *self.size), self.dtype)
        with ThreadPoolExecutor() as pool:  # decoders run without the GIL
            for _ in pool.map(self._read, chosen, x):
                pass
        return x[..., 0] if self.flat else x

    def _read(self, file: Path, into: np.ndarray) -> None:
        tf = load()
        height, width, channels = self.size
        pixels = _decode(file, channels)
        if self.how.upright:
            pixels = _turned(pixels, _header(file).orientation)
        if pixels.shape == self.size:
            into[...] = pixels
            return
        if self.how.fit == "pad":
            found = tf.image.resize_with_pad(pixels, height, width, method=self.how.method)
        else:
            found = tf.image.resize(_cropped(pixels, height, width, self.how), (height, width), method=self.how.method)
        # Integer inputs truncate the values, as the cast in Keras does. The clip is for methods that overshoot.
        into[...] = found.numpy() if self.dtype.kind == "f" else np.clip(found.numpy(), 0, 255)


def _cropped(pixels: np.ndarray, height: int, width: int, how: Resize) -> np.ndarray:
    """The largest centered part with the aspect ratio of the target, as in ``smart_resize`` of Keras."""
    if how.fit is None:
        return pixels
    has_height, has_width = pixels.shape[:2]
    rows = max(min(has_height, int(np.float32(has_width * height) / np.float32(width))), 1)
    columns = max(min(has_width, int(np.float32(has_height * width) / np.float32(height))), 1)
    top, left = (has_height - rows) // 2, (has_width - columns) // 2
    return pixels[top : top + rows, left : left + columns]


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
    """The folder of each split; a folder without splits is all train."""
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
    """The entries of a folder by name, without hidden files.

    Raises ``DataError`` for a link that leads out of ``root``.
    """
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    inside = root.resolve()
    for path in entries:
        if path.is_symlink() and not path.resolve().is_relative_to(inside):
            raise DataError(
                f"{path} is a link that leads out of {root}. Copy the file, or give the folder that contains it."
            )
        if not (path.is_file() or path.is_dir()):
            raise DataError(f"{path} is neither a file nor a folder. Remove it.")
    return entries


@dataclasses.dataclass(frozen=True)
class Header:
    size: tuple[int, int]  # height, width
    orientation: int  # EXIF value; 1: no rotation
    alpha: bool

    def upright(self, how: Resize) -> tuple[int, int]:
        """Height and width of the image as it is read."""
        return self.size[::-1] if how.upright and self.orientation > 4 else self.size


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels (height, width, channels) in display orientation: mirrored for 2, 4, 5 and 7, then rotated by quarters."""
    mirrored = pixels[:, ::-1] if orientation in (2, 4, 5, 7) else pixels
    quarters = {3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}.get(orientation, 0)
    return np.rot90(mirrored, quarters)


def _header(file: Path) -> Header:
    """The header of an image file; the image is not decoded."""
    from PIL import Image

    try:
        with Image.open(file, formats=FORMATS) as image:
            wide = image.mode.startswith("I") or image.mode == "F"
            found = Header(
                image.size[::-1], int(image.getexif().get(ORIENTATION, 1)), image.has_transparency_data and not wide
            )
    except Exception as error:  # decoders may raise any exception
        raise _broken(file, error) from error
    if wide:
        raise DataError(f"{file} has more than 8 bits a channel (mode {image.mode}). Give such data as an .npz.")
    return found


def _decode(file: Path, channels: int) -> np.ndarray:
    """Pixels (height, width, channels) as uint8: JPEG and PNG decoded by TensorFlow, other formats by Pillow."""
    from PIL import Image

    tf = load()
    try:
        with Image.open(file, formats=FORMATS) as image:
            if image.format not in OF_TENSORFLOW:
                return np.asarray(image.convert(MODES[channels])).reshape(*image.size[::-1], channels)
        decoded: np.ndarray = tf.io.decode_image(file.read_bytes(), channels=channels, expand_animations=False).numpy()
        return decoded
    except Exception as error:
        raise _broken(file, error) from error


def _broken(file: Path, error: Exception) -> DataError:
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    return DataError(f"{file} does not decode as an image: {type(error).__name__}: {said[:200]}. Remove or replace it.")
