"""Large arrays of an ``.npz`` are mapped, not read: their values are those that NumPy reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from litetuner.spaces.data.arrays import release
from litetuner.spaces.data.raw import RawData
from litetuner.spaces.data.sources import npz
from litetuner.spaces.data.sources.npz import read_npz
from litetuner.spaces.errors import DataError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 4, 3)).astype("f4")


@pytest.fixture(autouse=True)
def _all_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npz, "LARGE_BYTES", 0)


def train(found: RawData) -> tuple[np.ndarray, np.ndarray]:
    x, y = found.splits["train"]
    assert isinstance(x, np.ndarray) and isinstance(y, np.ndarray)
    return x, y


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_they_are_mapped_with_their_values(save: object, tmp_path: Path) -> None:
    y = np.array(["cat", "mouse"] * 25)
    save(tmp_path / "d.npz", x_train=np.asfortranarray(X), y_train=y, other=X)  # type: ignore[operator]
    found = read_npz(tmp_path / "d.npz", tmp_path)
    x, labels = train(found)
    assert isinstance(x, np.memmap) and not x.flags.writeable
    assert np.array_equal(x, X) and np.array_equal(labels, y) and np.array_equal(x[[7, 3]], X[[7, 3]])
    assert found.notes == ("keys of d.npz that are not used: other",)
    release(x)
    assert np.array_equal(x, X)
    assert [item.name for item in tmp_path.iterdir()] == ["d.npz"]  # unpacked files have no name


def test_damage_and_objects_are_errors(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x_train=X, y_train=np.arange(50))
    content = bytearray((tmp_path / "d.npz").read_bytes())
    content[len(content) // 3] ^= 1
    (tmp_path / "d.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be read: Bad CRC-32.*Is it complete"):
        read_npz(tmp_path / "d.npz")
    np.savez(tmp_path / "o.npz", x_train=np.array([[1], [1, 2]], dtype=object), y_train=np.arange(2))
    with pytest.raises(DataError, match="x_train cannot be read as a plain array"):
        read_npz(tmp_path / "o.npz")
