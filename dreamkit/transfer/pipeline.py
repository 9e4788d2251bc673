"""The two models as calls: prompts and condition videos in, uint8 frames out. No file access after loading."""

from dreamkit.transfer.encoded_controls import EncodedControls
from dreamkit.transfer.multi_view import MultiViewPipeline
from dreamkit.transfer.reports import Progress
from dreamkit.transfer.single_view import NEGATIVE_PROMPT, SingleViewPipeline

__all__ = ["NEGATIVE_PROMPT", "EncodedControls", "MultiViewPipeline", "Progress", "SingleViewPipeline"]
