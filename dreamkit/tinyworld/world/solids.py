"""Convex solids that the renderer draws, their materials, and the solids of each model of road user."""

from __future__ import annotations

from dataclasses import dataclass, replace

BOX, WEDGE, BALL = range(3)
# Materials, which decide how the renderer shades a solid.
PLAIN, BODY, CABIN, BUILDING, LEAVES, POLE, SIGN, LIGHT, LAMP, CLOTHES = range(10)


@dataclass(frozen=True)
class Solid:
    """A convex solid.

    Attributes:
        shape: BOX, WEDGE or BALL.
        material: one of the materials above.
        centre: (x, y, z) in world metres, or in the axes of its road user.
        half: half sizes along its own axes, metres.
        heading: radians to the left of x.
        colour: linear RGB 0..1.
        lean: for a wedge, how much its x and y half sizes shrink from bottom to top, metres.
        layer: RDS-HQ map layer that has it, or None.
        track: index of the road user it belongs to, or -1.
    """

    shape: int
    material: int
    centre: tuple[float, float, float]
    half: tuple[float, float, float]
    heading: float = 0.0
    colour: tuple[float, float, float] = (0.3, 0.3, 0.3)
    lean: tuple[float, float] = (0.0, 0.0)
    layer: str | None = None
    track: int = -1


def vehicle_solids(model: str, size: tuple[float, float, float], colour: tuple, track: int) -> list[Solid]:
    """Solids of a road user inside its box; centres and headings are relative to the box."""
    length, width, height = size
    low = -height / 2
    if model == "person":
        trousers = (0.03, 0.04, 0.07)
        pieces = [
            Solid(BOX, CLOTHES, (0, 0, low + 0.42), (0.13, 0.17, 0.42), colour=trousers),
            Solid(BALL, CLOTHES, (0, 0, low + 1.14), (0.2, 0.27, 0.4), colour=colour),
            Solid(BALL, CLOTHES, (0.02, 0, low + 1.6), (0.13, 0.12, 0.15), colour=(0.4, 0.23, 0.16)),
        ]
    elif model == "cyclist":
        pieces = [
            Solid(BOX, CLOTHES, (0, 0, low + 0.42), (0.85, 0.06, 0.38), colour=(0.03, 0.03, 0.03)),
            Solid(BALL, CLOTHES, (-0.05, 0, low + 1.15), (0.26, 0.24, 0.4), colour=colour),
            Solid(BALL, CLOTHES, (0.15, 0, low + 1.58), (0.13, 0.12, 0.16), colour=(0.4, 0.23, 0.16)),
        ]
    elif model == "truck":
        cab = length * 0.22
        pieces = [
            Solid(
                BOX, PLAIN, (-cab / 2, 0, 0.42), ((length - cab) / 2 - 0.1, width / 2, height / 2 - 0.42), colour=colour
            ),
            Solid(BOX, BODY, (0, 0, low + 0.68), (length / 2, width * 0.47, 0.52), colour=(0.1, 0.1, 0.11)),
            Solid(
                WEDGE,
                CABIN,
                (length / 2 - cab / 2, 0, low + 1.95),
                (cab / 2, width * 0.48, 0.95),
                colour=(0.5, 0.1, 0.03),
                lean=(0.15, 0.05),
            ),
        ]
    elif model in ("bus", "van"):
        body = 0.32 * height
        pieces = [
            Solid(BOX, BODY, (0, 0, low + 0.16 + body), (length / 2, width / 2, body), colour=colour),
            Solid(
                WEDGE,
                CABIN,
                (-0.02 * length, 0, low + 0.16 + 2 * body + (height - 0.16 - 2 * body) / 2),
                (length * 0.48, width * 0.49, (height - 0.16 - 2 * body) / 2),
                colour=colour,
                lean=(0.15, 0.08),
            ),
        ]
    else:
        body = 0.27 * height
        top = height - 0.16 - 2 * body
        back = {"hatchback": -0.12, "suv": -0.12, "coupe": -0.06}.get(model, -0.04)
        pieces = [
            Solid(BOX, BODY, (0, 0, low + 0.16 + body), (length / 2, width / 2, body), colour=colour),
            Solid(
                WEDGE,
                CABIN,
                (back * length, 0, low + 0.16 + 2 * body + top / 2),
                (length * 0.34, width * 0.47, top / 2),
                colour=colour,
                lean=(0.14 * length, 0.2),
            ),
        ]
    return [replace(piece, track=track) for piece in pieces]
