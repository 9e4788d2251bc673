"""The sentences at a caption's beginning that describe the camera, not the scene."""

from __future__ import annotations

import re

from dreamkit.captions.split import sentences
from dreamkit.workspace.cameras import FIVE_VIEWS, SIX_VIEWS

_KNOWN = tuple({camera.sentence for rig in (SIX_VIEWS, FIVE_VIEWS) for camera in rig.cameras})
_RECORDED = re.compile(
    r"(?:this|the) (?:video|clip|footage|scene|view|recording|sequence|image) (?:is|was|has been) "
    r"(?:captured|recorded|filmed|taken|shot|seen) (?:from|by|with|using|through) "
    r"(?:the |an? )?(?:perspective of |viewpoint of )?(?:the |an? )?"
    r"(?:[\w-]+ ){0,3}(?:camera|dashcam|dash cam|cameras)(?: (?:that is )?(?:mounted|installed|placed|fixed|attached)"
    r" (?:on|in|to|inside|onto|at|behind) (?:the |an? )?[\w -]{1,40})?[.!]",
    re.IGNORECASE,
)
_FACING = re.compile(
    r"(?:the|this) camera (?:is|was) (?:facing|pointed|pointing|directed|aimed|oriented|looking|mounted|placed|"
    r"installed)"
    r"[\w ,-]{0,60}[.!]",
    re.IGNORECASE,
)
_NOT_CAMERA = re.compile(r"(?i)\b(?:rain|snow|fog|night|street|road|traffic|cars|pedestrian|windshield)\b")


def part_camera_sentence(caption: str) -> tuple[str, str]:
    """(the camera's sentences, the rest of the caption); the first is "" when the caption has none.

    Set aside are the sentences of the rigs' cameras, which the model was trained with, and leading sentences like them.
    """
    text = caption.strip()
    for known in _KNOWN:
        if text.startswith(known):
            return known, text[len(known) :].strip()
    parts = sentences(text)
    count = 0
    for part in parts:
        if not (_RECORDED.fullmatch(part) or _FACING.fullmatch(part)) or _NOT_CAMERA.search(part):
            break
        count += 1
    if not count:
        return "", text
    end = 0
    for part in parts[:count]:
        end = text.index(part, end) + len(part)
    return text[:end], text[end:].strip()
