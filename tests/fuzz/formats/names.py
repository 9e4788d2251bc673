"""Names of clips, styles, results and files, from wherever they come."""

import os

from dreamkit.captions.files import write_original, write_style_captions
from dreamkit.captions.params import CaptionParams
from dreamkit.captions.table import caption_table, save_caption
from dreamkit.download.catalogue import Repository
from dreamkit.generate.params import SingleViewParams
from dreamkit.generate.plan import make_plan
from dreamkit.review.library import find_videos, split_name
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.file_names import check_relative
from dreamkit.workspace.files import write_json
from dreamkit.workspace.workspace import Chunk, Workspace
from tests.fuzz import mutate
from tests.fuzz.driver import refused

RAW = (
    b"caf\xe9",
    b"\xff\xfe",
    b"x" * 240,
    b"a\nb",
    b"-rf",
    b"a:b",
    b"..a",
    b"a" * 200,
    "日本".encode() * 40,
    b"%s",
    b" ",
)


def seeds(folder):
    return None


def text(rng):
    parts = [rng.choice((*mutate.HOSTILE_TEXTS, "clip", "_", "0", "Night")) for _ in range(rng.choice((1, 1, 2, 3)))]
    return rng.choice(("", "", "/", "_", "../")).join(parts)


def case(rng, folder, _):
    ws = Workspace(folder / "ws")
    ws.captions.mkdir(parents=True)
    name, style = text(rng), text(rng)
    chunk = Chunk(name, rng.choice((0, 1, -1, 10**20)))
    writers = (
        lambda: write_original(ws.captions, name, "A road."),
        lambda: write_style_captions(ws.captions, name, {style: "A road."}),
        lambda: save_caption(ws, name, "A road."),
        lambda: write_json(ws.style_record(name), {}),
        lambda: ws.write_sidecar("single_view", chunk, style, {}),
        lambda: write_json(ws.condition("hdmap", SIX_VIEWS.front, chunk), {}),
        lambda: write_json(ws.condition_in("hdmap", name, Chunk("a")), {}),
        lambda: write_json(ws.view(chunk, style, 0), {}),
        lambda: write_json(ws.result_view("multi_view", name, 0), {}),
        lambda: write_json(ws.lock_file("single_view", name), {}),
        lambda: write_json(ws.executed(name), {}),
    )
    for write in writers:
        with refused():
            write()
    with refused():
        path = folder / "repository" / check_relative(name, "The hub")
        path.parent.mkdir(parents=True, exist_ok=True)
        assert path.resolve().is_relative_to(folder / "repository")
    Repository("a/b", ("*.json",), ("x/**",)).choose([name, style])
    split_name(name, {"clip", style})
    front = ws.root / "hdmap" / SIX_VIEWS.front.folder
    for where in (ws.captions, front, ws.root / "single_view"):
        where.mkdir(parents=True, exist_ok=True)
        for raw in rng.sample(RAW, 3):
            (where / os.fsdecode(raw + rng.choice((b"_0.mp4", b".txt", b".json", b"_Night.mp4")))).write_bytes(b"x")
    str(caption_table(ws, CaptionParams()))
    for one in find_videos(ws):
        str(one).encode()
    if rng.random() < 0.2:
        with refused():
            make_plan(ws, SingleViewParams(checkpoints="tiny", skip_bad=rng.random() < 0.5, chunks=[]))
