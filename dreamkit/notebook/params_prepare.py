"""The parameter models of the notebooks that prepare a run."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from dreamkit.download import catalogue
from dreamkit.notebook.params_base import NotebookParams
from dreamkit.workspace.files import nearest


def known(names: list[str], choices: Any, what: str) -> list[str]:
    """The names, when all are among the choices.

    Raises:
        ValueError: one is not; names the nearest.
    """
    for name in names:
        if name not in choices:
            close = nearest(name, choices)
            raise ValueError(
                f"unknown {what} {name!r}; " + (f"did you mean {close!r}?" if close else ", ".join(choices))
            )
    return list(dict.fromkeys(names))


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
        return known(names, catalogue.MODEL_USES, "use")


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
        return known(names, catalogue.MODEL_USES, "use")

    @field_validator("data")
    @classmethod
    def _known_data(cls, names: list[str]) -> list[str]:
        return known(names, catalogue.DATA_USES, "data")

    @field_validator("clips")
    @classmethod
    def _clips_of_the_data_set(cls, clips: list[str], info: ValidationInfo) -> list[str]:
        if set(info.data.get("data", ())) - {"example"} and not clips:
            raise ValueError("the whole RDS-HQ data set is about 3 TB; say which clips you want")
        return clips


class CaptionParams(NotebookParams):
    """Notebook 02: a caption for every clip."""

    notebook: ClassVar[str] = "02_captions"

    clips: list[str] = Field([], description="clips to caption; empty: all")
    csv: str = Field("", description="CSV file with the columns clip,caption to import")
    overwrite: bool = Field(False, description="import and draft over captions that are there")
    tokenizer: str = Field("", description="folder of google-t5/t5-11b; empty: tokens are estimated")
    drafter: str = Field("", description="URL of a vision-language server (.../v1); empty: none")
    drafter_model: str = Field("", description="model to ask; empty: the first the server has")
    videos: str = Field("", description="folder of real front videos <clip>.mp4, for drafts")
    camera_table: str = Field("", description="YAML, `folder: camera` lines, for other camera folders")


class StyleParams(NotebookParams):
    """Notebook 03: captions into styles."""

    notebook: ClassVar[str] = "03_styles"

    clips: list[str] = Field([], description="clips; empty: every clip with a caption")
    styles: list[str] = Field([], description="styles to write; empty: all eight")
    rewriter: Literal["rules", "server", "vllm"] = Field("rules", description="rules, server, or vllm in this kernel")
    model: str = Field("", description="hub name or folder of the model; empty: Qwen/Qwen3-14B")
    url: str = Field("http://127.0.0.1:8000/v1", description="address of the server")
    seed: int = Field(1, ge=0, lt=2**31, description="seed of the words chosen")
    overwrite: bool = Field(False, description="rewrite styles that are there already")
    recolour: bool = Field(False, description="give vehicles that have a colour another one")
    side_weather: bool = Field(False, description="side views' prompts say the weather too")
    table: str = Field("", description="YAML file of styles of your own")
    tokenizer: str = Field("", description="folder of google-t5/t5-11b; empty: tokens are estimated")


MODELS: tuple[type[NotebookParams], ...] = (SetupParams, DownloadParams, CaptionParams, StyleParams)
