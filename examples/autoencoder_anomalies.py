"""Compress an autoencoder, scored by how well its reconstruction error finds abnormal recordings.

python autoencoder_anomalies.py [--trials N]
"""

from __future__ import annotations

import argparse

import numpy as np

import litetuner


def recording_auc(y_true: np.ndarray, y_pred: np.ndarray, x: np.ndarray, groups: np.ndarray) -> float:
    """AUC of the mean reconstruction error of each recording; ``groups`` are the recordings, from g_search and g_test."""
    from sklearn.metrics import roc_auc_score

    errors = ((x - y_pred) ** 2).mean(axis=1)
    recordings = [groups == recording for recording in np.unique(groups)]
    return float(roc_auc_score([y_true[r].max() for r in recordings], [errors[r].mean() for r in recordings]))


recording_auc.bounded = True  # in [0, 1]: a drop of 1% is one point


def make_data() -> dict[str, np.ndarray]:
    """Spectra of a machine, ten frames a recording; every second recording for search and test has a weak extra tone."""
    rng = np.random.default_rng(0)
    tones = rng.random((6, 32))

    def spectra(recordings: int, abnormal: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        groups = np.repeat(np.arange(recordings), 10)
        y = groups % 2 if abnormal else np.zeros(len(groups), int)
        x = rng.random((len(groups), 6)) @ tones + 0.1 * rng.normal(size=(len(groups), 32))
        x[:, 20] += 0.3 * y
        return x.astype("float32"), y, groups

    x_train, _, _ = spectra(150, abnormal=False)
    found = {"x_train": x_train, "y_train": x_train}  # an autoencoder learns to give its input back
    for split in ("search", "test"):
        found[f"x_{split}"], found[f"y_{split}"], found[f"g_{split}"] = spectra(60, abnormal=True)
    return found


def train_model(data: dict[str, np.ndarray], epochs: int = 12) -> object:
    """Train an autoencoder with a bottleneck of 8; the search trains with its compiled loss, mse."""
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((32,))
    x = keras.layers.Dense(64, activation="relu")(inputs)
    x = keras.layers.Dense(64, activation="relu")(keras.layers.Dense(8)(x))
    model = keras.Model(inputs, keras.layers.Dense(32)(x), name="autoencoder")
    model.compile(keras.optimizers.Adam(3e-3), "mse")
    model.fit(data["x_train"], data["y_train"], epochs=epochs, batch_size=32, verbose=0)
    return model


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--trials", type=int, help="stop after this many trials; default: after five minutes")
    limits = vars(arguments.parse_args())

    data = make_data()
    run = litetuner.tune(
        train_model(data),
        data,
        metric="autoencoder_anomalies:recording_auc",
        max_drop="3%",
        out="runs/autoencoder_anomalies",
        **(limits if limits["trials"] else {"time_budget": "5m"}),
    )
    best = run.best()
    if best is None:
        print(f"nothing fits the budgets; see {run.path}/report.html for the budgets to relax")
        return
    print(f"{best['label']}: {best['compressed_bytes']} bytes compressed, {best['metric']:.3f} AUC of recordings")
    print(run.export("exported/autoencoder_anomalies", force=True))


if __name__ == "__main__":
    main()
