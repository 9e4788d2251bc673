"""First drafts of captions: a vision-language model describes pictures of a real front video."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dreamkit.captions.answers import NoAnswerText, answer_text
from dreamkit.captions.model_server import ModelServer
from dreamkit.errors import DreamkitError
from dreamkit.workspace import video
from dreamkit.workspace.images import data_url, jpeg

FRAMES, WIDTH = 6, 640
QUESTION = (
    "These pictures are moments of one driving video, in order of time, seen by the front camera of a car. Describe it "
    "in four to eight plain English sentences: the road and its lanes, what the car does, the other road users with "
    "number, kind, colour and movement, buildings, trees and signs, weather, light and time of day. Begin with "
    '"The video". No lists, no guesses about what cannot be seen.'
)


def drafting_server(url: str) -> ModelServer:
    """The server behind notebook 02's parameter `drafter`."""
    return ModelServer(
        url,
        "drafting server",
        "Start it with `vllm serve <vision-language model>`, correct `drafter`, or leave `drafter` empty.",
    )


def sample_pictures(path: Path) -> list[bytes]:
    """`FRAMES` pictures of a video, evenly spaced in time, as JPEG of `WIDTH` pixels."""
    frames = video.read_video(path)
    chosen = frames[np.linspace(0, len(frames) - 1, FRAMES).round().astype(int)]
    height = round(frames.shape[1] * WIDTH / frames.shape[2] / 2) * 2
    return [jpeg(frame) for frame in video.resize(chosen, height, WIDTH)]


def draft_caption(server: ModelServer, model: str, pictures: Sequence[bytes]) -> str:
    """A vision-language model's description of a video, on one line.

    Args:
        server: the server.
        model: name of the model; the server's first one when empty.
        pictures: JPEG pictures of the video, in order of time.

    Raises:
        ServerUnavailable: the server cannot be reached or refuses every request.
        DreamkitError: the server refuses this request, or its answer cannot be read.
    """
    content: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": data_url(one)}} for one in pictures]
    body = {
        "model": model or server.first_model(),
        "messages": [{"role": "user", "content": [*content, {"type": "text", "text": QUESTION}]}],
        "temperature": 0.2,
        "max_tokens": 2000,
    }
    try:
        text = answer_text(server.chat(body))
    except NoAnswerText as error:
        raise DreamkitError(
            f"The answer of the {server.name} at {server.url} cannot be used. {error}",
            "A thinking model needs more tokens: switch its thinking off, or name another model in `drafter_model`.",
        ) from None
    return " ".join(text.split())
