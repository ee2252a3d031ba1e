"""Compress a regression model on tabular data, scored by a custom metric.

python tabular_regression.py [--trials N]
"""

from __future__ import annotations

import argparse

import numpy as np

import litetuner


def within_a_tenth(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """Share of predictions with an error below a tenth of the labels' standard deviation."""
    errors = np.abs(y_true.reshape(-1) - y_pred.reshape(-1))
    return float((errors < 0.1 * y_true.std()).mean())


within_a_tenth.task = "regression"  # labels are numbers, not classes
within_a_tenth.bounded = True  # in [0, 1]: a drop of 1% is one point
within_a_tenth.default_loss = "mean_absolute_error"  # minimized in training


def make_data() -> dict[str, np.ndarray]:
    """Create Friedman's first problem: ten features, of which five are relevant."""
    from sklearn.datasets import make_friedman1

    x, y = make_friedman1(n_samples=3000, n_features=10, noise=0.1, random_state=0)
    x, y = x.astype("float32"), y.astype("float32")
    return {"x_train": x[:2000], "y_train": y[:2000], "x_search": x[2000:2500], "y_search": y[2000:2500]} | {
        "x_test": x[2500:],
        "y_test": y[2500:],
    }


def train_model(data: dict[str, np.ndarray], epochs: int = 60) -> object:
    """Train two hidden layers; a Normalization layer scales the features."""
    import keras

    keras.utils.set_random_seed(0)
    scale = keras.layers.Normalization(name="scale")
    scale.adapt(data["x_train"])
    inputs = keras.Input((10,))
    x = keras.layers.Dense(64, activation="relu")(scale(inputs))
    x = keras.layers.Dense(64, activation="relu")(x)
    model = keras.Model(inputs, keras.layers.Dense(1)(x), name="friedman")
    model.compile(keras.optimizers.Adam(3e-3), "mean_absolute_error")
    model.fit(data["x_train"], data["y_train"], epochs=epochs, batch_size=64, verbose=0)
    return model


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--trials", type=int, help="stop after this many trials; default: after five minutes")
    limits = vars(arguments.parse_args())

    data = make_data()
    run = litetuner.tune(
        train_model(data),
        data,
        metric="tabular_regression:within_a_tenth",
        max_drop="3%",
        max_compressed_size="15kB",
        out="runs/tabular_regression",
        **(limits if limits["trials"] else {"time_budget": "5m"}),
    )
    best = run.best()
    if best is None:
        print(f"nothing fits the budgets; see {run.path}/report.html for the budgets to relax")
        return
    print(f"{best['label']}: {best['compressed_bytes']} bytes compressed, {best['metric']:.3f} within a tenth")
    print(run.export("exported/tabular_regression", force=True))


if __name__ == "__main__":
    main()
