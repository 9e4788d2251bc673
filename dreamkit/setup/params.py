"""The parameters of notebook 00."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, field_validator

from dreamkit.download import catalogue
from dreamkit.notebook.params import NotebookParams, known_names


class SetupParams(NotebookParams):
    """Notebook 00: what this machine can run."""

    notebook: ClassVar[str] = "00_setup"
    needs_workspace: ClassVar[bool] = False

    checkpoints: str = Field("checkpoints", min_length=1, description="folder of the model files, or tiny")
    models: list[str] = Field(["single_view", "multi_view"], description="what you want to run: see notebook 01")
    controls: list[Literal["hdmap", "lidar"]] = Field(["hdmap"], min_length=1, description="hdmap, lidar or both")
    ask_hub: bool = Field(True, description="ask Hugging Face for sizes and licences")
    labels: str = Field("", description="RDS-HQ folder to draw the sample from; empty: a drawn one")

    @field_validator("models")
    @classmethod
    def _known_models(cls, names: list[str]) -> list[str]:
        return known_names(names, catalogue.MODEL_USES, "use")
