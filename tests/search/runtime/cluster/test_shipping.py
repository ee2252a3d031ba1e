"""What is shipped to the nodes of a cluster, without a cluster."""

from pathlib import Path
from typing import Any

from litetuner.search.config.config import make_config
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime.cluster.shipping import pack
from litetuner.search.runtime.executors.local import sources_of
from litetuner.spaces.jobs.python_functions import name_of


def test_a_shipment_has_all_that_a_local_worker_gets_but_paths_of_this_machine(tmp_path: Path) -> None:
    """A Python function is in no file: it travels with the sources. A metric of a notebook was lost on the way to a cluster."""

    def share(y_true: Any, y_pred: Any) -> float:
        return float((y_true == y_pred.argmax(axis=-1)).mean())

    model = tmp_path / "model.keras"
    model.write_bytes(b"a model")
    run = RunFolder(tmp_path / "run")
    run.create()
    metric = name_of(share, "metric")
    keys = {"model": str(model), "data": "data.npz", "metric": metric, "preprocess": "mine:scaled", "trust_model": True}
    config = make_config(keys | {"custom_objects": "mine:layers"})
    here = sources_of(config)
    shipped = pack(run, config, here, "cpu").sources
    assert metric in here.functions and shipped.functions == here.functions
    assert (shipped.model, shipped.data) == ("model/model.keras", "")
    assert (shipped.trust, shipped.preprocess, shipped.custom_objects) == (True, "mine:scaled", "mine:layers")
