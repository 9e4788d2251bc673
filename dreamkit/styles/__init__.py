"""Notebook 03: rewrites captions into styles, the same scene at another time of day or in other weather.

May import: captions, transfer, rds, notebook, guardrail, workspace, errors.
Begin reading at batch.py (`write_styles`), then restyle.py. `write_styles(Workspace("outputs"), Restyler())` uses the
built-in rules; `Restyler(VllmRewriter())` and `Restyler(ServerRewriter())` use a language model.
"""

from dreamkit.captions.language import token_counter
from dreamkit.styles.batch import StylesReport, write_styles
from dreamkit.styles.checks import RewriteCheck, check_rewrite
from dreamkit.styles.model.client import ServerRewriter
from dreamkit.styles.model.rewriters import ChatModel, VllmRewriter
from dreamkit.styles.restyle import Restyler, Rewrite
from dreamkit.styles.rules.rewriter import RuleRewriter
from dreamkit.styles.side_views import clip_prompts, side_prompts, weather_clause
from dreamkit.styles.table import ConditionTexts, Style, StyleTable, load_styles

__all__ = [
    "ChatModel",
    "ConditionTexts",
    "Restyler",
    "Rewrite",
    "RewriteCheck",
    "RuleRewriter",
    "ServerRewriter",
    "Style",
    "StyleTable",
    "StylesReport",
    "VllmRewriter",
    "check_rewrite",
    "clip_prompts",
    "load_styles",
    "side_prompts",
    "token_counter",
    "weather_clause",
    "write_styles",
]
