"""The parameters of notebook 01."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from dreamkit.download import catalogue
from dreamkit.notebook.params import NotebookParams, known_names


class DownloadParams(NotebookParams):
    """Notebook 01: model files and data."""

    notebook: ClassVar[str] = "01_download"
    needs_workspace: ClassVar[bool] = False

    checkpoints: str = Field("checkpoints", min_length=1, description="folder of the model files, or tiny")
    models: list[str] = Field(["single_view", "multi_view"], description="single_view, multi_view, styles, guardrail")
    controls: list[Literal["hdmap", "lidar"]] = Field(["hdmap"], min_length=1, description="hdmap, lidar or both")
    long_videos: bool = Field(True, description="also the files for six views of more than 57 frames")
    data: list[str] = Field([], description="hdmap, lidar, synthetic (of RDS-HQ), example")
    clips: list[str] = Field(
        [], validate_default=True, description="RDS-HQ clips to fetch, or a .txt or .json file of them"
    )
    datasets: str = Field("datasets", min_length=1, description="folder for the data")
    workers: int = Field(4, ge=1, le=32, description="files fetched at the same time")
    again: bool = Field(False, description="read files again that were found right before")
    list_only: bool = Field(False, description="show what would be fetched, fetch nothing")

    @field_validator("models")
    @classmethod
    def _known_models(cls, names: list[str]) -> list[str]:
        return known_names(names, catalogue.MODEL_USES, "use")

    @field_validator("data")
    @classmethod
    def _known_data(cls, names: list[str]) -> list[str]:
        return known_names(names, catalogue.DATA_USES, "data")

    @field_validator("clips")
    @classmethod
    def _clips_of_the_data_set(cls, clips: list[str], info: ValidationInfo) -> list[str]:
        if set(info.data.get("data", ())) - {"example"} and not clips:
            raise ValueError("the whole RDS-HQ data set is about 3 TB; say which clips you want")
        return clips
