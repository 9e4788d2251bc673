"""`dreamkit bench styles`: time of one batch of caption rewrites, and of the same number of single calls."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from typing import Any

from dreamkit.styles.model.prompts import conversation
from dreamkit.styles.model.rewriters import VllmRewriter
from dreamkit.styles.table import StyleTable, load_styles

_SCENE = (
    "The video shows a {road} with {count} cars ahead and a {colour} truck that turns {side} at the next intersection. "
    "Trees and utility poles line the road, and a pedestrian waits at the crosswalk under a clear sky."
)
_ROADS = ("two-lane road", "highway", "residential street", "bridge", "downtown avenue", "country road")


def varied_captions(count: int) -> list[str]:
    """Captions of made-up scenes, all different."""
    colours, sides = ("white", "red", "blue", "black", "green"), ("left", "right")
    return [
        _SCENE.format(road=_ROADS[i % 6], count=2 + i // 60, colour=colours[i // 6 % 5], side=sides[i // 30 % 2])
        for i in range(count)
    ]


def time_styles(model: VllmRewriter, captions: int = 8, table: StyleTable | None = None) -> dict[str, Any]:
    """Time one batch of captions x styles and the same number of single calls, after a warm-up.

    The two halves have different captions, so that of their prompts only the system text is in the prefix cache.

    Args:
        model: the rewriter to measure.
        captions: captions in each half.
        table: the styles; the built-in table when left out.

    Returns:
        Seconds and requests per second of both, their ratio, the model's name and the machine's.
    """
    styles = (table or load_styles()).choose()
    texts = varied_captions(2 * captions + 1)

    def requests(part: Sequence[str]) -> list[list[dict[str, str]]]:
        return [conversation(text, style) for text in part for style in styles]

    warm, first, second = requests(texts[:1]), requests(texts[1 : captions + 1]), requests(texts[captions + 1 :])
    model.ask(warm, range(len(warm)))
    start = time.perf_counter()
    batched = model.ask(first, range(len(first)))
    batch_s = time.perf_counter() - start
    start = time.perf_counter()
    single = [model.ask([messages], [seed])[0] for seed, messages in enumerate(second)]
    single_s = time.perf_counter() - start
    return {
        "model": model.model,
        "machine": platform.processor() or platform.machine(),
        "requests": len(first),
        "in_schema_batched": sum(map(bool, batched)),
        "in_schema_single": sum(map(bool, single)),
        "batched_s": round(batch_s, 3),
        "one_by_one_s": round(single_s, 3),
        "batched_per_s": round(len(first) / batch_s, 2),
        "one_by_one_per_s": round(len(second) / single_s, 2),
        "ratio": round(single_s / batch_s, 2),
    }
