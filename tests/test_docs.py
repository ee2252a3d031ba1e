"""README and docs: every command, Python snippet and TOML file is run as it is written, page by page, on a small model.

Each page starts in a folder with the demo's model and data, under the names that pages use, and with a finished run,
``runs/NAME``. Searches end after three trials (tests/one_process.py). A block that cannot be run says why in a comment before it;
its command is only parsed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from .documents import COMMANDS, PAGES, Block, Reader, blocks, own_folder, parse, prose
from .one_process import small_searches

pytestmark = pytest.mark.service

MODELS = ("model.keras", "resnet8_cifar10.keras")
DATA = ("data.npz", "cifar10.npz")
MOST_NOT_RUN = 30  # blocks
SHOWN = ("kotlin", "cpp", "yaml")  # languages that nothing here runs: their blocks say why

BLOCKS = [block for page in PAGES for block in blocks(page)]


@pytest.fixture(scope="module", autouse=True)
def _one_process() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        small_searches(patch)
        yield


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what pages need: a model, its data, a run, two exported files."""
    import litetuner
    from litetuner import demo
    from litetuner.spaces.tf import load

    load()
    folder = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "EPOCHS", 15)
        model, data = demo.make_inputs(folder / "inputs")
    for names, source in ((MODELS, model), (DATA, data)):
        for name in names:
            shutil.copy(source, folder / name)
    shutil.rmtree(folder / "inputs")
    with own_folder(folder):
        run = litetuner.tune("model.keras", "data.npz", max_drop="5%", max_size="60kB", out="runs/NAME")
        shutil.copytree("runs/NAME", "runs/OTHER")
        shutil.copy(run.export("exported"), "model.tflite")
        shutil.copy(run.export("baseline", trial=0), "baseline.tflite")
        shutil.rmtree("exported")
        shutil.rmtree("baseline")
    return folder


def pages(*, run: bool) -> list[Path]:
    return [page for page in PAGES if any(block.runs is run for block in blocks(page))]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "page", [page for page in pages(run=True) if page.name != "extending.md"], ids=lambda path: path.name
)
def test_the_blocks_of_a_page_run(page: Path, prepared: Path, tmp_path: Path) -> None:
    folder = tmp_path / "reader"
    shutil.copytree(prepared, folder)
    reader = Reader()
    with own_folder(folder):
        for block in blocks(page):
            if block.runs:
                reader.do(block)


@pytest.mark.parametrize(
    "block",
    [block for block in BLOCKS if block.say.startswith("not run:")],
    ids=lambda block: f"{block.page.name}:{block.line}",
)
def test_blocks_that_are_not_run_are_valid_commands(block: Block) -> None:
    assert len(block.say) > len("not run: because"), "say why"
    for words in block.lines if block.language in COMMANDS else []:
        if words[0] == "litetuner":
            parse(words[1:])


def test_few_blocks_are_not_run() -> None:
    assert sum(block.say.startswith("not run:") for block in BLOCKS) <= MOST_NOT_RUN


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_all_commands_are_in_fenced_blocks(page: Path) -> None:
    """An indented command would not be run."""
    hidden = [
        line for line in prose(page).splitlines() if line.startswith(("    litetuner ", "    python ", "    import "))
    ]
    assert not hidden
    assert "```" not in prose(page)
    for block in blocks(page):
        known = (*COMMANDS, "python", "toml", "text", "json", *(SHOWN if block.say.startswith("not run:") else ()))
        assert block.language in known, f"line {block.line}: which language is it, and why is it not run?"
