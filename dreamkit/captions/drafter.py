"""A vision-language server that is shown moments of a video and describes it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.workspace import video
from dreamkit.workspace.images import data_url, jpeg

FRAMES, WIDTH, SECONDS = 6, 640, 300.0
QUESTION = (
    "These pictures are moments of one driving video, in order of time, seen by the front camera of a car. Describe it "
    "in four to eight plain English sentences: the road and its lanes, what the car does, the other road users with "
    "number, kind, colour and movement, buildings, trees and signs, weather, light and time of day. Begin with "
    '"The video". No lists, no guesses about what cannot be seen.'
)


def pictures(path: Path) -> list[bytes]:
    """Pictures of a video, evenly spread, as JPEG."""
    frames = video.read_video(path)
    chosen = frames[np.linspace(0, len(frames) - 1, FRAMES).round().astype(int)]
    height = round(frames.shape[1] * WIDTH / frames.shape[2] / 2) * 2
    return [jpeg(frame) for frame in video.resize(chosen, height, WIDTH)]


def ask(url: str, model: str, shown: Sequence[bytes]) -> str:
    """One description by a server's model; the server's first model where none is named.

    Raises:
        DreamkitError: the server cannot be reached, refuses, or answers nothing.
    """
    import httpx

    base = url.rstrip("/")
    key = os.environ.get("DREAMKIT_SERVER_KEY", "")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    content: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": data_url(one)}} for one in shown]
    try:
        with httpx.Client(headers=headers, timeout=SECONDS) as client:
            name = model or client.get(f"{base}/models").raise_for_status().json()["data"][0]["id"]
            body = {
                "model": name,
                "messages": [{"role": "user", "content": [*content, {"type": "text", "text": QUESTION}]}],
                "temperature": 0.2,
                "max_tokens": 400,
            }
            answer = client.post(f"{base}/chat/completions", json=body).raise_for_status().json()
            text = answer["choices"][0]["message"]["content"]
    except httpx.HTTPStatusError as error:
        raise DreamkitError(
            f"The drafting server {url} refused: {error.response.status_code} {error.response.text[:200]}",
            "Check drafter_model, and DREAMKIT_SERVER_KEY where the server wants a key.",
        ) from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DreamkitError(
            f"The drafting server {url} does not answer ({type(error).__name__}).",
            "Start it (vllm serve <a vision-language model>), correct drafter, or leave it empty.",
        ) from None
    except (KeyError, IndexError, TypeError, ValueError):
        raise DreamkitError(f"The drafting server {url} answered something that is no chat completion.") from None
    return " ".join(str(text).split())
