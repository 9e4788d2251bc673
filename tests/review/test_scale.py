"""Five hundred six-view videos: the first board within 5 seconds and 1 GB, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from review_workspace import make

from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.workspace import Chunk, Workspace

VIDEOS = 500
FIRST_SCREEN = 48
SCRIPT = """
import json, sys, time
began = time.perf_counter()
from dreamkit.review.params import ReviewParams
from dreamkit.review import report
params = ReviewParams(workspace=sys.argv[1])
imported = time.perf_counter()
review = report.open_review(params.open_workspace(), params)
listed = time.perf_counter()
keys = [item["key"] for item in review.board.items]
for key in keys[: int(sys.argv[2])]:
    review.picture(key)
shown = time.perf_counter()
# Not getrusage: its peak is the parent's when the parent is larger.
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024
print(json.dumps({"videos": len(keys), "import_s": imported - began, "list_s": listed - imported,
                  "thumbnails_s": shown - listed, "peak_mb": peak}))
"""


def test_the_first_board_of_500_videos(tmp_path):
    one = make(tmp_path / "one", clips=1, frames=8, size=(144, 256))
    many = Workspace(tmp_path / "many")
    styles = ["Sunny", "Night", "Rainy", "Snowy", "Foggy"]
    for index in range(VIDEOS):
        chunk, style = Chunk(f"clip_{index // len(styles):03d}"), styles[index % len(styles)]
        folder = many.multi_view(chunk, style)
        folder.mkdir(parents=True)
        for camera in SIX_VIEWS.cameras:
            os.link(one.view(Chunk("drawn_0"), "Sunny", camera.index), folder / f"{camera.index}.mp4")
            condition = many.condition("hdmap", camera, chunk)
            condition.parent.mkdir(parents=True, exist_ok=True)
            if not condition.exists():
                os.link(one.condition("hdmap", camera, Chunk("drawn_0")), condition)
        record = {"stage": "multi_view", "clip": chunk.clip, "chunk": 0, "style": style, "prompts": ["A street."] * 6}
        many.sidecar("multi_view", chunk, style).write_text(json.dumps(record))
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(many.root), str(FIRST_SCREEN)], capture_output=True, text=True, check=True
    )
    facts = json.loads(run.stdout.splitlines()[-1])
    print(facts)
    assert facts["videos"] == VIDEOS
    assert facts["list_s"] + facts["thumbnails_s"] < 5
    assert facts["peak_mb"] < 1024
