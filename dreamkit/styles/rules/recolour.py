"""Change the colours of the vehicles in a caption."""

from __future__ import annotations

import random
import re

from dreamkit.captions.split import without_quotes
from dreamkit.styles.rules.softening import article

COLOURS = ("white", "black", "silver", "gray", "red", "blue", "green", "brown", "beige", "yellow", "orange", "maroon")
_NAMES = "|".join((*COLOURS, "grey", "gold", "golden", "tan", "purple"))
# Vehicles with a conventional colour.
_FIXED = re.compile(
    r"(?:[\w-]+\s+){0,2}?(?:school|police|ambulances?|fire|taxis?|cabs?|taxicabs?|transit|snow ?plows?|construction"
    r"|excavators?|bulldozers?|patrol)\b",
    re.IGNORECASE,
)
_COLOURED = re.compile(
    rf"\b(?<![-/])(?P<colour>(?:(?:dark|light|bright|deep|pale|metallic)[ -])?(?:{_NAMES}))(?:-colou?red)?"
    r"(?P<between>\s+(?:(?!(?:and|or|with|in|on|of|is|are)\b)[\w'-]+\s+){0,2}?)"
    r"(?P<vehicle>cars?|sedans?|hatchbacks?|coupes?|convertibles?|(?:station )?wagons?|suvs?|jeeps?|crossovers?|vans?"
    r"|minivans?|pick-?ups?|(?:box |delivery |dump |semi-?)?trucks?|trailers?|motorcycles?|scooters?|bus(?:es)?"
    r"|vehicles?|compacts?)\b",
    re.IGNORECASE,
)


def recoloured(text: str, seed: int) -> str:
    """The text with other vehicle colours; all mentions of a colour change alike, different colours stay different.

    School buses, police cars, ambulances, fire engines and taxis keep their colours.

    Args:
        text: the caption.
        seed: seed of the choice of colours.
    """
    hits = [
        m for m in _COLOURED.finditer(without_quotes(text)) if not _FIXED.match((m["between"] + m["vehicle"]).strip())
    ]
    old = list(dict.fromkeys(match["colour"].lower() for match in hits))
    draw = random.Random(seed)
    new: dict[str, str] = {}
    for colour in old:
        base = re.split(r"[ -]", colour)[-1].replace("grey", "gray")
        free = [c for c in COLOURS if c != base and c not in new.values()]
        # Two vehicles of one colour could be read as one vehicle.
        new[colour] = draw.choice([c for c in free if c not in old] or free or [c for c in COLOURS if c != base])
    for match in reversed(hits):
        colour = new[match["colour"].lower()]
        before = text[: match.start()]
        if indefinite := re.search(r"(?i)\b(an?)\s+$", before):
            before = before[: indefinite.start()] + article(colour, indefinite[1]) + " "
        colour = colour.capitalize() if match["colour"][0].isupper() else colour
        text = before + colour + text[match.end("colour") :]
    return text
