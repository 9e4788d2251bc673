"""What a style must not touch: road users with their counts, structures, and manoeuvres, as a caption names them."""

from __future__ import annotations

import re
from functools import lru_cache

# kind -> the nouns that name it, singular; plurals are made below. Longer names are tried first.
ROAD_USERS: dict[str, tuple[str, ...]] = {
    "car": ("car", "sedan", "hatchback", "coupe", "convertible", "wagon", "station wagon", "automobile", "compact",
            "sports car", "patrol car"),
    "suv": ("suv", "jeep", "crossover", "sport utility vehicle"),
    "van": ("van", "minivan", "delivery van", "cargo van"),
    "truck": ("truck", "lorry", "semi", "semi-truck", "tractor-trailer", "trailer", "dump truck", "box truck",
              "delivery truck", "tanker", "tanker truck", "garbage truck", "flatbed", "cement mixer", "semi-trailer", "tow truck"),
    "pickup": ("pickup", "pickup truck", "pick-up", "pick-up truck"),
    "bus": ("bus", "coach", "school bus", "shuttle", "minibus"),
    "emergency vehicle": ("ambulance", "fire truck", "fire engine", "police car", "police cruiser", "police vehicle"),
    "taxi": ("taxi", "cab", "taxicab"),
    "motorcycle": ("motorcycle", "motorbike", "scooter", "moped", "motorcyclist"),
    "bicycle": ("bicycle", "bike", "cyclist", "bicyclist", "e-bike"),
    "tram": ("tram", "streetcar", "train", "trolley"),
    "machine": ("excavator", "bulldozer", "tractor", "forklift", "roller", "paver", "snowplow", "snow plow",
                "street sweeper", "golf cart", "backhoe", "loader"),
    "pedestrian": ("pedestrian", "person", "man", "woman", "child", "boy", "girl", "kid", "jogger", "runner", "student",
                   "worker", "crossing guard", "construction worker", "officer", "police officer", "flagger", "walker",
                   "skateboarder", "shopper", "passer-by", "commuter", "schoolchild", "parent", "couple", "crowd",
                   "dog walker", "attendant", "skier", "tourist"),
    "animal": ("dog", "cat", "deer", "horse", "cow", "bird", "pigeon", "sheep"),
    "vehicle": ("vehicle", "traffic"),
}
_IRREGULAR = {
    "man": "men", "woman": "women", "person": "people", "child": "children", "schoolchild": "schoolchildren",
    "passer-by": "passers-by", "deer": "deer", "sheep": "sheep", "traffic": "traffic",
}
MOTOR = ("car", "suv", "van", "truck", "pickup", "bus", "emergency vehicle", "taxi", "motorcycle", "tram", "machine",
         "vehicle")  # fmt: skip


def plural(noun: str) -> str:
    """The plural of a road user's name."""
    head, _, last = noun.rpartition(" ")
    if last in _IRREGULAR:
        last = _IRREGULAR[last]
    elif re.search(r"(?:s|x|ch|sh)$", last):
        last += "es"
    elif re.search(r"[^aeiou]y$", last) and "-" not in last:
        last = last[:-1] + "ies"
    else:
        last += "s"
    return f"{head} {last}".strip()


_KINDS = {name: kind for kind, nouns in ROAD_USERS.items() for noun in nouns for name in (noun, plural(noun))}
_PLURALS = frozenset(plural(noun) for nouns in ROAD_USERS.values() for noun in nouns)
_NAMES = "|".join(sorted(map(re.escape, _KINDS), key=len, reverse=True))
# "car park", "bus stop", "truck lane" and the like are places, not road users.
_NOT_A_USER = (
    r"(?![ ]of\b)(?![ -](?:parks?|stops?|shelters?|lanes?|stations?|terminals?|dealerships?|wash(?:es)?|crossings?|paths?|racks?"
    r"|depots?|lights?|signals?|signs?|cones?|rental|repair|ports?|trails?|tracks?|yards?|houses?|sheds?|bridges?|flow"
    r"|control|islands?|circles?|stands?|barriers?|jams?|routes?|docks?|bays?|garages?|schools?\b|infrastructure)\b)(?![-'’]?\w)"
)
USER = re.compile(rf"\b(?:{_NAMES})\b{_NOT_A_USER}", re.IGNORECASE)

_NUMBERS = {word: number for number, word in enumerate(
    "zero one two three four five six seven eight nine ten eleven twelve".split())} | {"dozen": 12, "pair": 2}  # fmt: skip
_MANY = frozenset(
    "several many multiple some few numerous various more other occasional most dozens couple handful both".split()
)
_DEFINITE = frozenset("the this that these those its their his her each every".split())
_SINGLE = frozenset("a an one another single lone solitary".split())
_STRUCTURES = (
    r"buildings?|houses?|homes?|apartments?|shops?|stores?|storefronts?|schools?|church(?:es)?|offices?|warehouses?|factory|factories|towers?|skyscrapers?|rooftops?|roofs?|caf[eé]s?|restaurants?|gas station|supermarket|mall|hospital|garages?|bridges?|overpass(?:es)?|underpass(?:es)?|tunnels?"
    r"|trees?|bush(?:es)?|hedges?|palms?|forest|woods?|fields?|hills?|hillsides?|mountains?|river|lake|park|lawns?|gardens?|grass|shrubs?|vegetation|greenery|plants?|flowers?"
    r"|poles?|posts?|wires?|power lines|signs?|billboards?|traffic[ -]lights?|traffic[ -]signals?|signals?|street ?lights?|street ?lamps?|lamp ?posts?|barriers?|barricades?|guard ?rails?|fences?|walls?|medians?|cones?|barrels?|hydrants?|benches|bus stops?|bus shelters?|mailbox(?:es)?|cranes?|scaffolding|bollards?|banners?|flags?|parking meters?|planters?|driveways?|gates?"
    r"|crosswalks?|lanes?|lane markings|intersections?|sidewalks?|roundabouts?|ramps?|shoulders?|curbs?|kerbs?|parking lot|parking spaces?|stop line|crossing|junction|bike lanes?|toll booths?|toll plaza|exits?|skyline|platforms?|rails|railroad|railway|construction zone|work zone|playground|entrance|pillars?|columns?|storefront|awnings?|windows?|arrows?|markings"
)
STRUCTURE = re.compile(rf"\b(?:{_STRUCTURES})\b(?![-'’]\w)(?<!signs(?= of ))(?<!sign(?= of ))", re.IGNORECASE)

# manoeuvre -> how it is said; the direction is part of the name where there is one.
MANOEUVRES: dict[str, str] = {
    "turn left": r"turn(?:s|ed|ing)?(?: \w+){0,2} left|left[ -](?:hand )?turn(?:s|ing)?|left-turning",
    "turn right": r"turn(?:s|ed|ing)?(?: \w+){0,2} right|right[ -](?:hand )?turn(?:s|ing)?|right-turning",
    "turn": r"(?:is|are|prepar\w+ to|about to|begin\w* to|slow\w* to|wait\w* to|and|vehicle|car|truck) turn(?:s|ed|ing)? (?:into|onto|off|at|across|in)\b|(?<!left )(?<!right )(?<!u-)turns (?:into|onto|off)\b",
    "u-turn": r"u-turns?",
    "merge": r"merg(?:e|es|ed|ing)",
    "change lanes": r"chang(?:e|es|ed|ing) lanes?|lane change|switch(?:es|ing)? lanes?|mov(?:e|es|ing) (?:over )?(?:in)?to the (?:left|right|adjacent|next|inner|outer) lane",
    "overtake": r"overt(?:ake|akes|aking|ook)|pass(?:es|ed|ing)? (?:a|an|the|it|another|several|two|three|parked|slower)\b",
    "stop": r"stop(?:s|ped|ping)?(?! (?:signs?|lines?|lights?|bars?)\b)|halt(?:s|ed|ing)?|standstill|stationary",
    "wait": r"wait(?:s|ed|ing)?|idl(?:e|es|ing)",
    "yield": r"yield(?:s|ed|ing)?(?! signs?)|giv(?:e|es|ing) way",
    "brake": r"brak(?:e|es|ed|ing)(?! ?lights?)|slow(?:s|ed|ing) (?:down|to|for|as|near|behind)|decelerat\w+",
    "accelerate": r"accelerat\w+|speed(?:s|ing)? up|pull(?:s|ing)? away",
    "reverse": r"revers(?:e|es|ing)|back(?:s|ing) (?:up|out|into)",
    "park": r"park(?:s|ed)\b|parking(?= (?:itself|in|at|beside|along)\b)|double-parked",
    "enter": r"enter(?:s|ed|ing)?\b",
    "exit": r"exit(?:s|ed|ing)\b|leav(?:e|es|ing) (?:the|a) (?:highway|road|lot|tunnel|garage|parking|freeway|intersection|roundabout)|pull(?:s|ing)? out",
    "pull over": r"pull(?:s|ed|ing)? (?:over|in(?:to)?)|unload(?:s|ing)?|load(?:s|ing) ",
    "cross": r"cross(?:es|ed|ing)?(?= (?:the|a|an|at|in|from|his|her|its|their|over|slowly|quickly|safely|here|two|four)\b)|cross(?:es|ing)?(?=[.,;])",
    "follow": r"follow(?:s|ed|ing)?(?= (?:a|an|the|it|behind|closely|at)\b)|trail(?:s|ing)? behind|tailgat\w+",
    "approach": r"approach(?:es|ed|ing)?\b",
    "oncoming": r"oncoming|opposite direction|opposing (?:direction|traffic|lanes?)",
    "walk": r"walk(?:s|ed|ing)?\b(?! signals?)|strol(?:l|ls|ling)|jog(?:s|ging)?\b|run(?:s|ning) (?:across|along|on|down|past)",
    "ride": r"rid(?:e|es|ing)\b|cycl(?:e|es|ing)\b|pedal(?:s|ling|ing)?\b",
    "swerve": r"swerv\w+",
    "go straight": r"(?:go|goes|going|continu\w+|driv\w+|proceed\w*|head\w*) straight|straight ahead",
}  # fmt: skip
_MANOEUVRES = {name: re.compile(rf"\b(?:{pattern})", re.IGNORECASE) for name, pattern in MANOEUVRES.items()}
_CAMERA = re.compile(r"\b(?:video|clip|footage|camera|recording|ego(?:[ -]vehicle)?|dashcam|viewpoint)\b", re.IGNORECASE)
NEW_PLACE = re.compile(
    r"\b(?:an?|two|three|four|five|six|multi\w*)(?:[ -](?!as\b|and\b|with\b|on\b|at\b|in\b|of\b)[\w'-]+){0,4}[ -](?:lanes?|road|street|highway|avenue|boulevard|freeway|motorway|expressway"
    r"|alley|town|city|neighbou?rhood|area|district|village|curve|bend|hill|downgrade|route|roadway|path|square|plaza)\b",
    re.IGNORECASE,
)
_QUOTE = re.compile(r"\"[^\"]*\"|“[^”]*”")


def without_quotes(text: str) -> str:
    """The text with what stands in quotation marks blanked out, same length."""
    return _QUOTE.sub(lambda match: "_" * len(match.group()), text)


def holds_scene(text: str) -> bool:
    """Whether the text names something that must stay: road user, structure, manoeuvre, camera, or a new place."""
    plain = without_quotes(text)
    patterns = (USER, STRUCTURE, _CAMERA, NEW_PLACE, *_MANOEUVRES.values())
    return '"' in text or "“" in text or any(pattern.search(plain) for pattern in patterns)


def _count(before: str, noun: str) -> str:
    """The count that stands before a road user's name: a number, "many", or "the" for one named before."""
    words = re.findall(r"[\w'-]+", before.lower())[-6:]
    for word in reversed(words):
        if word in _NUMBERS and word not in _SINGLE:
            return str(_NUMBERS[word])
        if word.isdigit():
            return word
        if word in _MANY:
            return "many"
        if word in _SINGLE:
            return "1"
        if word in _DEFINITE:
            return "the"
        if word in _BREAKS:
            break
    return "many" if noun.lower() in _PLURALS else "1"


_BREAKS = frozenset(
    "and or with in on at to from by as while is are was were has have behind past for near along through across".split()
)


@lru_cache(maxsize=4096)
def road_users(text: str) -> tuple[tuple[str, str], ...]:
    """Every first mention of road users as (kind, count), sorted; the count is a number or "many".

    Mentions with a definite article name what is known already and are left out, unless no other mention of the kind
    is there.
    """
    plain = without_quotes(text)
    counted: list[tuple[str, str]] = []
    definite: set[str] = set()
    for match in USER.finditer(plain):
        kind = _KINDS[match.group().lower()]
        clause = re.split(r"[.,;:]", plain[: match.start()])[-1]
        count = _count(clause, match.group())
        if count == "the":
            definite.add(kind)
        else:
            counted.append((kind, count))
    known = {kind for kind, _ in counted}
    return tuple(sorted([*counted, *((kind, "the") for kind in definite - known)]))


@lru_cache(maxsize=4096)
def manoeuvres(text: str) -> frozenset[str]:
    """The manoeuvres a text names."""
    plain = without_quotes(text)
    return frozenset(name for name, pattern in _MANOEUVRES.items() if pattern.search(plain))
