"""The parameters of notebook 01, download."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from dreamkit.download import catalogue
from dreamkit.notebook.params import NotebookParams, known_names


class DownloadParams(NotebookParams):
    """Notebook 01: download model files and data."""

    notebook: ClassVar[str] = "01_download"
    needs_workspace: ClassVar[bool] = False

    checkpoints: str = Field(default="checkpoints", min_length=1, description="folder of the model files, or tiny")
    models: list[str] = Field(
        default=["single_view", "multi_view"], description="single_view, multi_view, styles, guardrail"
    )
    controls: list[Literal["hdmap", "lidar"]] = Field(
        default=["hdmap"], min_length=1, description="hdmap, lidar or both"
    )
    long_videos: bool = Field(default=True, description="also the v2w files, for six views of more than 57 frames")
    data: list[str] = Field(default=[], description="hdmap, lidar, synthetic (parts of RDS-HQ), example")
    clips: list[str] = Field(
        default=[], validate_default=True, description="RDS-HQ clips to download, or a .txt or .json file of them"
    )
    datasets: str = Field(default="datasets", min_length=1, description="folder for the data")
    workers: int = Field(default=4, ge=1, le=32, description="parallel downloads")
    again: bool = Field(default=False, description="re-verify checksums, also of files verified before")
    list_only: bool = Field(default=False, description="list the files, download nothing")

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
