"""Captions into styles: the same scene at another time of day or in other weather.

write_styles(Workspace("outputs"), Restyler())                    by the built-in rules
write_styles(Workspace("outputs"), Restyler(VllmRewriter()))      by Qwen3-14B in this process
write_styles(Workspace("outputs"), Restyler(ServerRewriter()))    by a server
"""

from dreamkit.captions.language import token_counter
from dreamkit.styles.batch import Report, side_prompts, weather_clause, write_styles
from dreamkit.styles.checks import Verdict, check_rewrite
from dreamkit.styles.model.client import ServerRewriter
from dreamkit.styles.model.rewriters import ChatModel, VllmRewriter
from dreamkit.styles.restyle import Restyler, Rewrite
from dreamkit.styles.rules.rewriter import RuleRewriter
from dreamkit.styles.table import Scene, Style, StyleTable, load_styles

__all__ = [
    "ChatModel",
    "Report",
    "Restyler",
    "Rewrite",
    "RuleRewriter",
    "Scene",
    "ServerRewriter",
    "Style",
    "StyleTable",
    "Verdict",
    "VllmRewriter",
    "check_rewrite",
    "load_styles",
    "side_prompts",
    "token_counter",
    "weather_clause",
    "write_styles",
]
