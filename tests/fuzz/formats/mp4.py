"""Videos: damaged, of other formats, with names of files inside."""

import struct

import numpy as np

from dreamkit.captions.table import condition_thumbnail
from dreamkit.review.measures.frames import read_small, read_still
from dreamkit.workspace import video
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.workspace import Chunk, Workspace
from tests.fuzz import mutate
from tests.fuzz.driver import refused

TEXTS = (
    b"ffconcat version 1.0\nfile /etc/passwd\n",
    b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n",
    b"<?xml version='1.0'?><MPD/>",
    b"RIFF\x00\x00\x00\x00AVI LIST",
    b"\x1aE\xdf\xa3" + bytes(60),
    b"GIF89a" + bytes(60),
    b"\x00\x00\x01\xb3" + bytes(60),
    b"",
)


def seeds(folder):
    rng = np.random.default_rng(0)
    path = folder / "a.mp4"
    video.write_video(path, rng.integers(0, 255, (6, 48, 64, 3)).astype(np.uint8), 24)
    return path.read_bytes()


def case(rng, folder, good):
    ws = Workspace(folder / "ws")
    path = ws.condition("hdmap", SIX_VIEWS.front, Chunk("a"))
    path.parent.mkdir(parents=True)
    kind = rng.randrange(5)
    if kind == 0:
        data = rng.choice(TEXTS)
    elif kind == 1:  # numbers of the index, where sizes, counts and codecs stand
        data = bytearray(good)
        at = data.index(b"moov") + rng.randrange(600)
        data[at : at + 4] = rng.choice(
            (struct.pack(">I", rng.choice((0, 1, 2**31 - 1, 2**32 - 1, 16384))), b"zzzz", b"\xff\xfe\xfd\xfc")
        )
    elif kind == 2:
        data = good.replace(b"avc1", rng.choice((b"hev1", b"zzzz", b"mp4v", b"jpeg", b"raw ", b"tmcd")))
    else:
        data = mutate.damage(rng, good)
    path.write_bytes(bytes(data))
    with refused():
        video.probe(path)
    with refused():
        assert len(video.read_video(path)) < 1000
    with refused():
        read_small(path, 32)
    with refused():
        read_still(path, 32)
    condition_thumbnail(ws, "a")
