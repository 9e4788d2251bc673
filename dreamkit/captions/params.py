"""The parameters of notebook 02, captions."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from dreamkit.notebook.params import NotebookParams


class CaptionParams(NotebookParams):
    """Notebook 02: write, import or draft a caption for every clip."""

    notebook: ClassVar[str] = "02_captions"

    clips: list[str] = Field(default=[], description="clips to caption; empty: all")
    csv: str = Field(default="", description="CSV file to import, with the columns clip,caption")
    overwrite: bool = Field(default=False, description="replace existing captions on import and by drafts")
    tokenizer: str = Field(default="", description="folder of google-t5/t5-11b; empty: tokens are estimated")
    drafter: str = Field(default="", description="URL of a vision-language server (.../v1); empty: none")
    drafter_model: str = Field(default="", description="model name; empty: the server's first")
    videos: str = Field(default="", description="folder of real front videos <clip>.mp4 for the drafter")
    camera_table: str = Field(
        default="", description="YAML file of `folder: camera` lines; empty: the standard folders"
    )
