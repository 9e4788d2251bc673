"""What the parameter models of all notebooks share."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from dreamkit.workspace.cameras import read_folders
from dreamkit.workspace.workspace import Workspace, from_home


class NotebookParams(BaseModel):
    """What every notebook takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    notebook: ClassVar[str]
    needs_workspace: ClassVar[bool] = True

    workspace: str = Field("outputs", min_length=1, description="folder of conditions, captions and results")

    def open_workspace(self) -> Workspace:
        """The workspace these parameters name, with its camera folders where the notebook takes a table of them.

        Raises:
            DreamkitError: the camera table cannot be used; or the notebook works on a folder that is not there.
        """
        table = getattr(self, "camera_table", "")
        workspace = Workspace(self.workspace, read_folders(from_home(table) if table else None))
        if self.needs_workspace:
            workspace.must_exist()
        return workspace
