"""The parameters of notebook 02."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from dreamkit.notebook.params import NotebookParams


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
