"""Object types of other data sets, as types of the published RDS-HQ vocabularies.

A vehicle without a rider (a parked bicycle or motorcycle) is `Other`, since the format's Cyclist is a person riding.
"""

from __future__ import annotations

TYPES: dict[str, dict[str, str]] = {
    "argoverse2": {
        "REGULAR_VEHICLE": "Car",
        "LARGE_VEHICLE": "Truck",
        "BOX_TRUCK": "Truck",
        "TRUCK": "Truck",
        "TRUCK_CAB": "Truck",
        "VEHICULAR_TRAILER": "Trailer",
        "BUS": "Bus",
        "SCHOOL_BUS": "Bus",
        "ARTICULATED_BUS": "Bus",
        "RAILED_VEHICLE": "Train_or_tram_car",
        "PEDESTRIAN": "Pedestrian",
        "OFFICIAL_SIGNALER": "Pedestrian",
        "WHEELCHAIR": "Pedestrian",
        "BICYCLIST": "Cyclist",
        "MOTORCYCLIST": "Cyclist",
        "WHEELED_RIDER": "Cyclist",
        "BICYCLE": "Other",
        "MOTORCYCLE": "Other",
        "WHEELED_DEVICE": "Other",
        "STROLLER": "Stroller",
        "DOG": "Animal",
        "ANIMAL": "Animal",
        "CONSTRUCTION_CONE": "TrafficCone",
        "CONSTRUCTION_BARREL": "RoadworkObject",
        "BOLLARD": "Pole",
        "MESSAGE_BOARD_TRAILER": "RoadworkObject",
        "TRAFFIC_LIGHT_TRAILER": "RoadworkObject",
        "MOBILE_PEDESTRIAN_CROSSING_SIGN": "TrafficSign",
    },
}


def kind_of(source: str, label: str) -> str:
    """The RDS-HQ type of a data set's label; "Unknown" for a label that the table does not have."""
    return TYPES[source].get(label, "Unknown")
