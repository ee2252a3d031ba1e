"""How much memory each process of a search uses when the data is large.

    python benchmarks/memory.py WORK --gigabytes 1 --trials 5 --out benchmarks/results/memory.json

Data of this size is written in several forms: a stored .npz, a compressed .npz, a function that returns a
`tf.data.Dataset` of a generator, a stored .npz of images with a mask each, and tables (Parquet, and CSV with a quarter
of the rows). A search is started for each. `trained` searches prune and use quantization-aware training; `weighted`
also have weights of samples and classes. Every 50 ms, `/proc/PID/status` of each process is read: RssAnon + RssShmem,
the memory without a copy on disk. Pages of files (RssFile: libraries and mapped arrays) do not count, because the
kernel can drop them when memory is short. The result for a process is its highest value. `stored libraries` is the same
search on 400 images (5 MB), which shows the memory of the libraries alone.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

SIDE, CLASSES, BATCH, FEWEST = 64, 4, 256, 400
SHARES = {"train": 0.8, "search": 0.1, "test": 0.1}
TRAINED = ["--steps", "prune,qat,int8"]
SEARCH = {
    "stored": ["--data", "stored.npz"],
    "compressed": ["--data", "compressed.npz"],
    "generator": ["--data", "memory:dataset"],
    "masks": ["--data", "masks.npz"],
    "trained": ["--data", "trained.npz", *TRAINED],
    "weighted": ["--data", "weighted.npz", "--class-weights", "balanced", *TRAINED],
    "masks_trained": ["--data", "masks_trained.npz", "--metric", "mean-iou", *TRAINED],
    "parquet": ["--data", "table.parquet", "--label", "y", *TRAINED],
    "csv": ["--data", "table.csv", "--label", "y"],
}
WORKERS = ("build", "score")
COLUMNS, PART = 32, 50_000  # tables: number of float64 columns, and rows that are written at a time


def images(count: int, masks: bool = False, seed: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches of uint8 images (b, 64, 64, 3) with a bright quarter, and its number (b,) or its mask (b, 64, 64)."""
    rng = np.random.default_rng(seed)
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        x, y = rng.integers(0, 64, (size, SIDE, SIDE, 3), np.uint8), rng.integers(0, CLASSES, size)
        mask, half = np.zeros((size, SIDE, SIDE), np.uint8), SIDE // 2
        for row, quarter in enumerate(y):
            top, left = half * (quarter // 2), half * (quarter % 2)
            x[row, top : top + half, left : left + half] += 32
            mask[row, top : top + half, left : left + half] = 1
        yield x, mask if masks else y


def dataset() -> Any:
    """The train split as a dataset of a generator. The search takes the other splits from it."""
    import tensorflow as tf

    types = (tf.TensorSpec((None, SIDE, SIDE, 3), tf.uint8), tf.TensorSpec((None,), tf.int64))
    return tf.data.Dataset.from_generator(lambda: images(int(os.environ["MEMORY_COUNT"])), output_signature=types)


def write_table(path: Path, count: int) -> None:
    """Write a table with ``COLUMNS`` numeric columns and a text label."""
    import pandas
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    rng, writer = np.random.default_rng(0), None
    for start in range(0, count, PART):
        x = rng.normal(size=(min(PART, count - start), COLUMNS))
        table = pandas.DataFrame(x, columns=[f"c{number}" for number in range(COLUMNS)])
        table["y"] = np.array(["low", "high"])[(x[:, :3].sum(axis=1) > 0).astype(int)]
        if path.suffix == ".csv":
            table.round(6).to_csv(path, mode="a" if start else "w", header=not start, index=False)
            continue
        part = pyarrow.Table.from_pandas(table, preserve_index=False)
        writer = writer or ParquetWriter(path, part.schema)
        writer.write_table(part)
    if writer is not None:
        writer.close()


def write(path: Path, count: int, compressed: bool, masks: bool, weighted: bool = False) -> None:
    """Write an .npz batch by batch."""
    how = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", how, compresslevel=1) as archive:
        for seed, (split, share) in enumerate(SHARES.items()):
            some, shapes = round(count * share), {"x": (SIDE, SIDE, 3), "y": (SIDE, SIDE) if masks else ()}
            for part, axis in enumerate("xy"):
                with archive.open(f"{axis}_{split}.npy", "w", force_zip64=True) as file:
                    dtype = "|u1" if axis == "x" or masks else "<i8"
                    header = {"descr": dtype, "fortran_order": False, "shape": (some, *shapes[axis])}
                    np.lib.format.write_array_header_1_0(file, header)
                    for batch in images(some, masks, seed):
                        file.write(batch[part].tobytes())
            if weighted and split == "train":
                with archive.open("w_train.npy", "w") as file:
                    np.save(file, np.random.default_rng(1).uniform(0.5, 2, some).astype(np.float32))


def write_model(path: Path, masks: bool, table: bool = False) -> None:
    """Write a model that is trained shortly on little data. This benchmark is about memory, so any model is enough."""
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    if table:
        x = np.random.default_rng(1).normal(size=(2000, COLUMNS)).astype(np.float32)
        model = keras.Sequential(
            [keras.Input((COLUMNS,)), layers.Dense(32, "relu"), layers.Dense(32, "relu"), layers.Dense(2, "softmax")]
        )
        model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
        # Class 0 is "high", because class names are sorted.
        model.fit(x, (x[:, :3].sum(axis=1) <= 0).astype(int), epochs=8, verbose=0)
        model.save(path)
        return
    parts = [
        keras.Input((SIDE, SIDE, 3)),
        layers.Rescaling(1 / 255.0),
        layers.Conv2D(8, 3, 4, "same", activation="relu"),
    ]
    tail = (
        [layers.Conv2DTranspose(1, 4, strides=4, activation="sigmoid")]
        if masks
        else [layers.Conv2D(8, 3, 4, "same", activation="relu"), layers.Flatten(), layers.Dense(CLASSES, "softmax")]
    )
    model = keras.Sequential([*parts, *tail])
    model.compile(keras.optimizers.Adam(3e-3), "binary_crossentropy" if masks else "sparse_categorical_crossentropy")
    x, y = next(images(BATCH, masks, 9))
    model.fit(x, y[..., None] if masks else y, epochs=8, verbose=0)
    model.save(path)


def watched(command: list[str], where: Path, count: int) -> dict[str, Any]:
    """The highest RssAnon + RssShmem of a command's processes in MiB, by role."""
    variables = os.environ | {"MEMORY_COUNT": str(count), "PYTHONPATH": str(Path(__file__).parent)}
    started, highest, names = time.monotonic(), {}, {}
    with (where / "log.txt").open("w") as log:
        search = subprocess.Popen(command, cwd=where, env=variables, stdout=log, stderr=log)
        root = psutil.Process(search.pid)
        while search.poll() is None:
            for process in [root, *children(root)]:
                if (held := anonymous(process.pid)) is not None:
                    highest[process.pid] = max(highest.get(process.pid, 0), held)
                    known = names.get(process.pid, "other")
                    # Between fork and exec, a process has the command of its parent, and at its end it has none.
                    if known not in WORKERS:
                        names[process.pid] = found if (found := role(process)) != "other" else known
            time.sleep(0.05)
    peaks: dict[str, float] = {}
    for pid, held in highest.items():
        peaks[names[pid]] = max(peaks.get(names[pid], 0), round(held / 2**20, 1))
    return {"code": search.returncode, "seconds": round(time.monotonic() - started), "peak_mib": peaks}


def children(root: psutil.Process) -> list[psutil.Process]:
    try:
        found: list[psutil.Process] = root.children(recursive=True)
    except psutil.Error:
        return []
    return found


def anonymous(pid: int) -> int | None:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("RssAnon", "RssShmem")))


def role(process: psutil.Process) -> str:
    """The role of a process: ``search``, the role of a worker, or ``other``."""
    try:
        command = process.cmdline()
    except psutil.Error:
        return "other"
    return next((part for part in command if part in ("search", *WORKERS)), "other")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--only", default=",".join(SEARCH))
    parser.add_argument("--out", type=Path, default=Path("memory.json"), help="what is there is not done again")
    options = parser.parse_args()
    rows = json.loads(options.out.read_text()) if options.out.exists() else {}
    runs = [("stored libraries", 0.0), *((name, options.gigabytes * 1e9) for name in options.only.split(","))]
    for name, size in runs:
        if name not in rows:
            row = {"parquet": 8 * COLUMNS, "csv": 4 * 8 * COLUMNS}.get(name, SIDE * SIDE * 3)
            count = max(FEWEST, round(size / row))
            rows[name] = searched(name.split()[0], options.folder / name.replace(" ", "_"), count, options.trials)
            options.out.write_text(json.dumps(rows, indent=1) + "\n")
            print(name, rows[name], flush=True)


def searched(name: str, where: Path, count: int, trials: int) -> dict[str, Any]:
    """Make data and model of one kind, and run a search."""
    where.mkdir(parents=True, exist_ok=True)
    masks, table = name.startswith("masks"), name in ("parquet", "csv")
    if table:
        write_table(where / SEARCH[name][1], count)
    elif name != "generator":
        write(where / SEARCH[name][1], count, name == "compressed", masks, name == "weighted")
    write_model(where / "model.keras", masks, table)
    command = [str(Path(sys.executable).with_name("litetuner")), "search", "--model", "model.keras", *SEARCH[name]]
    command += ["--trials", str(trials), "--max-epochs", "0.2", "--max-drop", "5%"]
    about = {"date": time.strftime("%Y-%m-%d"), "samples": count, "load": round(os.getloadavg()[1], 1)}
    return watched(command, where, count) | about


if __name__ == "__main__":
    main()
