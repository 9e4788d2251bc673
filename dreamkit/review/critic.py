"""The critic: an optional vision-language model that answers fixed questions about a few frames of each video.

It uses any server of the OpenAI chat interface that accepts images and a JSON schema, such as vLLM's
(`vllm serve <model>`). It answers several times, and the votes are counted. Its answers only flag videos; verdicts
are given by reviewers, and the report says how often the two agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tqdm.auto import tqdm

from dreamkit.captions.answers import choice_text, json_objects
from dreamkit.captions.model_server import ModelServer
from dreamkit.errors import DreamkitError
from dreamkit.review.library import ReviewVideo
from dreamkit.review.measures.frames import read_small, sample_frames
from dreamkit.review.verdicts import Verdict
from dreamkit.review.widgets.previews import contact_sheet
from dreamkit.workspace.files import read_json, write_json
from dreamkit.workspace.images import data_url, jpeg

VERSION = 1  # raise it when the questions change: all videos are then sent again
SHEET_WIDTH = 448  # of one view on a sheet

QUESTIONS = {
    "vanishing_object": "Does any vehicle, person or fixed thing appear, vanish or change its kind between moments?",
    "distortion": "Are there shapes that melt, bend or smear in a way that no real camera would show?",
    "views_disagree": "Do two cameras of the same moment show worlds that cannot be the same place, weather or light?",
    "wrong_style": "Does the weather or light differ from what the caption says?",
}


class Answer(BaseModel):
    """One vote: yes or no to every question, and how real the video looks, from 1 to 5."""

    model_config = ConfigDict(extra="forbid", strict=True)
    vanishing_object: bool
    distortion: bool
    views_disagree: bool
    wrong_style: bool
    realism: int = Field(ge=1, le=5)


@dataclass(frozen=True)
class Critic:
    """Settings of the critic.

    Attributes:
        url: address of the server, such as `http://host:8000/v1`.
        model: name of the model; the server's first when empty.
        votes: answers for each video.
        frames: how many frames of each video the model is given.
    """

    url: str
    model: str = ""
    votes: int = 3
    frames: int = 4


def frame_sheets(video: ReviewVideo, count: int) -> list[bytes]:
    """JPEG pictures of `count` frames spread over the video, each with all views in the rig's grid.

    Raises:
        DreamkitError: a view cannot be read.
    """
    views = {name: read_small(path, SHEET_WIDTH).frames_thwc for name, path in video.views.items()}
    length = min(len(frames) for frames in views.values())
    made = []
    for frame in sample_frames(length, count):
        if video.stage == "multi_view":
            names = [video.rig.cameras[index].name for row in video.rig.grid for index in row]
            pictures: list[np.ndarray | None] = [views[name][frame] if name in views else None for name in names]
            made.append(jpeg(contact_sheet(pictures, len(video.rig.grid[0]), SHEET_WIDTH)))
        else:
            made.append(jpeg(next(iter(views.values()))[frame]))
    return made


def chat_request(pictures: Sequence[bytes], prompt: str, model: str, votes: int) -> dict[str, Any]:
    """The body of a chat request: the pictures in order, the questions, the answer's schema, the number of votes."""
    asked = "\n".join(f"- {key}: {text}" for key, text in QUESTIONS.items())
    text = (
        f"These {len(pictures)} pictures are moments of one driving video in order of time; "
        f"cameras of one moment stand side by side. Its caption: {prompt or 'unknown'}\n"
        f"Answer with true or false:\n{asked}\n"
        "- realism: from 1 (clearly not a real recording) to 5 (could be one)."
    )
    content: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": data_url(picture)}} for picture in pictures
    ]
    schema = {"name": "answer", "strict": True, "schema": Answer.model_json_schema()}
    return {
        "model": model,
        "messages": [{"role": "user", "content": [*content, {"type": "text", "text": text}]}],
        "n": votes,
        "temperature": 0.7 if votes > 1 else 0.0,
        "max_tokens": 200,
        "response_format": {"type": "json_schema", "json_schema": schema},
    }


def critic_server(critic: Critic) -> ModelServer:
    """The server that the critic's questions go to."""
    return ModelServer(critic.url, "critic's server", "Start it with `vllm serve <model>`, or set `critic` to ''.")


def _vote(text: str) -> Answer:
    """The last object of an answer that fits the schema; a ValueError when none does."""
    for value in reversed(json_objects(text)):
        try:
            return Answer.model_validate(value)
        except ValidationError:
            continue
    raise ValueError("no object of the schema")


def count_votes(choices: Sequence[Any]) -> dict[str, Any]:
    """Count the answers to one video.

    Returns:
        `votes` and `spoilt`: numbers of answers that fit the schema, and that do not; `shares`: question -> share of
        yes; `flags`: questions with more than half yes; `score`: mean realism, None without votes.
    """
    votes = []
    for choice in choices:
        try:
            votes.append(_vote(choice_text(choice)))
        except ValueError:
            continue
    shares = {key: float(np.mean([getattr(vote, key) for vote in votes])) for key in QUESTIONS} if votes else {}
    return {
        "votes": len(votes),
        "spoilt": len(choices) - len(votes),
        "shares": shares,
        "flags": [key for key, share in shares.items() if share > 0.5],
        "score": float(np.mean([vote.realism for vote in votes])) if votes else None,
    }


def _is_answer(record: Any) -> bool:
    """Whether a kept record has what `criticise` writes, of the right types."""
    if not isinstance(record, dict) or not isinstance(record.get("flags"), list):
        return False
    score, fault = record.get("score"), record.get("error", "")
    texts = [fault, *record["flags"]]
    return (score is None or isinstance(score, (int, float))) and all(isinstance(text, str) for text in texts)


def criticise(
    videos: Sequence[ReviewVideo], critic: Critic, path: Path, progress: Callable[..., Any] = tqdm
) -> dict[str, dict[str, Any]]:
    """Ask the critic about every video that `path` has no valid record of, and save each record there.

    Returns:
        Key -> record: see `count_votes`; a video whose question failed has `error` instead of votes.

    Raises:
        DreamkitError: the server cannot be reached at the start.
    """
    try:
        found = read_json(path, "critic's answers") if path.is_file() else {}
    except DreamkitError:
        found = {}
    kept: dict[str, dict[str, Any]] = {key: record for key, record in found.items() if _is_answer(record)}
    server = critic_server(critic)
    model = critic.model or server.first_model()
    mark = {"model": model, "version": VERSION, "asked": critic.votes, "frames": critic.frames}
    for video in progress(videos, desc="Asking the critic", unit="video"):
        same = {**mark, "fingerprint": video.fingerprint}
        if not same.items() <= kept.get(video.key, {}).items() or "error" in kept[video.key]:
            try:
                body = chat_request(frame_sheets(video, critic.frames), video.prompt, model, critic.votes)
                kept[video.key] = {**same, **count_votes(server.chat(body).get("choices") or [])}
            except (DreamkitError, ValueError) as error:
                kept[video.key] = {**same, "error": str(error), "flags": [], "score": None}
            write_json(path, kept)
    return {video.key: kept[video.key] for video in videos}


def agreement(critique: Mapping[str, Mapping[str, Any]], verdicts: Mapping[str, Verdict]) -> dict[str, float]:
    """Agreement of the critic with the reviewers, over videos that have both its answer and an accept or reject.

    Returns:
        `both`: number of videos; `reject_flagged`, `reject_unflagged`, `accept_flagged`, `accept_unflagged`: counts;
        `agree`: share where flag and reject, or no flag and accept, coincide; `kappa`: Cohen's kappa, agreement beyond
        chance. Both are NaN without such videos; kappa also when all videos have the same flag and verdict.
    """
    counts = {(state, flagged): 0 for state in ("reject", "accept") for flagged in (True, False)}
    for key, record in critique.items():
        verdict = verdicts.get(key)
        if verdict and verdict.state in ("accept", "reject") and record.get("score") is not None:
            counts[verdict.state, bool(record["flags"])] += 1
    total = sum(counts.values())
    agree = (counts["reject", True] + counts["accept", False]) / total if total else float("nan")
    kappa = float("nan")
    if total:
        rejected = (counts["reject", True] + counts["reject", False]) / total
        flagged = (counts["reject", True] + counts["accept", True]) / total
        chance = rejected * flagged + (1 - rejected) * (1 - flagged)
        kappa = (agree - chance) / (1 - chance) if chance < 1 else float("nan")
    named = {f"{state}_{'flagged' if flag else 'unflagged'}": float(n) for (state, flag), n in counts.items()}
    return {"both": float(total), **named, "agree": agree, "kappa": kappa}


def findings(critique: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Key and flags, or key and error, of the videos that the critic flagged or could not answer about."""
    return [
        (key, record.get("error") or ", ".join(record["flags"]))
        for key, record in critique.items()
        if record.get("error") or record["flags"]
    ]
