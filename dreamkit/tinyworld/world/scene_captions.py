"""Captions of made-up scenes in the style of real ones: place, road, traffic, surroundings, light."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dreamkit.captions.files import ORIGINAL
from dreamkit.styles.rules.rewriter import RuleRewriter, stable_seed
from dreamkit.styles.table import StyleTable, load_styles
from dreamkit.tinyworld.world.scene import MadeUpScene
from dreamkit.tinyworld.world.solids import BUILDING, LEAVES
from dreamkit.tinyworld.world.traffic import CARS, ROAD_USER_MODELS, Mover

_COUNTS = ("no", "one", "two", "three", "four", "five", "six")
_PLACES = {
    "street": ("a city street", "an urban street", "a street in a town"),
    "highway": ("a highway", "a multi-lane highway", "a divided highway"),
    "rural": ("a rural road", "a country road", "a two-lane road through open country"),
}
_SEEN = 60.0  # metres ahead within which road users are mentioned


def scene_caption(scene: MadeUpScene) -> str:
    """The caption of a scene in the Original style, a clear day; deterministic."""
    rng = np.random.default_rng([scene.seed, 6])

    def one_of(*texts: str) -> str:
        return texts[rng.integers(len(texts))]

    opening = one_of("The video shows", "The video captures", "The video depicts")
    lines = [
        f"{opening} {one_of(*_PLACES[scene.setting])}{_course(scene)} on a clear day.",
        *_manoeuvre(scene),
        *_traffic(scene, one_of),
        *_surroundings(scene, one_of),
        one_of(
            "The sky is clear, and the light is mild.",
            "The daylight is mild under a pale blue sky.",
            "It is daytime, and the sky is pale and clear.",
        ),
    ]
    return " ".join(lines)


def style_captions(scene: MadeUpScene, seed: int = 0, table: StyleTable | None = None) -> dict[str, str]:
    """Captions by style: the Original one, and its rewrites by the kit's style rules.

    Args:
        scene: the made-up scene.
        seed: of the rules' choices.
        table: styles; the kit's own when None.
    """
    table = table or load_styles()
    original, rules = scene_caption(scene), RuleRewriter(table)
    rewritten = {
        style.name: rules.rewrite(original, style, stable_seed(seed, scene.seed, style.name))
        for style in table.choose()
    }
    return {ORIGINAL: original, **rewritten}


def _number(count: int, noun: str) -> str:
    return f"{_COUNTS[count] if count < len(_COUNTS) else 'several'} {noun if count == 1 else noun + 's'}"


def _course(scene: MadeUpScene) -> str:
    if scene.shape == "junction":
        return " at an intersection with traffic lights"
    if scene.turn:
        return f" that curves to the {'left' if scene.turn > 0 else 'right'}"
    return " that runs straight ahead"


def _manoeuvre(scene: MadeUpScene) -> list[str]:
    road = scene.roads[0]
    acts = {
        "stop": ["The car slows down before the red light, while other vehicles cross from the sides."],
        "left": ["The car turns left at the intersection."],
        "right": ["The car turns right at the intersection."],
        "go": ["The car drives straight through the green light."] if scene.junction else [],
    }
    lanes = (
        f"The road has {_number(road.right, 'lane')} in the direction of travel and {_COUNTS[road.left]} in the other."
    )
    return [*acts[scene.flow.mode], lanes]


def _seen(scene: MadeUpScene) -> list[tuple[Mover, float, float]]:
    """Road users ahead of the car at the first frame, nearest first: (mover, metres ahead, metres to the left)."""
    found = []
    for mover in scene.movers:
        (x, y), _ = mover.curve.at(mover.s[0], mover.side)
        if 2 < x < _SEEN and abs(y) < _SEEN / 2:
            found.append((mover, float(x), float(y)))
    return sorted(found, key=lambda row: row[1])


def _traffic(scene: MadeUpScene, one_of: Callable[..., str]) -> list[str]:
    seen, lines = _seen(scene), []
    main, lane = scene.roads[0].curve, scene.roads[0].centre(scene.flow.lane)
    vehicles = [mover for mover, _, _ in seen if mover.model not in ("person", "cyclist")]
    ahead = [mover for mover in vehicles if mover.curve is main and mover.side == lane]
    if ahead:
        word = ROAD_USER_MODELS[ahead[0].model].word
        lines.append(one_of(f"A {word} drives ahead in the same lane.", f"A {word} is in front of the car."))
    oncoming = [mover for mover in vehicles if mover.backwards and mover.moving and mover.curve is main]
    if oncoming:
        verb = "comes" if len(oncoming) == 1 else "come"
        lines.append(f"{_number(len(oncoming), 'vehicle').capitalize()} {verb} from the opposite direction.")
    still = [mover for mover in vehicles if not mover.moving]
    if still:
        where = "stopped near the intersection" if scene.junction else "parked along the road"
        lines.append(f"{_number(len(still), 'vehicle').capitalize()} {'is' if len(still) == 1 else 'are'} {where}.")
    large = [mover.model for mover in vehicles if mover.model not in CARS and mover not in ahead[:1]]
    if large:
        lines.append(f"A {ROAD_USER_MODELS[large[0]].word} is visible in the traffic.")
    walkers = sum(mover.model == "person" for mover, _, _ in seen)
    if walkers:
        verb = "walks" if walkers == 1 else "walk"
        lines.append(f"{_number(walkers, 'pedestrian').capitalize()} {verb} along the street.")
    if any(mover.model == "cyclist" for mover, _, _ in seen):
        lines.append("A cyclist rides at the edge of the road.")
    degree = "no" if not vehicles else "light" if len(vehicles) < 5 else "moderate" if len(vehicles) < 12 else "heavy"
    return [*lines, f"There is {degree} traffic."]


def _surroundings(scene: MadeUpScene, one_of: Callable[..., str]) -> list[str]:
    near = [solid for solid in scene.solids if -5 < solid.centre[0] < 80 and abs(solid.centre[1]) < 40]
    counts = {
        "buildings": sum(solid.material == BUILDING for solid in near),
        "trees": sum(solid.material == LEAVES for solid in near),
    }
    sides = [name for name, count in counts.items() if count > 2]
    lines = []
    if sides:
        lines.append(f"The road is {one_of('lined with', 'flanked by')} {' and '.join(sides)}.")
    if scene.setting == "rural":
        lines.append(one_of("Grass fields lie on both sides.", "Open fields stretch out on both sides of the road."))
    if len(scene.lamps):
        lines.append(one_of("Streetlights stand along the road.", "Street lamps line the road."))
    elif any(solid.layer == "poles" for solid in near):
        lines.append("Utility poles run along the road.")
    if len(scene.layers["crosswalks"]):
        lines.append("A crosswalk is painted across the road.")
    if scene.setting == "highway" and any(solid.layer == "traffic_signs" for solid in near):
        lines.append("Green highway signs stand beside the road.")
    return lines
