"""The job measure_layers: statistics of the layers of a float file, once a run."""

from litetuner.spaces.building.contexts import make_context
from litetuner.spaces.building.jobs import MeasureLayersJob
from litetuner.spaces.jobs.workspace import Workspace
from litetuner.spaces.reconstruction.allocation.statistics import Statistics, measure
from litetuner.spaces.reconstruction.sequence import samples_of


def measure_layers(job: MeasureLayersJob, workspace: Workspace) -> Statistics:
    """Of the samples that a reconstruction takes. Raises ``Refused`` without any, ``BuildFailed`` with a layer's name."""
    context = make_context(workspace, workspace.inspected(job.inspected), job)
    return measure(workspace.blobs.get(job.file), samples_of(context), job.seed)
