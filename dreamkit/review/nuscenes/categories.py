"""nuScenes' categories, attributes and camera channels for the names of RDS-HQ.

Names and texts are those of the nuScenes schema (docs/schema_nuscenes.md and docs/instructions_nuscenes.md of
nutonomy/nuscenes-devkit).
"""

from __future__ import annotations

CHANNELS = {
    "front_wide_120fov": "CAM_FRONT",
    "cross_left_120fov": "CAM_FRONT_LEFT",
    "cross_right_120fov": "CAM_FRONT_RIGHT",
    "rear_tele_30fov": "CAM_BACK",
    "rear_left_70fov": "CAM_BACK_LEFT",
    "rear_right_70fov": "CAM_BACK_RIGHT",
}
"""View -> channel."""

OTHER = "static.other"
_CATEGORY_TYPES = {
    "vehicle.car": ("Car", "Vehicle", "Automobile", "Other_vehicle"),
    "vehicle.truck": ("Truck", "Heavy_truck"),
    "vehicle.bus.rigid": ("Bus", "Trolley_bus", "Train_or_tram_car"),
    "vehicle.trailer": ("Trailer",),
    "vehicle.bicycle": ("Cyclist", "Rider", "Bicycle"),
    "vehicle.motorcycle": ("Motorcycle", "Motorcyclist"),
    "human.pedestrian.adult": ("Pedestrian", "Person"),
    "human.pedestrian.stroller": ("Stroller",),
    "animal": ("Animal",),
    "movable_object.trafficcone": ("Cone", "TrafficCone"),
    "movable_object.barrier": ("Barrier", "RoadworkObject"),
}
CATEGORIES = (*_CATEGORY_TYPES, OTHER)
"""Names of the categories, in the order of the table."""
CATEGORY_OF = {kind.lower(): name for name, kinds in _CATEGORY_TYPES.items() for kind in kinds}
"""Object type in lower case -> category; a type that is not here becomes OTHER."""

ATTRIBUTES = (
    "vehicle.moving",
    "vehicle.stopped",
    "cycle.with_rider",
    "pedestrian.moving",
    "pedestrian.standing",
)
"""Names of the attributes that labels give."""
VISIBILITIES = {"1": "v0-40", "2": "v40-60", "3": "v60-80", "4": "v80-100"}
"""Token -> level: the part of a box's outside that the pictures show, in per cent."""


def category_of(kind: str) -> str:
    """The category of an object type of RDS-HQ."""
    return CATEGORY_OF.get(kind.lower(), OTHER)


def attribute_of(category: str, kind: str, moving: bool) -> str | None:
    """The attribute of a box, or None where the labels do not give one.

    Args:
        category: one of CATEGORIES.
        kind: the object type as written in the labels.
        moving: whether the object moves.
    """
    if category in ("vehicle.bicycle", "vehicle.motorcycle"):
        return "cycle.with_rider" if kind.lower() in ("cyclist", "rider", "motorcyclist") else None
    if category.startswith("vehicle."):
        return "vehicle.moving" if moving else "vehicle.stopped"
    if category.startswith("human.pedestrian."):
        return "pedestrian.moving" if moving else "pedestrian.standing"
    return None


def visibility_token(share: float) -> str:
    """Token of the level of visibility, from the visible share 0 to 1."""
    return "1" if share < 0.4 else "2" if share < 0.6 else "3" if share < 0.8 else "4"
