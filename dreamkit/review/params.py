"""The parameter model of the review notebook."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, field_validator

from dreamkit.notebook.params import NotebookParams


class ReviewParams(NotebookParams):
    """Notebook 06: watch, measure, judge, export."""

    notebook: ClassVar[str] = "06_review"

    clips: list[str] = Field([], description="clips to review; empty: all")
    styles: list[str] = Field([], description="styles to review; empty: all")
    reviewer: str = Field("", description="whose verdicts these are; empty: the system's user")
    thresholds: dict[str, float] = Field(
        {"frozen": 15.0, "black": 0.0, "view_lag": 2.0, "flicker": 6.0},
        description="measure: limit; past it a video is flagged",
    )
    critic: str = Field("", description="URL of a vLLM server (http://host:8000/v1); empty: none")
    critic_model: str = Field("", description="model to ask; empty: the first the server has")
    critic_votes: int = Field(3, ge=1, le=16, description="answers per video")
    critic_frames: int = Field(4, ge=1, le=16, description="moments of a video that it sees")
    export: str = Field("", description="folder for the accepted clips; empty: no export")
    labels: str = Field("", description="RDS-HQ folder to export poses and labels from")
    camera_table: str = Field("", description="YAML, `folder: camera` lines, for other camera folders")

    @field_validator("thresholds")
    @classmethod
    def _known_measures(cls, limits: dict[str, float]) -> dict[str, float]:
        from dreamkit.review.measures.definitions import check_thresholds

        check_thresholds(limits)
        return limits
