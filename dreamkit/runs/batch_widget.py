"""The state of a batch inside a notebook: a table that is refreshed while the batch runs, and a plot of GPU use."""

from __future__ import annotations

import html
import threading
from typing import TYPE_CHECKING, Any

from dreamkit.errors import DreamkitError
from dreamkit.runs.batch_events import event_time, read_events
from dreamkit.runs.batch_status import STATES, BatchStatus, find_batch, read_status
from dreamkit.runs.batch_units import BLOCKED, DONE, FAILED, BatchFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REFRESH_SECONDS = 2.0
_SHOWN = 20


class BatchBoard:
    """A table of a batch as an ipywidgets page; it is refreshed until the batch ends.

    Args:
        run: name, folder or file of the batch; empty for the one that was started last.
        workspace: the workspace folder; empty for `outputs`.

    Raises:
        DreamkitError: there is no such batch.
    """

    def __init__(self, run: str = "", workspace: str = "") -> None:
        import ipywidgets as widgets

        self.folder = find_batch(run, workspace)
        self.bar = widgets.IntProgress(min=0, layout=widgets.Layout(width="100%"))
        self.table = widgets.HTML()
        self.box = widgets.VBox([self.bar, self.table])
        self._stopped = threading.Event()
        self.refresh()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.box)
        threading.Thread(target=self._follow, daemon=True).start()

    def refresh(self) -> BatchStatus:
        """Read the state of the batch and show it."""
        status = read_status(self.folder)
        over = sum(status.count(state) for state in (DONE, FAILED, BLOCKED))
        self.bar.max = max(1, sum(status.count(state) for state in STATES))
        self.bar.value = over
        self.bar.bar_style = "danger" if status.count(FAILED) else "success" if over == self.bar.max else "info"
        self.table.value = status_table(status)
        return status

    def stop(self) -> None:
        """Refresh no more."""
        self._stopped.set()

    def _follow(self) -> None:
        while not self._stopped.wait(REFRESH_SECONDS):
            try:
                if not self.refresh().alive:
                    return
            except DreamkitError as error:  # the folder was removed while it is shown
                self.table.value = html.escape(str(error))
                return


def status_table(status: BatchStatus) -> str:
    """The state of a batch as HTML: heading, counts of each stage, what failed and why."""
    heads = "".join(f"<th>{html.escape(head)}</th>" for head in ("stage", *STATES))
    rows = "".join(
        f"<tr><td>{html.escape(stage)}</td>" + "".join(f"<td>{found.get(state, 0)}</td>" for state in STATES) + "</tr>"
        for stage, found in status.states.items()
    )
    reasons = "".join(
        f"<li>{state}: {html.escape(name)}: {html.escape(reason)}</li>"
        for name, state, reason in status.reasons[:_SHOWN]
    )
    more = len(status.reasons) - _SHOWN
    rest = f"<p>and {more} more in the report</p>" if more > 0 else ""
    title = f"<b>batch {html.escape(status.name)}</b>: {html.escape(status.heading)}"
    return f"<p>{title}</p><table><tr>{heads}</tr>{rows}</table><ul>{reasons}</ul>{rest}"


def plot_gpu_use(folder: BatchFolder) -> Figure:
    """A plot of the GPUs' use in percent over the hours since the first sample of the batch.

    Raises:
        DreamkitError: no use was recorded, as on a machine without GPU or on a Ray cluster.
    """
    from matplotlib.figure import Figure

    samples: list[tuple[float, list[dict[str, Any]]]] = [
        (event_time(event), [gpu for gpu in event.get("use", []) if gpu["percent"] is not None])
        for event in read_events(folder.events)
        if event["event"] == "gpus"
    ]
    if not any(use for _, use in samples):
        raise DreamkitError(
            f"The batch {folder.root.name} recorded no use of GPUs.",
            "The local engine records it where nvidia-smi tells it; Ray has a dashboard of its own.",
        )
    began = samples[0][0]
    figure = Figure(figsize=(8, 2.5), layout="constrained")
    axes = figure.subplots()
    for index in sorted({gpu["index"] for _, use in samples for gpu in use}):
        points = [((at - began) / 3600, gpu["percent"]) for at, use in samples for gpu in use if gpu["index"] == index]
        axes.plot(*zip(*points, strict=True), label=f"GPU {index}", drawstyle="steps-post")
    axes.set(xlabel="hours", ylabel="use in percent", ylim=(0, 105))
    axes.legend(loc="lower right")
    return figure
