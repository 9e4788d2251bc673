"""Review of generated videos: see them in frame sync, measure them, judge them, keep the judgement, export."""
