"""F-theta cameras, vectorised over points; arrays may be numpy or torch.

An f-theta camera maps the angle between a ray and the optical axis to a radius in pixels with a polynomial of degree
five. RDS-HQ stores `[cx, cy, width, height, six coefficients, is_backward, c, d, e]`: a backward polynomial maps radius
to angle, a forward one angle to radius, and `[[c, d], [e, 1]]` stretches the result (1 0 0 when the three are absent).

Sources: docs/rds_hq_format.md and the cameras of nv-tlabs/cosmos-av-sample-toolkits. Results agree with that toolkit's
to float32 rounding: the missing direction of the polynomial is a least-squares fit through zero, and beyond the largest
angle of the picture the radius grows linearly.

Camera axes are OpenCV's: x right, y down, z forward. Pixels are (u, v), the centre of the first pixel is (0, 0).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds.intrinsics import ORDER_HINT, array_library, check_picture_size, finite_vector

_NO_STRETCH = (1.0, 0.0, 0.0)
_FIT_SAMPLES = 500
# The rising part of a forward polynomial is searched in steps of this angle, up to half a turn.
_ANGLE_STEPS = 2000
_ANGLE_STEP = math.pi / _ANGLE_STEPS


def _horner(x: Any, coefficients: np.ndarray) -> Any:
    """The value of a polynomial at x; coefficients start with the constant."""
    result = x * 0 + float(coefficients[-1])
    for value in coefficients[-2::-1]:
        result = result * x + float(value)
    return result


def _derivative(coefficients: np.ndarray) -> np.ndarray:
    """Coefficients of the derivative."""
    return coefficients[1:] * np.arange(1, len(coefficients))


def _fit_inverse(coefficients: np.ndarray, upper: float) -> np.ndarray:
    """Least-squares inverse on 0..upper: a polynomial of the same degree without a constant.

    Raises:
        DreamkitError: the numbers are too large or too small for a fit.
    """
    y = np.linspace(0.0, upper, _FIT_SAMPLES)
    powers = np.arange(1, len(coefficients))
    with np.errstate(all="ignore"):
        x = _horner(y, coefficients)
        scale = float(np.abs(x).max()) or 1.0
        samples = (x[:, None] / scale) ** powers
        # A sum that overflows would end in a message of the library and a LinAlgError.
        solution = np.full(len(powers), np.nan)
        if np.isfinite(samples).all() and np.isfinite(y).all():
            solution = np.linalg.lstsq(samples, y, rcond=None)[0] / scale**powers
        single = solution.astype(np.float32)
    if not np.isfinite(single).all():
        raise DreamkitError(
            f"The f-theta polynomial {coefficients.tolist()} has no inverse for radii or angles up to {upper:.3g}.",
            ORDER_HINT,
        )
    return np.concatenate([[0.0], single.astype(np.float64)])


@dataclass(frozen=True)
class FTheta:
    """An f-theta camera.

    Attributes:
        cx: column of the optical centre in pixels.
        cy: row of the optical centre in pixels.
        width: width of the picture in pixels.
        height: height of the picture in pixels.
        polynomial: six coefficients, the constant first.
        is_backward: True for radius (pixels) to angle (radians), False for angle to radius.
        linear: (c, d, e) of the stretch `[[c, d], [e, 1]]`.
    """

    cx: float
    cy: float
    width: int
    height: int
    polynomial: tuple[float, ...]
    is_backward: bool
    linear: tuple[float, float, float] = _NO_STRETCH

    def __post_init__(self) -> None:
        check_picture_size(self.width, self.height)
        c, d, e = self.linear
        if abs(c - d * e) < 1e-9:
            raise DreamkitError(
                f"The linear term {self.linear} of an f-theta camera cannot be inverted.",
                "Leave the last three numbers out, or set them to 1, 0, 0.",
            )
        if self.edge[1] < 0 or not all(map(math.isfinite, self.edge)):
            raise DreamkitError(
                f"The f-theta polynomial {[float(p) for p in self.polynomial]} gives a radius that shrinks while the "
                "angle grows inside the picture.",
                "Check whether the polynomial is a backward one (radius to angle) or a forward one.",
            )

    @classmethod
    def from_vector(cls, vector: Any) -> FTheta:
        """The camera of the format's vector of 11 or 14 numbers.

        Raises:
            DreamkitError: the numbers describe no camera.
        """
        values = finite_vector(vector, (11, 14), "f-theta").tolist()
        cx, cy, width, height = values[:4]
        c, d, e = values[11:] or _NO_STRETCH
        return cls(cx, cy, int(width), int(height), tuple(values[4:10]), values[10] > 0, (c, d, e))

    def vector(self) -> np.ndarray:
        """The format's vector, float64 [14]."""
        return np.array(
            [self.cx, self.cy, self.width, self.height, *self.polynomial, float(self.is_backward), *self.linear],
            np.float64,
        )

    @cached_property
    def max_radius(self) -> float:
        """Distance in pixels from the optical centre to the farthest corner."""
        return math.hypot(max(self.cx, self.width - self.cx), max(self.cy, self.height - self.cy))

    @cached_property
    def forward(self) -> np.ndarray:
        """Coefficients from angle (radians) to radius (pixels), float64 [6]."""
        given = np.array(self.polynomial, np.float64)
        return _fit_inverse(given, self.max_radius) if self.is_backward else given

    @cached_property
    def backward(self) -> np.ndarray:
        """Coefficients from radius (pixels) to angle (radians), float64 [6]."""
        given = np.array(self.polynomial, np.float64)
        if self.is_backward:
            return given
        angles = np.arange(1, _ANGLE_STEPS + 1) * _ANGLE_STEP
        falling = np.flatnonzero(_horner(angles, _derivative(given)) <= 0)
        outside = np.flatnonzero(_horner(angles, given) > self.max_radius)
        # The last angle with a growing radius, or the first one outside the picture, whichever is smaller.
        end = _ANGLE_STEPS - 1
        last = min(falling[0] - 1 if len(falling) else end, outside[0] if len(outside) else end)
        return _fit_inverse(given, float(angles[last]) if last >= 0 else _ANGLE_STEP)

    @cached_property
    def max_angle(self) -> float:
        """The largest angle (radians) among the corners of the picture; beyond it the radius grows linearly."""
        right, bottom = self.width - 1, self.height - 1
        rays = self.unproject(np.array([[0, 0], [right, 0], [0, bottom], [right, bottom]], np.float32))
        return float(np.arctan2(np.hypot(rays[:, 0], rays[:, 1]), rays[:, 2]).max())

    @cached_property
    def edge(self) -> tuple[float, float]:
        """Radius (pixels) and its slope (pixels per radian) at the largest angle."""
        return (float(_horner(self.max_angle, self.forward)), float(_horner(self.max_angle, _derivative(self.forward))))

    def scaled_to(self, width: int, height: int) -> FTheta:
        """The same camera for its picture resized to a height in pixels.

        An f-theta camera has one radius in pixels, so the height decides and `width` has no effect. The width is
        rounded down as in the reference toolkit, and the drawn picture is stretched to the wanted size at the end, as
        the models stretch the camera's own video.
        """
        ratio = height / self.height
        powers = np.arange(6)
        factor = (1 / ratio) ** powers if self.is_backward else np.full(6, ratio)
        # The reference toolkit keeps scaled centres in float32; in float64 some line ends would round to other pixels.
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
        """Points [..., 3] in camera axes to pixels [..., 2]; points behind the camera are projected too.

        numpy points give float32 pixels; tensors keep their dtype.
        """
        xp = array_library(points)
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
        """Pixels [..., 2] to unit rays [..., 3] in camera axes."""
        xp = array_library(pixels)
        c, d, e = self.linear
        u, v = pixels[..., 0] - self.cx, pixels[..., 1] - self.cy
        x, y = (u - d * v) / (c - d * e), (c * v - e * u) / (c - d * e)
        radius = xp.sqrt(x * x + y * y)
        angle = _horner(radius, self.backward)
        scale = xp.where(
            radius > 0, xp.sin(angle) / xp.where(radius > 0, radius, xp.ones_like(radius)), xp.zeros_like(radius)
        )
        return xp.stack([x * scale, y * scale, xp.where(radius > 0, xp.cos(angle), xp.ones_like(angle))], -1)


def _polynomial(xp: Any, angle: Any, coefficients: np.ndarray) -> Any:
    """The polynomial at an angle; numpy computes in float64, as the reference toolkit does."""
    return _horner(angle.astype(np.float64) if xp is np else angle, coefficients)


def _as_type(xp: Any, value: Any, like: Any) -> Any:
    """A numpy array in the dtype of another; a tensor as it is."""
    return value.astype(like.dtype) if xp is np else value
