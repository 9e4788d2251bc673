"""Numbers of object labels in py123d's logs -> types of the published RDS-HQ vocabularies, by data set.

The order of each list is that of the label class in py123d 0.7 (parser/registry.py and
datatypes/detections/box_detection_label.py); the class's name stands in the file of the boxes.
"""

from __future__ import annotations

_AV2 = (
    "Animal Bus Other Cyclist Pole Truck Bus RoadworkObject TrafficCone Animal Truck RoadworkObject TrafficSign "
    "Other Cyclist Pedestrian Pedestrian Train_or_tram_car Car Bus TrafficSign TrafficSign Stroller RoadworkObject "
    "Truck Truck Trailer Pedestrian Other Cyclist"
)
_KITTI360 = (
    "Other Other Bus Car Trailer Pole Other Pedestrian Pole Cyclist Pole Other TrafficSignal TrafficSign Trailer "
    "Train_or_tram_car Other Truck Other"
)
_NUSCENES = (
    "Car Truck Bus Bus Truck Car Car Trailer Cyclist Cyclist Pedestrian Pedestrian Pedestrian Pedestrian Pedestrian "
    "Stroller Pedestrian TrafficCone Barrier Other Other Other Animal"
)
_PANDASET = (
    "Animal Animal Cyclist Bus Car TrafficCone RoadworkObject Car Truck Cyclist Cyclist Truck Cyclist Other_vehicle "
    "Pedestrian Pedestrian Cyclist Car TrafficCone Barrier Other Truck TrafficSign Barrier Other Train_or_tram_car "
    "Train_or_tram_car"
)
_NUREASONING = (
    "Car Cyclist Pedestrian TrafficCone TrafficSign Other Other Truck Bus Cyclist Cyclist Pedestrian TrafficCone"
)
_PHYSICAL_AI = (
    "Automobile Person Bus Heavy_truck Other_vehicle Protruding_object Rider Stroller Trailer Animal Train_or_tram_car "
    "Trolley_bus"
)
_DEFAULT = (
    "Ego Car Train_or_tram_car Cyclist Pedestrian Animal TrafficSign TrafficCone TrafficSignal Barrier Other Other"
)
LABELS = {
    "AV2SensorBoxDetectionLabel": _AV2,
    "KITTI360BoxDetectionLabel": _KITTI360,
    "NuPlanBoxDetectionLabel": "Car Cyclist Pedestrian TrafficCone Barrier TrafficSign Other",
    "NureasoningBoxDetectionLabel": _NUREASONING,
    "NuScenesBoxDetectionLabel": _NUSCENES,
    "PandasetBoxDetectionLabel": _PANDASET,
    "WODPerceptionBoxDetectionLabel": "Unknown Car Pedestrian TrafficSign Cyclist",
    "WODMotionBoxDetectionLabel": "Unknown Car Pedestrian Cyclist Other",
    "PhysicalAIAVBoxDetectionLabel": _PHYSICAL_AI,
    "GriffinBoxDetectionLabel": "Pedestrian Car Truck Bus Cyclist Cyclist",
    "DefaultBoxDetectionLabel": _DEFAULT,
}


def types_of(label_class: str) -> tuple[str, ...] | None:
    """The RDS-HQ types of a label class's numbers, in their order; None for a class that is not known."""
    names = LABELS.get(label_class.rpartition(".")[2])
    return tuple(names.split()) if names else None
