"""The parameters of notebook 03, styles."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, field_validator

from dreamkit.guardrail.choice import PROMPT_CHECKS, chosen_checks
from dreamkit.notebook.params import NotebookParams


class StyleParams(NotebookParams):
    """Notebook 03: rewrite captions in styles of weather and daylight."""

    notebook: ClassVar[str] = "03_styles"

    clips: list[str] = Field(default=[], description="clips; empty: every clip with a caption")
    styles: list[str] = Field(default=[], description="styles to write; empty: all eight")
    rewriter: Literal["rules", "server", "vllm"] = Field(
        default="rules", description="rules, server, or vllm (in this kernel)"
    )
    model: str = Field(default="", description="hub name or folder of the model; empty: Qwen/Qwen3-14B")
    url: str = Field(default="http://127.0.0.1:8000/v1", description="URL of the server")
    seed: int = Field(default=1, ge=0, lt=2**31, description="seed for the choice of words")
    overwrite: bool = Field(default=False, description="rewrite existing styles")
    recolour: bool = Field(default=False, description="change the colours of vehicles")
    side_weather: bool = Field(default=False, description="add the weather to the side views' prompts")
    table: str = Field(default="", description="YAML file with your own styles")
    tokenizer: str = Field(default="", description="folder of google-t5/t5-11b; empty: tokens are estimated")
    guardrail: str | list[str] = Field(default="none", description="none, prompts, or a list: blocklist, llama_guard")
    checkpoints: str = Field(default="checkpoints", min_length=1, description="folder of the guardrail's files")

    @field_validator("guardrail")
    @classmethod
    def _known_checks(cls, asked: str | list[str]) -> str | list[str]:
        chosen_checks(asked, PROMPT_CHECKS)
        return asked
