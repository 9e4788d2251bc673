"""Renderer settings of each style: light, sky, fog and surfaces.

Colours are linear RGB; a pixel is (1 - exp(-exposure x light)) ^ (1 / 2.2). Directions are degrees: azimuth to the left
of the ego car's first heading, elevation above the horizon.
"""

from __future__ import annotations

from dataclasses import dataclass

from dreamkit.errors import DreamkitError

Rgb = tuple[float, float, float]


@dataclass(frozen=True)
class StylePreset:
    """Renderer settings of one style.

    Attributes:
        sun: azimuth and elevation, degrees.
        sun_rgb: light on a surface that faces the sun; black without sun.
        sky_rgb: light from above.
        zenith: colour of the sky overhead.
        horizon: colour of the sky at the horizon.
        glow: added around the sun.
        clouds: cloud cover 0..1.
        cloud_rgb: colour of clouds.
        fog: density, 1/m.
        fog_rgb: colour of fog.
        wet: wetness of the road 0..1.
        snow: snow cover 0..1.
        lamps: whether street lamps, headlights, tail lights and windows are lit.
        falling: `rain`, `snow` or empty.
        exposure: factor on light.
    """

    sun: tuple[float, float] = (60.0, 55.0)
    sun_rgb: Rgb = (0.0, 0.0, 0.0)
    sky_rgb: Rgb = (1.0, 1.0, 1.0)
    zenith: Rgb = (0.5, 0.55, 0.6)
    horizon: Rgb = (0.7, 0.72, 0.75)
    glow: Rgb = (0.0, 0.0, 0.0)
    clouds: float = 0.0
    cloud_rgb: Rgb = (0.8, 0.8, 0.82)
    fog: float = 1 / 900
    fog_rgb: Rgb = (0.65, 0.68, 0.72)
    wet: float = 0.0
    snow: float = 0.0
    lamps: bool = False
    falling: str = ""
    exposure: float = 1.0


SUNNY = StylePreset(
    sun=(58.0, 48.0),
    sun_rgb=(2.5, 2.35, 2.05),
    sky_rgb=(0.36, 0.46, 0.62),
    zenith=(0.09, 0.27, 0.85),
    horizon=(0.5, 0.72, 1.15),
    glow=(1.2, 1.1, 0.9),
    clouds=0.22,
    cloud_rgb=(1.9, 1.9, 1.95),
    fog_rgb=(0.5, 0.68, 0.95),
)

PRESETS: dict[str, StylePreset] = {
    "Original": StylePreset(
        sun=(64.0, 40.0),
        sun_rgb=(1.0, 0.96, 0.88),
        sky_rgb=(0.66, 0.71, 0.8),
        zenith=(0.36, 0.5, 0.78),
        horizon=(0.85, 0.92, 1.02),
        glow=(0.5, 0.48, 0.42),
        clouds=0.1,
        cloud_rgb=(1.1, 1.12, 1.16),
        fog=1 / 450,
        fog_rgb=(0.72, 0.79, 0.9),
    ),
    "Golden hour": StylePreset(
        sun=(14.0, 9.0),
        sun_rgb=(3.6, 1.75, 0.5),
        sky_rgb=(0.42, 0.33, 0.34),
        zenith=(0.24, 0.27, 0.5),
        horizon=(1.5, 0.68, 0.22),
        glow=(4.0, 1.9, 0.45),
        clouds=0.35,
        cloud_rgb=(1.5, 0.62, 0.35),
        fog=1 / 330,
        fog_rgb=(1.15, 0.58, 0.24),
    ),
    "Morning": StylePreset(
        sun=(-28.0, 16.0),
        sun_rgb=(1.35, 1.12, 0.92),
        sky_rgb=(0.5, 0.58, 0.72),
        zenith=(0.36, 0.55, 0.95),
        horizon=(1.25, 0.98, 0.95),
        glow=(1.5, 1.1, 0.8),
        clouds=0.25,
        cloud_rgb=(1.5, 1.25, 1.25),
        fog=1 / 170,
        fog_rgb=(1.05, 0.92, 0.95),
    ),
    "Night": StylePreset(
        sky_rgb=(0.012, 0.015, 0.028),
        zenith=(0.002, 0.003, 0.009),
        horizon=(0.012, 0.014, 0.026),
        fog=1 / 500,
        fog_rgb=(0.010, 0.011, 0.018),
        lamps=True,
    ),
    "Rainy": StylePreset(
        sky_rgb=(0.5, 0.53, 0.58),
        zenith=(0.19, 0.21, 0.25),
        horizon=(0.42, 0.45, 0.5),
        clouds=0.8,
        cloud_rgb=(0.3, 0.32, 0.36),
        fog=1 / 130,
        fog_rgb=(0.37, 0.4, 0.44),
        wet=1.0,
        falling="rain",
    ),
    "Snowy": StylePreset(
        sky_rgb=(1.35, 1.38, 1.45),
        zenith=(0.85, 0.88, 0.95),
        horizon=(1.15, 1.18, 1.24),
        clouds=0.5,
        cloud_rgb=(0.95, 0.98, 1.04),
        fog=1 / 120,
        fog_rgb=(1.1, 1.13, 1.18),
        snow=1.0,
        falling="snow",
        exposure=1.08,
    ),
    "Sunny": SUNNY,
    "Foggy": StylePreset(
        sky_rgb=(0.85, 0.87, 0.9),
        zenith=(0.72, 0.74, 0.77),
        horizon=(0.72, 0.74, 0.77),
        fog=1 / 22,
        fog_rgb=(0.72, 0.74, 0.77),
    ),
}

STYLES = tuple(PRESETS)


def style_preset(style: str) -> StylePreset:
    """The preset of a style.

    Raises:
        DreamkitError: there is no such style.
    """
    if style not in PRESETS:
        raise DreamkitError(f"The made-up world has no style {style!r}.", f"It has {', '.join(PRESETS)}.")
    return PRESETS[style]
