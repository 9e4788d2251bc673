"""F-theta and pinhole cameras, vectorised over points; arrays may be numpy or torch.

An f-theta camera maps the angle between a ray and the optical axis to a radius in pixels with a polynomial of degree
five. RDS-HQ stores `[cx, cy, width, height, six coefficients, is_backward, c, d, e]`: a backward polynomial maps radius
to angle, a forward one angle to radius, and `[[c, d], [e, 1]]` stretches the result (1 0 0 when the three are absent).
Facts: docs/rds_hq_format.md and the cameras of nv-tlabs/cosmos-av-sample-toolkits, whose numbers these reproduce to
float32 rounding: the missing direction of the polynomial is a least-squares fit through zero, and past the largest
angle of the picture the radius goes on linearly.

Camera axes are OpenCV's: x right, y down, z forward. Pixels are (u, v), the centre of the first pixel is (0, 0).
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from dreamkit.errors import DreamkitError

_SAMPLES = 500
# The valid part of a forward polynomial is searched in steps of this angle, up to half a turn.
_ANGLE_STEP = math.pi / 2000


def _namespace(array: Any) -> Any:
    """torch for a tensor, else numpy; torch is never imported from here."""
    return sys.modules["torch"] if type(array).__module__.partition(".")[0] == "torch" else np


def _horner(x: Any, coefficients: np.ndarray) -> Any:
    """The polynomial at x, lowest coefficient first."""
    result = x * 0 + float(coefficients[-1])
    for value in coefficients[-2::-1]:
        result = result * x + float(value)
    return result


def _derivative(coefficients: np.ndarray) -> np.ndarray:
    return coefficients[1:] * np.arange(1, len(coefficients))


def _fit_inverse(coefficients: np.ndarray, upper: float) -> np.ndarray:
    """The polynomial of the same degree, without a constant, that best undoes `coefficients` on 0..upper."""
    y = np.linspace(0.0, upper, _SAMPLES)
    x = _horner(y, coefficients)
    scale = float(np.abs(x).max()) or 1.0
    powers = np.arange(1, len(coefficients))
    solution = np.linalg.lstsq((x[:, None] / scale) ** powers, y, rcond=None)[0] / scale**powers
    return np.concatenate([[0.0], solution.astype(np.float32).astype(np.float64)])


@dataclass(frozen=True)
class Pinhole:
    """A pinhole camera; focal lengths and centre in pixels."""

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def __post_init__(self) -> None:
        _check_size(self.width, self.height)
        if not (all(map(math.isfinite, (self.fx, self.fy, self.cx, self.cy))) and self.fx > 0 and self.fy > 0):
            raise DreamkitError(
                f"pinhole camera with focal lengths ({self.fx}, {self.fy}) and centre "
                f"({self.cx}, {self.cy}): focal lengths must be positive numbers"
            )

    @classmethod
    def from_vector(cls, vector: np.ndarray) -> Pinhole:
        """From the format's `[fx, fy, cx, cy, width, height]`; raises DreamkitError when it cannot be a camera."""
        values = _finite_vector(vector, (6,), "pinhole")
        return cls(*values[:4].tolist(), *_whole(values[4:6]))

    @classmethod
    def from_fov(cls, fov_degrees: float, width: int, height: int) -> Pinhole:
        """A centred pinhole camera with square pixels and this horizontal field of view in degrees."""
        if not 0 < fov_degrees < 180:
            raise DreamkitError(
                f"a pinhole camera cannot have a field of view of {fov_degrees} degrees",
                "Give an angle between 0 and 180, for instance 90.",
            )
        focal = width / 2 / math.tan(math.radians(fov_degrees) / 2)
        return cls(focal, focal, width / 2, height / 2, width, height)

    def vector(self) -> np.ndarray:
        """The format's vector, float64 [6]."""
        return np.array([self.fx, self.fy, self.cx, self.cy, self.width, self.height], np.float64)

    def scaled_to(self, width: int, height: int) -> Pinhole:
        """The same camera for a picture resized to width x height; the two ratios may differ."""
        sx, sy = width / self.width, height / self.height
        return Pinhole(
            self.fx * sx, self.fy * sy, self.cx * sx, self.cy * sy, int(self.width * sx), int(self.height * sy)
        )

    def project(self, points: Any) -> Any:
        """Camera points [..., 3] to pixels [..., 2]; behind it they are mirrored, beside it (z = 0) NaN."""
        xp = _namespace(points)
        z = points[..., 2]
        z = xp.where(z == 0, xp.full_like(z, math.nan), z)
        u = points[..., 0] / z * self.fx + self.cx
        v = points[..., 1] / z * self.fy + self.cy
        return xp.stack([u, v], -1)

    def unproject(self, pixels: Any) -> Any:
        """Pixels [..., 2] to unit rays [..., 3]."""
        xp = _namespace(pixels)
        x = (pixels[..., 0] - self.cx) / self.fx
        y = (pixels[..., 1] - self.cy) / self.fy
        length = xp.sqrt(x * x + y * y + 1)
        return xp.stack([x / length, y / length, 1 / length], -1)


@dataclass(frozen=True)
class FTheta:
    """An f-theta camera: centre in pixels, polynomial, its direction, and the linear term (c, d, e)."""

    cx: float
    cy: float
    width: int
    height: int
    polynomial: tuple[float, ...]
    is_backward: bool
    linear: tuple[float, float, float] = (1.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        _check_size(self.width, self.height)
        c, d, e = self.linear
        if abs(c - d * e) < 1e-9:
            raise DreamkitError(
                f"f-theta camera with the linear term {self.linear}: the stretch cannot be undone",
                "Leave the last three numbers out, or set them to 1, 0, 0.",
            )
        if self.edge[1] < 0 or not all(map(math.isfinite, self.edge)):
            raise DreamkitError(
                "f-theta camera whose radius shrinks with the angle inside the picture: polynomial "
                f"{[float(p) for p in self.polynomial]}",
                "Check whether the polynomial is a backward one (radius to angle) or a forward one.",
            )

    @classmethod
    def from_vector(cls, vector: np.ndarray) -> FTheta:
        """From the format's vector of 11 or 14 numbers; raises DreamkitError when it cannot be a camera."""
        values = _finite_vector(vector, (11, 14), "f-theta")
        width, height = _whole(values[2:4])
        linear = tuple(values[11:14].tolist()) if len(values) == 14 else (1.0, 0.0, 0.0)
        return cls(
            float(values[0]),
            float(values[1]),
            width,
            height,
            tuple(values[4:10].tolist()),
            bool(values[10] > 0),
            linear,
        )

    def vector(self) -> np.ndarray:
        """The format's vector, float64 [14]."""
        return np.array(
            [self.cx, self.cy, self.width, self.height, *self.polynomial, float(self.is_backward), *self.linear],
            np.float64,
        )

    @cached_property
    def max_radius(self) -> float:
        """Pixels from the centre to the farthest corner."""
        return math.hypot(max(self.cx, self.width - self.cx), max(self.cy, self.height - self.cy))

    @cached_property
    def forward(self) -> np.ndarray:
        """Coefficients of angle (radians) to radius (pixels), float64 [6]."""
        given = np.array(self.polynomial, np.float64)
        return _fit_inverse(given, self.max_radius) if self.is_backward else given

    @cached_property
    def backward(self) -> np.ndarray:
        """Coefficients of radius (pixels) to angle (radians), float64 [6]."""
        given = np.array(self.polynomial, np.float64)
        if self.is_backward:
            return given
        angles = np.arange(1, 2001) * _ANGLE_STEP
        falling = np.flatnonzero(_horner(angles, _derivative(given)) <= 0)
        outside = np.flatnonzero(_horner(angles, given) > self.max_radius)
        # The last angle still rising, or the first one that leaves the picture, whichever comes first.
        last = min(falling[0] - 1 if len(falling) else 1999, outside[0] if len(outside) else 1999)
        return _fit_inverse(given, float(angles[last]) if last >= 0 else _ANGLE_STEP)

    @cached_property
    def max_angle(self) -> float:
        """The largest angle (radians) of a corner of the picture; beyond it the radius grows linearly."""
        right, bottom = self.width - 1, self.height - 1
        rays = self.unproject(np.array([[0, 0], [right, 0], [0, bottom], [right, bottom]], np.float32))
        return float(np.arctan2(np.hypot(rays[:, 0], rays[:, 1]), rays[:, 2]).max())

    @cached_property
    def edge(self) -> tuple[float, float]:
        """Radius and its slope (pixels, pixels per radian) at the largest angle."""
        return (float(_horner(self.max_angle, self.forward)), float(_horner(self.max_angle, _derivative(self.forward))))

    def scaled_to(self, width: int, height: int) -> FTheta:
        """The same camera for a picture resized to width x height; the two ratios may differ by 2 % at most.

        An f-theta camera has one radius, so the height decides; the width is rounded down as in the reference, and the
        drawing is stretched to the asked size at the end.
        """
        ratio = height / self.height
        if abs(ratio - width / self.width) >= 0.02:
            raise DreamkitError(
                f"an f-theta camera of {self.width}x{self.height} cannot be scaled to {width}x{height}: "
                "both sides must shrink alike",
                "Crop the camera's picture to 16:9 first, or use pinhole cameras.",
            )
        powers = np.arange(6)
        factor = (1 / ratio) ** powers if self.is_backward else np.full(6, ratio)
        # The reference keeps scaled intrinsics in float32; so do we, or line ends round to other pixels.
        single = np.array([self.cx * ratio, self.cy * ratio], np.float32)
        return FTheta(
            float(single[0]),
            float(single[1]),
            int(self.width * ratio),
            int(self.height * ratio),
            tuple((np.array(self.polynomial) * factor).tolist()),
            self.is_backward,
            self.linear,
        )

    def project(self, points: Any) -> Any:
        """Camera points [..., 3] to float32 pixels [..., 2] (float64 tensors stay float64); behind is allowed."""
        xp = _namespace(points)
        if xp is np:
            points = points.astype(np.float32)
        x, y, z = points[..., 0], points[..., 1], points[..., 2]
        planar = xp.sqrt(x * x + y * y)
        length = xp.sqrt(planar * planar + z * z)
        cosine = z / xp.where(length == 0, xp.ones_like(length), length)
        inside = (cosine > -1) & (cosine < 1)
        angle = xp.where(inside, xp.arccos(xp.where(inside, cosine, xp.zeros_like(cosine))), planar)
        radius = xp.where(
            angle <= self.max_angle,
            _as_type(xp, _polynomial(xp, angle, self.forward), angle),
            self.edge[0] + (angle - self.max_angle) * self.edge[1],
        )
        scale = xp.where(planar > 0, radius / xp.where(planar > 0, planar, xp.ones_like(planar)), xp.zeros_like(planar))
        u, v = scale * x, scale * y
        c, d, e = self.linear
        return xp.stack([c * u + d * v + self.cx, e * u + v + self.cy], -1)

    def unproject(self, pixels: Any) -> Any:
        """Pixels [..., 2] to unit rays [..., 3]."""
        xp = _namespace(pixels)
        c, d, e = self.linear
        u, v = pixels[..., 0] - self.cx, pixels[..., 1] - self.cy
        x, y = (u - d * v) / (c - d * e), (c * v - e * u) / (c - d * e)
        radius = xp.sqrt(x * x + y * y)
        angle = _horner(radius, self.backward)
        scale = xp.where(
            radius > 0, xp.sin(angle) / xp.where(radius > 0, radius, xp.ones_like(radius)), xp.zeros_like(radius)
        )
        return xp.stack([x * scale, y * scale, xp.where(radius > 0, xp.cos(angle), xp.ones_like(angle))], -1)


Camera = FTheta | Pinhole


def _polynomial(xp: Any, angle: Any, coefficients: np.ndarray) -> Any:
    # In double precision for numpy, as the reference does it, and rounded back afterwards.
    return _horner(angle.astype(np.float64) if xp is np else angle, coefficients)


def _as_type(xp: Any, value: Any, like: Any) -> Any:
    return value.astype(like.dtype) if xp is np else value


def _finite_vector(vector: np.ndarray, lengths: tuple[int, ...], kind: str) -> np.ndarray:
    try:
        values = np.asarray(vector, np.float64).reshape(-1)
    except (TypeError, ValueError):
        raise DreamkitError(f"{kind} intrinsics that are not numbers") from None
    if len(values) not in lengths:
        raise DreamkitError(f"{kind} intrinsics of {len(values)} numbers; expected {' or '.join(map(str, lengths))}")
    if not np.isfinite(values).all():
        raise DreamkitError(f"{kind} intrinsics with a value that is not a finite number: {values.tolist()}")
    return values


def _whole(size: np.ndarray) -> tuple[int, int]:
    return int(size[0]), int(size[1])


def _check_size(width: int, height: int) -> None:
    if not (1 < width <= 32768 and 1 < height <= 32768):
        raise DreamkitError(
            f"a camera of {width}x{height} pixels; both sides must lie between 2 and 32768",
            "Check the order of the intrinsics: f-theta starts cx, cy, width, height; pinhole ends with width, height.",
        )


def rectification_map(camera: Camera, pinhole: Pinhole) -> tuple[np.ndarray, np.ndarray]:
    """For each pixel of `pinhole`, where it lies in `camera`'s picture: two float32 maps [H, W] for cv2.remap."""
    v, u = np.mgrid[0 : pinhole.height, 0 : pinhole.width].astype(np.float32)
    pixels = camera.project(pinhole.unproject(np.stack([u, v], -1)))
    return pixels[..., 0].astype(np.float32), pixels[..., 1].astype(np.float32)


def rectify(image: np.ndarray, camera: Camera, pinhole: Pinhole) -> np.ndarray:
    """A picture uint8 [H, W, 3] of `camera`, as `pinhole` would have seen it; black where the camera saw nothing."""
    import cv2

    return cv2.remap(image, *rectification_map(camera, pinhole), cv2.INTER_LINEAR)
