# ruff: noqa: E501 - a table: one file a line
"""Hostile data for a model of images with 4x4 pixels (files of ``TABLE``: a model of four numbers).

Each function of ``DATA`` writes a file or folder and returns its path.
"""

import io
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from strange_files import Maker, Pickled, code_that_shows, links, pipe, plain, sparse

X, Y = np.zeros((40, 4, 4, 1), np.float32), np.arange(40) % 3


def npy(values: Any, **keys: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values, **keys)
    return buffer.getvalue()


def header(text: str, content: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    """An ``.npy`` with the header ``text``, which does not have to fit ``content``."""
    body = text.encode() + b" " * (64 - (len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H" if version[0] == 1 else "<I", len(body)) + body + content


def shape(sizes: str, dtype: str = "'<f4'") -> bytes:
    return header(f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {sizes}, }}", b"\0" * 64)


def npz(**members: Any) -> Maker:
    """An ``.npz`` of valid arrays; ``members`` (bytes, arrays or functions of the folder) replace or add arrays."""

    def make(folder: Path) -> Path:
        content: dict[str, Any] = {"x_train": X, "y_train": Y} | members
        with zipfile.ZipFile(folder / "data.npz", "w", zipfile.ZIP_DEFLATED) as file:
            for name, value in content.items():
                value = value(folder) if callable(value) else value
                file.writestr(f"{name}.npy", value if isinstance(value, bytes) else npy(value))
        return folder / "data.npz"

    return make


def bomb(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "data.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("y_train.npy", npy(np.zeros(1_000_000, np.int64)))
        with file.open("x_train.npy", "w", force_zip64=True) as member:
            member.write(header("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 4, 4, 64), }"))
            for _ in range(4096):
                member.write(b"\0" * 1_000_000)
    return folder / "data.npz"


def named(*names: str) -> Maker:
    def make(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "data.npz", "w") as file:
            for name in names:
                file.writestr(name.replace("HERE", str(folder)), npy(X if "x" in name else Y))
        return folder / "data.npz"

    return make


def twice(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "data.npz", "w") as file:
        for value in (X, X * np.nan):
            file.writestr("x_train.npy", npy(value))
        file.writestr("y_train.npy", npy(Y))
    return folder / "data.npz"


def torn(folder: Path) -> Path:
    path = npz()(folder)
    path.write_bytes(path.read_bytes()[:-30])
    return path


def lying_directory(folder: Path) -> Path:
    """An ``.npz`` whose directory has a wrong size for one member."""
    path = npz()(folder)
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", 0xFFFFFFF0)
    path.write_bytes(content)
    return path


def overlapping(folder: Path) -> Path:
    """An ``.npz`` in which two entries of the directory point to one member."""
    path = npz()(folder)
    content = bytearray(path.read_bytes())
    first, last = content.index(b"PK\x01\x02"), content.rindex(b"PK\x01\x02")
    content[last + 42 : last + 46] = content[first + 42 : first + 46]
    path.write_bytes(content)
    return path


def png(width: int, height: int, rows: int = 1, color: int = 0, depth: int = 8, **chunks: bytes) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    packed = zlib.compressobj(9)
    line = b"\0" * (width * {0: 1, 2: 3, 6: 4}[color] * depth // 8 + 1)
    content = b"".join(packed.compress(line) for _ in range(rows)) + packed.flush()
    more = b"".join(chunk(name.encode(), body) for name, body in chunks.items())
    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + more + chunk(b"IDAT", content) + chunk(b"IEND", b"")


def images(
    name: str = "1.png", content: bytes | None = None, change: Callable[[Path, Path], object] | None = None
) -> Maker:
    """Three class folders with ten images each, plus one more image ``content``, or a ``change`` of the folder."""

    def make(folder: Path) -> Path:
        root = folder / "images"
        for label in "abc":
            (root / label).mkdir(parents=True)
            for number in range(10):
                (root / label / f"{number}.png").write_bytes(png(4, 4, 4))
        if content is not None:
            (root / "a" / name).write_bytes(content)
        if change is not None:
            change(root, folder)
        return root

    return make


def _tiff(width: int, height: int) -> bytes:
    entries = [
        (256, width),
        (257, height),
        (258, 8),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, height),
        (279, 1 << 30),
    ]
    return (
        b"II*\0\x08\0\0\0"
        + struct.pack("<H", len(entries))
        + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
        + b"\0" * 4
    )


def _bmp(width: int, height: int) -> bytes:
    return (
        b"BM"
        + struct.pack("<IHHI", 54, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    )


def _gif(width: int, height: int) -> bytes:
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", width, height, 0x80, 0, 0)
        + b"\0" * 6
        + b","
        + struct.pack("<HHHHB", 0, 0, width, height, 0)
        + b"\x02\x01\x44\0;"
    )


def _jpeg(width: int, height: int) -> bytes:
    return b"\xff\xd8\xff\xc0\x00\x0b\x08" + struct.pack(">HH", height, width) + b"\x01\x01\x11\x00\xff\xd9"


def csv(text: str | bytes, name: str = "data.csv") -> Maker:
    return plain(name, text.encode() if isinstance(text, str) else text)


ROWS = "a,b,c,d,label\n" + "1,2,3,4,0\n1,2,3,4,1\n1,2,3,4,2\n" * 15
DATA: dict[str, Maker] = {
    "pickle in npz": npz(x_train=lambda folder: npy(np.array([Pickled(code_that_shows(folder))], object), allow_pickle=True)),
    "pickle as labels": npz(y_train=lambda folder: npy(np.array([Pickled(code_that_shows(folder))] * 40, object), allow_pickle=True)),
    "pickle behind a number's header": npz(x_train=lambda folder: shape("(40, 4, 4, 1)", "'|O'") + pickle.dumps(Pickled(code_that_shows(folder)))),
    "pickle as npz": lambda folder: plain("data.npz", pickle.dumps(Pickled(code_that_shows(folder))))(folder),
    "pickle as csv": lambda folder: plain("data.csv", pickle.dumps(Pickled(code_that_shows(folder))))(folder),
    "pickle as parquet": lambda folder: plain("data.parquet", pickle.dumps(Pickled(code_that_shows(folder))))(folder),
    "unknown key with a pickle": npz(extra=lambda folder: npy(np.array([Pickled(code_that_shows(folder))], object), allow_pickle=True)),
    "code in the header": npz(x_train=lambda folder: header(f"{{'descr': '<f4', 'fortran_order': {code_that_shows(folder)}, 'shape': (40, 4, 4, 1), }}")),
    "bomb": bomb,
    "a shape of 2**60": npz(x_train=shape("(1152921504606846976, 4, 4, 1)")),
    "a shape of 2**40": npz(x_train=shape("(1099511627776, 4, 4, 1)")),
    "a shape beyond integers": npz(x_train=shape(f"({'9' * 400},)")),
    "a shape that overflows": npz(x_train=shape("(4294967296, 4294967296, 4, 1)")),
    "a negative shape": npz(x_train=shape("(-1, 4, 4, 1)")),
    "a shape of many axes": npz(x_train=shape("(" + "1," * 500 + ")")),
    "zero samples": npz(x_train=shape("(0, 4, 4, 1)"), y_train=np.zeros(0, int)),
    "fewer values than told": npz(x_train=shape("(40, 4, 4, 1)")),
    "a header of 4 GB": npz(x_train=b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + b" " * 100),
    "a nested header": npz(x_train=header("(" * 9000 + ")" * 9000)),
    "a header of another version": npz(x_train=header("{}", version=b"\x09\x00")),
    "no header": npz(x_train=b"\0" * 100),
    "nested fields": npz(x_train=shape("(40,)", "[('a', " * 50 + "'<f4'" + ")]" * 50)),
    "an item of a gigabyte": npz(x_train=shape("(40,)", "'|V1000000000'")),
    "text of a gigabyte": npz(y_train=shape("(40,)", "'<U250000000'")),
    "dates": npz(x_train=np.zeros((40, 4, 4, 1), "datetime64[s]")),
    "complex numbers": npz(x_train=X.astype(complex)),
    "NaN": npz(x_train=X * np.nan),
    "labels of 2**62": npz(y_train=Y + 2**62),
    "negative labels": npz(y_train=-Y - 5),
    "text of escapes as labels": npz(y_train=np.array(["\x1b[2J", "<script>", "=1+1"] * 13 + ["a"])),
    "labels with axes": npz(y_train=np.zeros((40, 1, 1, 1, 1, 1, 1, 1), int)),
    "traversal": named("../../x_train.npy", "y_train.npy"),
    "absolute names": named("HERE/canary.npy", "x_train.npy", "y_train.npy"),
    "odd names": named("x_train.npy", "y_train.npy", "\x1b[2J.npy", "a" * 60_000, "con:.npy", "x_train.npy.npy"),
    "only odd names": named("\x1b[2J\n.npy"),
    "the same name twice": twice,
    "a torn archive": torn,
    "a directory that lies": lying_directory,
    "overlapping members": overlapping,
    "100,000 members": named("x_train.npy", "y_train.npy", *(f"{number}.npy" for number in range(10_000))),
    "a device": links("data.npz", "/dev/zero"),
    "a terabyte": sparse("data.npz"),
    "a terabyte of csv": sparse("data.csv"),
    "a pipe": pipe,
    "image of 65,000 x 65,000": images("big.png", png(65_000, 65_000, 1)),
    "image of 2**31 x 1": images("big.png", png(2**31 - 1, 1, 0)),
    "image bomb of 400 million pixels": images("big.png", png(20_000, 20_000, 20_000)),
    "image of no size": images("none.png", png(0, 0)),
    "bomb in a text chunk": images("text.png", png(4, 4, 4, zTXt=b"k\0\0" + zlib.compress(b" " * 100_000_000))),
    "bmp of 2**30": images("big.bmp", _bmp(1 << 30, 1 << 30)),
    "bmp of negative size": images("big.bmp", _bmp(-5, -(1 << 31))),
    "gif of 65,535": images("big.gif", _gif(65_535, 65_535)),
    "jpeg of 65,535": images("big.jpg", _jpeg(65_535, 65_535)),
    "tiff as png": images("big.png", _tiff(1 << 20, 1 << 20)),
    "postscript as png": images("ps.png", b"%!PS-Adobe-3.0\n%%BoundingBox: 0 0 9 9\n(canary) (w) file\n"),
    "svg as png": images("svg.png", b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><svg>&a;</svg>"),
    "link out of the folder": images(change=lambda root, folder: (root / "a" / "link.png").symlink_to(folder / "secret")),
    "folder that is a link out": images(change=lambda root, folder: (root / "d").symlink_to(folder)),
    "folder in a circle": images(change=lambda root, folder: (root / "d").symlink_to(root)),
    "device as image": images(change=lambda root, folder: (root / "a" / "zero.png").symlink_to("/dev/zero")),
    "pipe as image": images(change=lambda root, folder: os.mkfifo(root / "a" / "pipe.png")),
    "escapes as class": images(change=lambda root, folder: (root / "a").rename(root / "\x1b[2J<script>\n=1")),
    "a cell of 100 MB": csv(ROWS + "1,2,3," + "9" * 100_000_000 + ",1\n"),
    "a quote that never ends": csv(ROWS + '"' + "x," * 1_000_000),
    "100,000 columns": csv(",".join(f"c{number}" for number in range(100_000)) + ",label\n" + "1," * 100_000 + "0\n"),
    "columns of one name": csv("a,a,a,label,label\n" + "1,2,3,4,0\n" * 30),
    "rows of many lengths": csv(ROWS + "1\n1,2,3,4,5,6,7,8\n"),
    "formulas": csv("a,b,c,d,label\n" + "1,2,3,4,=cmd|' /C calc'!A0\n" * 30),
    "binary as csv": csv(bytes(range(256)) * 100),
    "infinite numbers": csv(ROWS + "inf,-inf,nan,1e999,0\n"),
    "an empty table": csv(""),
    "only a head": csv("a,b,c,d,label\n"),
    "compressed csv": csv(zlib.compress(b"1" * 1_000_000), "data.csv"),
    "parquet that lies": plain("data.parquet", b"PAR1" + b"\xff" * 100 + struct.pack("<I", 1 << 30) + b"PAR1"),
    "tfrecord": plain("data.tfrecord", struct.pack("<QI", 1 << 60, 0) + b"\0" * 100),
    "tfrecord as npz": plain("data.npz", struct.pack("<QI", 1 << 60, 0) + b"\0" * 100),
}  # fmt: skip
TABLE = (".csv", ".parquet")
