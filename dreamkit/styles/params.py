"""The parameters of notebook 03."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from dreamkit.notebook.params import NotebookParams


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
