"""The parameters of notebook 06, review."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, field_validator

from dreamkit.notebook.params import NotebookParams


class ReviewParams(NotebookParams):
    """Notebook 06: watch, measure, judge and export videos."""

    notebook: ClassVar[str] = "06_review"

    clips: list[str] = Field(default=[], description="clips to review; empty: all")
    styles: list[str] = Field(default=[], description="styles to review; empty: all")
    reviewer: str = Field(default="", description="reviewer's name; empty: the system user")
    thresholds: dict[str, float] = Field(
        default={
            "frozen": 15.0,
            "black": 0.0,
            "view_lag": 2.0,
            "flicker": 6.0,
            "cross_view_sampson": 10.0,
            "temporal_sampson": 4.0,
            "edge_offset": 2.5,
        },
        # Choices of the kit: some five and three times the published means of real videos (definitions.PUBLISHED_REAL).
        # Uncompressed drawings of exact geometry (five scenes of the tests) measured 0.9 to 1.7 and 0.3 to 0.5.
        description="limits; a video beyond one is flagged",
    )
    critic: str = Field(default="", description="URL of a vLLM server (http://host:8000/v1); empty: none")
    critic_model: str = Field(default="", description="model name; empty: the server's first")
    critic_votes: int = Field(default=3, ge=1, le=16, description="requests per video")
    critic_frames: int = Field(default=4, ge=1, le=16, description="time steps of a video in one request")
    export: str = Field(default="", description="folder for the accepted clips; empty: no export")
    export_form: Literal["dreamkit", "nuscenes"] = Field(default="dreamkit", description="dreamkit or nuscenes")
    export_unjudged: bool = Field(default=False, description="also videos that nobody judged or flagged")
    labels: str = Field(default="", description="RDS-HQ folder to export labels from; the overlay finds it itself")
    camera_table: str = Field(
        default="", description="YAML file of `folder: camera` lines; empty: the standard folders"
    )

    @field_validator("thresholds")
    @classmethod
    def _known_measures(cls, limits: dict[str, float]) -> dict[str, float]:
        from dreamkit.review.measures.definitions import check_thresholds

        check_thresholds(limits)
        return limits
