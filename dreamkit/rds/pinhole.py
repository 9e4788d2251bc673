"""Pinhole cameras, vectorised over points; arrays may be numpy or torch.

Camera axes are OpenCV's: x right, y down, z forward. Pixels are (u, v), the centre of the first pixel is (0, 0).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds.intrinsics import ORDER_HINT, array_library, check_picture_size, finite_vector


@dataclass(frozen=True)
class Pinhole:
    """A pinhole camera.

    Attributes:
        fx: horizontal focal length in pixels.
        fy: vertical focal length in pixels.
        cx: column of the optical centre in pixels.
        cy: row of the optical centre in pixels.
        width: width of the picture in pixels.
        height: height of the picture in pixels.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def __post_init__(self) -> None:
        check_picture_size(self.width, self.height)
        if not (all(map(math.isfinite, (self.fx, self.fy, self.cx, self.cy))) and self.fx > 0 and self.fy > 0):
            raise DreamkitError(
                f"A pinhole camera cannot have the focal lengths ({self.fx}, {self.fy}) and the centre ({self.cx}, "
                f"{self.cy}): all must be finite, and focal lengths positive.",
                ORDER_HINT,
            )

    @classmethod
    def from_vector(cls, vector: Any) -> Pinhole:
        """The camera of the format's `[fx, fy, cx, cy, width, height]`.

        Raises:
            DreamkitError: the numbers describe no camera.
        """
        fx, fy, cx, cy, width, height = finite_vector(vector, (6,), "pinhole").tolist()
        return cls(fx, fy, cx, cy, int(width), int(height))

    @classmethod
    def from_fov(cls, fov_degrees: float, width: int, height: int) -> Pinhole:
        """A centred pinhole camera with square pixels and this horizontal field of view in degrees.

        Raises:
            DreamkitError: the field of view is not between 0 and 180 degrees.
        """
        if not 0 < fov_degrees < 180:
            raise DreamkitError(
                f"A pinhole camera cannot have a field of view of {fov_degrees} degrees.",
                "Give an angle between 0 and 180, for instance 90.",
            )
        focal = width / 2 / math.tan(math.radians(fov_degrees) / 2)
        return cls(focal, focal, width / 2, height / 2, width, height)

    def vector(self) -> np.ndarray:
        """The format's vector, float64 [6]."""
        return np.array([self.fx, self.fy, self.cx, self.cy, self.width, self.height], np.float64)

    def scaled_to(self, width: int, height: int) -> Pinhole:
        """The same camera for its picture resized to width x height pixels; the two ratios may differ."""
        sx, sy = width / self.width, height / self.height
        return Pinhole(
            self.fx * sx, self.fy * sy, self.cx * sx, self.cy * sy, int(self.width * sx), int(self.height * sy)
        )

    def project(self, points: Any) -> Any:
        """Points [..., 3] in camera axes to pixels [..., 2].

        Points behind the camera (z < 0) are mirrored; points in the camera's plane (z = 0) give NaN.
        """
        xp = array_library(points)
        z = points[..., 2]
        z = xp.where(z == 0, xp.full_like(z, math.nan), z)
        u = points[..., 0] / z * self.fx + self.cx
        v = points[..., 1] / z * self.fy + self.cy
        return xp.stack([u, v], -1)

    def unproject(self, pixels: Any) -> Any:
        """Pixels [..., 2] to unit rays [..., 3] in camera axes."""
        xp = array_library(pixels)
        x = (pixels[..., 0] - self.cx) / self.fx
        y = (pixels[..., 1] - self.cy) / self.fy
        length = xp.sqrt(x * x + y * y + 1)
        return xp.stack([x / length, y / length, 1 / length], -1)
