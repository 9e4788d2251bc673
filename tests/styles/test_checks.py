# ruff: noqa: E501 - a caption stands on one line
"""The checks of rewrites and captions: planted faults are found, right texts pass."""

from __future__ import annotations

import pytest

from dreamkit.captions.table import caption_problems
from dreamkit.styles import check_rewrite, load_styles

TABLE = load_styles()
CAPTIONS = {
    "night": "The video depicts a residential street at night. The street is dimly lit by streetlights, and two red cars are parked on the left side. A man in a blue jacket walks his dog along the sidewalk. Tall trees line the road. The weather is clear, with no signs of rain.",
    "rain": "The video shows a busy intersection on a rainy day. Several cars wait at a red light, and a white bus turns right. Three pedestrians with umbrellas cross the street. The road is wet, reflecting the lights of the vehicles. The sky is overcast.",
    "sun": "The video depicts a highway with four lanes on a clear, sunny day. A black truck drives in the right lane, followed by a silver sedan. Guardrails run along both sides of the road. Green hills rise in the distance.",
    "camera": "The video is captured from a camera mounted on a car. The camera is facing forward. The video depicts a suburban street during the day. A yellow school bus has stopped at the curb, and two children cross the road. Houses with green lawns line both sides of the street.",
}  # fmt: skip
RIGHT = {
    ("night", "Sunny"): "The video depicts a residential street on a sunny day. Two red cars are parked on the left side. A man in a blue jacket walks his dog along the sidewalk. Tall trees line the road. The weather is clear, with no signs of rain. Bright sunlight fills the scene, and the sky is a deep blue.",
    ("night", "Rainy"): "The video depicts a residential street at night in steady rain. The street is dimly lit by streetlights, and two red cars are parked on the left side. Raindrops cover the parked cars. A man in a blue jacket walks his dog along the sidewalk. Tall trees line the road.",
    ("rain", "Snowy"): "The video shows a busy intersection on a snowy day. Several cars wait at a red light, and a white bus turns right. A thin layer of snow lies on the roofs of the cars. Three pedestrians cross the street. The sky is overcast.",
    ("rain", "Golden hour"): "The video shows a busy intersection at golden hour. Several cars wait at a red light, and a white bus turns right. Three pedestrians cross the street. Golden light washes over the scene, and the sun hangs low above the horizon.",
    ("sun", "Foggy"): "The video depicts a highway with four lanes in dense fog. A black truck drives in the right lane, followed by a silver sedan. Guardrails run along both sides of the road. Green hills rise in the distance. The fog veils the distance, and visibility is low.",
    ("sun", "Night"): "The video depicts a highway with four lanes on a clear night. A black truck drives in the right lane, followed by a silver sedan, and the beams of their headlights sweep over the asphalt. Guardrails run along both sides of the road. Green hills rise in the distance as dark silhouettes.",
    ("camera", "Snowy"): "The video is captured from a camera mounted on a car. The camera is facing forward. The video depicts a suburban street on a snowy day. A yellow school bus has stopped at the curb, and two children cross the road. Houses with green lawns line both sides of the street. Snow rests on the roofs of the houses.",
    ("camera", "Morning"): "The video is captured from a camera mounted on a car. The camera is facing forward. The video depicts a suburban street early in the morning. A yellow school bus has stopped at the curb, and two children cross the road. Houses with green lawns line both sides of the street. The sun has just risen.",
}  # fmt: skip
# Forty faults: the rewrite that is changed, what is replaced, and by what.
FAULTS = {
    "leftover": [
        ("night", "Sunny", "Two red", "The street is dimly lit by streetlights. Two red"),
        ("night", "Sunny", "Tall trees line the road.", "Tall trees line the dark road at night."),
        ("rain", "Snowy", "Three pedestrians cross", "Three pedestrians with umbrellas cross"),
        ("rain", "Golden hour", "Golden light", "The road is wet, reflecting the lights. Golden light"),
        ("sun", "Foggy", "highway with four lanes in", "sunny highway with four lanes in"),
        ("sun", "Night", "Guardrails run", "Crisp shadows lie on the road. Guardrails run"),
        ("rain", "Golden hour", "Three pedestrians cross the street.", "Three pedestrians cross the street. Puddles cover the road during inclement weather."),
        ("night", "Rainy", "Tall trees line the road.", "Tall trees line the road. The weather is clear, with no signs of rain."),
    ],
    "lost": [
        ("night", "Sunny", " A man in a blue jacket walks his dog along the sidewalk.", ""),
        ("rain", "Snowy", ", and a white bus turns right", ""),
        ("sun", "Foggy", ", followed by a silver sedan", ""),
        ("camera", "Snowy", ", and two children cross the road", ""),
        ("sun", "Night", " Guardrails run along both sides of the road.", ""),
        ("night", "Rainy", "two red cars are parked on the left side", "two red cars are parked"),
    ],
    "grammar": [
        ("rain", "Golden hour", "Three pedestrians", "The road is possibly due to recent rain. Three pedestrians"),
        ("night", "Sunny", "Two red", "The atmosphere is dark creating a blurry effect. Two red"),
        ("sun", "Foggy", "Green hills", "Streetlights and no pedestrians can be made out. Green hills"),
        ("rain", "Snowy", "Several cars wait at a red light,", "Several cars are visible, and others. Several cars wait at a red light,"),
        ("night", "Sunny", "Tall trees", "The street reflecting the lights of the vehicles. Tall trees"),
        ("sun", "Night", "depicts a highway", "depicts a a highway"),
        ("camera", "Snowy", "on a snowy day.", "on a snowy day, ."),
        ("camera", "Morning", "The sun has just risen.", "The sun has just risen and the."),
    ],
    "new": [
        ("night", "Sunny", "Tall trees", "A truck crashes into a fence. Tall trees"),
        ("sun", "Foggy", "Green hills", "An ambulance overtakes the sedan. Green hills"),
        ("rain", "Snowy", "The sky", "A car skids into the crosswalk. The sky"),
        ("camera", "Snowy", "Houses with", "A church stands at the corner. Houses with"),
    ],
    "number, colour, side": [
        ("night", "Sunny", "Two red cars", "Three red cars"),
        ("night", "Rainy", "two red cars", "two green cars"),
        ("sun", "Night", "a silver sedan", "a blue sedan"),
        ("rain", "Golden hour", "turns right", "turns left"),
        ("camera", "Snowy", "two children", "five children"),
    ],
    "foreign": [
        ("rain", "Snowy", "The sky is overcast.", "Der Himmel ist bedeckt und die Straße ist nass."),
        ("night", "Sunny", "Tall trees line the road.", "Los árboles están en el lado de la calle."),
        ("sun", "Foggy", "Green hills rise in the distance.", "远处有绿色的山。"),
    ],
    "no prose": [
        ("rain", "Golden hour", "Golden light", "<p>Golden light</p>"),
        ("sun", "Foggy", "The video depicts", "**The video** depicts"),
        ("sun", "Night", "The video depicts", "Here is the rewritten caption: The video depicts"),
        ("camera", "Morning", "The sun has just risen.", "I'm sorry, but I cannot rewrite this description."),
    ],
    "repeated": [
        ("night", "Sunny", "Tall trees line the road.", "Tall trees line the road. Tall trees line the road."),
        ("camera", "Snowy", "The video depicts", "The video is captured from a camera mounted on a car. The camera is facing forward. The video depicts"),
    ],
}  # fmt: skip
PLANTED = [(kind, *fault) for kind, faults in FAULTS.items() for fault in faults]


@pytest.mark.parametrize(("caption", "style"), RIGHT)
def test_right_rewrites_pass(caption: str, style: str) -> None:
    verdict = check_rewrite(CAPTIONS[caption], RIGHT[caption, style], TABLE.style(style))
    assert verdict.passed, verdict.reasons


def test_planted_faults_of_rewrites_are_found() -> None:
    assert len(PLANTED) == 40
    missed = []
    for kind, caption, style, old, new in PLANTED:
        text = RIGHT[caption, style]
        assert text.count(old) == 1, (old, text)
        if check_rewrite(CAPTIONS[caption], text.replace(old, new), TABLE.style(style)).passed:
            missed.append((kind, style, new))
    assert len(missed) <= 2, missed


CAPTION_FAULTS = [
    "A street with parked cars lies under a clear blue sky on a sunny day. Snow falls.",
    "The road is dry. Cars drive through puddles on the wet road, and the road is dry.",
    "The video depicts a street at night. Bright sunlight falls on the parked cars under a blue sky.",
    "The video shows a rainy day in a city. The weather is clear and sunny, and cars pass by.",
    "Heavy snow covers the road on a hot summer day.",
    "Dense fog covers the street. The sky is a clear blue sky and two cars drive by.",
    "The sky is overcast. Cars are parked under a cloudless blue sky.",
    "It is raining on the street. There is no rain, and two cars are parked.",
    "The video depicts a nighttime drive in broad daylight along a street with houses.",
    "A street with two cars. A street with two cars.",
    "Sure, here is a description of the video: a street with two parked cars.",
    "I'm sorry, but I cannot describe this video.",
    "<p>The video shows a street with two parked cars.</p>",
    "**Road:** a street with two lanes and several parked cars along the curb.",
    "The video shows a street with two parked cars and a",
    "The street is. Several cars are parked along the curb, and a man walks.",
    "The video shows a street. Das Auto ist rot und die Straße ist leer.",
    "None",
    "The video shows a a street with two parked cars.",
    "\"The video shows a quiet street with two parked cars and a man walking his dog.\"",
    "The video shows a street with cars, and . A man walks on the left.",
]  # fmt: skip


def test_planted_faults_of_captions_are_found() -> None:
    missed = [text for text in CAPTION_FAULTS if not caption_problems(text)]
    assert len(missed) <= 1, missed


@pytest.mark.parametrize("text", list(CAPTIONS.values()))
def test_right_captions_raise_no_alarm(text: str) -> None:
    assert caption_problems(text) == []
