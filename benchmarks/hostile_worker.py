"""The worker that ``hostile_files`` starts. It opens the file of each job with litetuner's own loading code.

``audit.txt`` in the run folder lists the files that it opens for writing, the processes that it starts, and its
connections.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from litetuner.search.runtime import worker
from litetuner.spaces.jobs.workspace import Sources, Workspace

STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.posix_spawn", "socket.connect")


def watch(folder: Path) -> None:
    allowed = (str(folder.absolute()), tempfile.gettempdir(), "/dev/", "/proc/")
    notes = os.open(folder / "audit.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        writes = (
            event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        )
        outside = writes and isinstance(arguments[0], str) and not arguments[0].startswith(allowed)
        outside = outside or (event == "ctypes.dlopen" and not str(arguments[0]).startswith(sys.prefix))
        if outside or event in STARTS or (event == "import" and str(arguments[0]).startswith("hostile_module")):
            os.write(notes, f"{event} {str(arguments)[:200]!r}\n".encode())

    sys.addaudithook(hook)


def handlers(workspace: Workspace) -> dict[str, worker.Handler]:
    from litetuner.objectives.scoring.scorer import describe_metric
    from litetuner.spaces import tf
    from litetuner.spaces.building.describe import describe
    from litetuner.spaces.building.inspect import prepare
    from litetuner.spaces.building.jobs import InspectJob
    from litetuner.spaces.building.models import user_model
    from litetuner.spaces.jobs.environment import Environment
    from litetuner.spaces.jobs.job import Limits
    from litetuner.spaces.models.decision import OutputSettings

    tf.load()
    import keras  # noqa: F401 - imported before the audit starts, because imports may start processes
    import tf_keras  # noqa: F401

    watch(workspace.folder)

    def open_it(given: dict[str, Any]) -> dict[str, Any]:
        here = Workspace(
            workspace.folder,
            workspace.blobs,
            workspace.artifacts,
            Sources(given["model"], given["data"], given["trust"]),
        )
        if not given["data"]:
            describe(here)
            return {}
        job = InspectJob(
            environment=Environment({}, "", ""), limits=Limits(0, 0), model_content="", data_content="", label=given["label"],
            metric="accuracy", outputs=OutputSettings(), loss=None, class_weights=None, preprocess=None, custom_objects=None,
            seed=0, batch_size=8, calibration=8,
        )  # fmt: skip
        prepare(user_model(here.sources), describe_metric("accuracy"), job, here)
        return {}

    return {"open": open_it}


worker.ROLES["build"] = handlers
worker.main(sys.argv[1:])
