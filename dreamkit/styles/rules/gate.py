"""What a cut must not leave: dangling verbs, articles, lists and conjunctions, phrases without their head."""

from __future__ import annotations

import re

from dreamkit.styles.rules.clauses import finite

DANGLING = re.compile(
    r"(?i)^\W*(?:is|are|was|were|has|have|of|and|or|but)\b|, of the\b|\b(?:is|are|was|were|be|being|appears?|"
    r"seems?|looks?|"
    r"remains?)(?: \w+ly)?\s*(?:[.,;]|$|and (?:the|there|it)\b|"
    r"(?:possibly|likely|probably|perhaps) (?:due|from|because|after|as)\b|due\b|with\b|as\b|\w+ing (?:an?|the) "
    r"\w+ effect)"
    r"|(?<![\w-])(?:the|an?|its|their|of|in|on|at|under|by|from|with|without|and|or|but|while|as|during|into|through|"
    r"along|between|to|very|some of)\s*(?:[.,;:]|$)"
    r"|\b(?:lies?|cut|cutting|piercing|shining|casting|creating|reflecting|illuminating|providing|lighting|"
    r"glowing)\s*(?:[.,;]|$)"
    r"|\b(?:the|an?)\s+(?:and|or|is|are|was|with|in|on|at|by|from|of|to|as|the|an?)\b|,\s*,|\b(?:and|"
    r"or)\s+(?:and|or|but|is|with)\b"
    r"|\b(?:in|on|at|under|by|from|with|during)\s+(?:in|on|at|under|by|from|with|during|and|or|is|"
    r"are)\b(?!\s+(?:front|top|the far))"
    r"|\b(?:is|are) (?:illuminated|lit|covered|surrounded|obscured|bathed|lined|characterized|set|filled|"
    r"evidenced|indicated)\s*(?:[.,;]|$)|^\s*[,;]|\b(?:due|owing|thanks) (?:to )?(?:[.,;]|$)"
)


def headless(before: str, after: str) -> bool:
    """Whether a cut took the head of a phrase: "with raindrops on the windshield" became "on the windshield"."""
    if re.match(r"(?i)(?:under|holding|carrying|using|sharing)\b.*umbrella", before):
        return False
    if re.match(r"(?i)with\b", before):
        return not re.match(r"(?i)with\b", after)
    return before.split()[0] != after.split()[0] and bool(
        re.match(r"(?i)(?:on|in|at|of|from|to|by|along|near|across|over)\b", after)
    )


def broken(text: str, original: str) -> bool:
    """Whether a cut left a dangling word that the original has not, or took the verb."""
    more = len(DANGLING.findall(text)) > len(DANGLING.findall(original))
    had = finite(re.sub(r"(?i)\bwhat (?:seems|appears) to be\b", "", original))
    return more or bool(had and not finite(text))
