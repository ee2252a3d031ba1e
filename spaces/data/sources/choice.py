"""Choose the data source: an ``.npz``, a table, a folder of images, or a user function."""

from collections.abc import Sequence
from pathlib import Path

from litetuner.spaces.data.raw import RawData
from litetuner.spaces.data.sources.functions import read_function
from litetuner.spaces.data.sources.images import read_images
from litetuner.spaces.data.sources.npz import read_npz
from litetuner.spaces.data.sources.streams import Streams
from litetuner.spaces.data.sources.tables import SUFFIXES, read_table
from litetuner.spaces.errors import DataError, nearest
from litetuner.spaces.info import TensorInfo
from litetuner.spaces.user_function import is_function


def read_source(
    source: str,
    inputs: Sequence[TensorInfo],
    *,
    resize: Sequence[str] = ("bilinear",),
    label: str | None = None,
    streams: Streams | None = None,
) -> RawData:
    """Read a folder of images, an ``.npz`` file, a table, or the result of ``module:function``. Raises ``DataError``.

    ``inputs`` are the model's inputs; images are resized to the only one. ``label`` is the label column of a table.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return read_images(path, inputs[0], resize)
    if path.is_file():
        scratch = None if streams is None else streams.scratch
        table = path.suffix.lower() in SUFFIXES
        return read_table(path, label, scratch) if table else read_npz(path, scratch)
    if is_function(source):
        return read_function(source, inputs[0].shape, {item.name: item.shape for item in inputs}, streams)
    hint = nearest(path.name, [item.name for item in path.parent.iterdir()]) if path.parent.is_dir() else ""
    raise DataError(
        f"--data {source}: there is no such file or folder{hint}. "
        "Give an .npz, a .csv, a .parquet, a folder of class folders of images, or module:function."
    )
