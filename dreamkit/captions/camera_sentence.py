"""The sentences at a caption's beginning that describe the camera, not the scene."""

from __future__ import annotations

import re

from dreamkit.workspace.cameras import FIVE_VIEWS, SIX_VIEWS

_KNOWN = tuple({camera.sentence for rig in (SIX_VIEWS, FIVE_VIEWS) for camera in rig.cameras})
_SENTENCES = re.compile(
    r"(?i)(?:(?![^.!]*\b(?:rain|snow|fog|night|street|road|traffic|cars|pedestrian|windshield)\b)(?:"
    # "The video was recorded by a dashcam mounted on a car."
    r"(?:this|the) (?:video|clip|footage|scene|view|recording|sequence|image) (?:is|was|has been) "
    r"(?:captured|recorded|filmed|taken|shot|seen) (?:from|by|with|using|through) "
    r"(?:the |an? )?(?:perspective of |viewpoint of )?(?:the |an? )?"
    r"(?:[\w-]+ ){0,3}(?:camera|dashcam|dash cam|cameras)(?: (?:that is )?(?:mounted|installed|placed|fixed|attached)"
    r" (?:on|in|to|inside|onto|at|behind) (?:the |an? )?[\w -]{1,40})?"
    # "The camera is facing forward."
    r"|(?:the|this) camera (?:is|was) (?:facing|pointed|pointing|directed|aimed|oriented|looking|mounted|placed|"
    r"installed)[\w ,-]{0,60})[.!](?:\s+|$))+"
)


def part_camera_sentence(caption: str) -> tuple[str, str]:
    """(the camera's sentences, the rest of the caption); the first is "" when the caption has none.

    Set aside are the sentences of the rigs' cameras, which the model was trained with, and leading sentences like them.
    """
    text = caption.strip()
    leading = _SENTENCES.match(text)
    camera = next(filter(text.startswith, _KNOWN), leading.group().strip() if leading else "")
    return camera, text[len(camera) :].strip()
