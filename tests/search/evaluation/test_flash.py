"""Flash with look-up tables, and the arena that decoding them needs: one file has both."""

from __future__ import annotations

from litetuner.objectives.measurement import Measurement
from litetuner.search.evaluation.stages import with_decoding


def test_decoding_is_part_of_every_arena_of_the_file() -> None:
    def of(value: float, **environment: object) -> Measurement:
        return Measurement(value, "B", {"test": True, **environment})

    measured = {"arena_bytes": of(1_000), "arena_bytes:tflm": of(3_000), "memory_bytes": of(9_000)}
    found = with_decoding(measured, {"flash_bytes": of(5_000, added_arena_bytes=800)})
    assert {name: it.value for name, it in found.items()} == {"arena_bytes": 1_800, "arena_bytes:tflm": 3_800}
    assert "800 bytes" in found["arena_bytes"].environment["decoding"]
    assert with_decoding(measured, {"flash_bytes": of(5_000)}) == {} == with_decoding(measured, {})
