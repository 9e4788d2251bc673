"""The parameters of notebook 00, setup."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, field_validator

from dreamkit.download import catalogue
from dreamkit.notebook.params import NotebookParams, known_names


class SetupParams(NotebookParams):
    """Notebook 00: what this machine can run, and a short test."""

    notebook: ClassVar[str] = "00_setup"
    needs_workspace: ClassVar[bool] = False

    checkpoints: str = Field(default="checkpoints", min_length=1, description="folder of the model files, or tiny")
    models: list[str] = Field(
        default=["single_view", "multi_view"], description="single_view, multi_view, styles, guardrail"
    )
    controls: list[Literal["hdmap", "lidar"]] = Field(
        default=["hdmap"], min_length=1, description="hdmap, lidar or both"
    )
    ask_hub: bool = Field(default=True, description="request file sizes and licences from Hugging Face")
    labels: str = Field(default="", description="RDS-HQ folder for the test clip; empty: the kit's sample clip")

    @field_validator("models")
    @classmethod
    def _known_models(cls, names: list[str]) -> list[str]:
        return known_names(names, catalogue.MODEL_USES, "use")
