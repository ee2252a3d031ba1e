"""Data of a stranger: no program is started, nothing is waited for, and what is wrong is a ``DataError``."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from litetuner.spaces.data.sources.choice import read_npz
from litetuner.spaces.data.sources.images import read_images
from litetuner.spaces.data.sources.tables import read_table
from litetuner.spaces.errors import DataError
from litetuner.spaces.info import TensorInfo

ITEM = TensorInfo("x", (None, 4, 4, 1), "float32")
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(x) (w) file\n"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / name / "1.png")
    return tmp_path


def test_an_image_of_another_format_starts_no_program(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*arguments: Any, **keys: Any) -> None:
        raise AssertionError(f"it started {arguments}")

    monkeypatch.setattr(subprocess, "Popen", started)  # Pillow renders PostScript by Ghostscript
    tiff = io.BytesIO()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tiff, "tiff")
    for content in (POSTSCRIPT, tiff.getvalue()):
        (images / "ant" / "2.png").write_bytes(content)
        with pytest.raises(DataError, match="does not decode as an image"):
            read_images(images, ITEM)


def test_a_pipe_is_not_waited_for(images: Path) -> None:
    os.mkfifo(images / "ant" / "2.png")
    with pytest.raises(DataError, match="neither a file nor a folder"):
        read_images(images, ITEM)


def test_a_shape_beyond_integers_is_no_array(tmp_path: Path) -> None:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({'9' * 400},), }}".encode()
    with zipfile.ZipFile(tmp_path / "data.npz", "w") as file:
        file.writestr("x_train.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text)
    with pytest.raises(DataError, match="x_train cannot be read as a plain array"):
        read_npz(tmp_path / "data.npz")


def test_a_table_without_rows(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a,b,label\n")
    with pytest.raises(DataError, match="has no rows"):
        read_table(tmp_path / "data.csv", "label")
