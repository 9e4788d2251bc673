import contextlib

import numpy as np
import pytest
import torch

from dreamkit.errors import DreamkitError
from dreamkit.rds.camera_models import rectification_map, rectify_picture
from dreamkit.rds.ftheta import FTheta
from dreamkit.rds.labels import list_clips
from dreamkit.rds.pinhole import Pinhole
from dreamkit.rds.poses import interpolate, quaternions, resample, rotations
from dreamkit.rds.rig import read_cameras

WIDE = FTheta(954.2, 757.1, 1920, 1080, (0, 0.0010576, 8.2e-9, -3.39e-11, 8.07e-14, -2.95e-17), True)
NARROW = FTheta(933.8, 557.2, 1920, 1080, (0, 1571.3, 97.0, -255.4, 150.8, 98.0), False)
STRETCHED = FTheta(933.8, 557.2, 1920, 1080, (0, 1571.3, 97.0, -255.4, 150.8, 98.0), False, (1.01, 0.002, -0.003))
PINHOLE = Pinhole(1000, 1010, 950, 550, 1920, 1080)


@pytest.mark.parametrize("camera", [WIDE, NARROW, STRETCHED, PINHOLE], ids=["backward", "forward", "linear", "pinhole"])
def test_projection_undoes_unprojection(camera):
    u, v = np.meshgrid(np.linspace(0, 1919, 25), np.linspace(0, 1079, 25))
    pixels = np.stack([u, v], -1)
    rays = camera.unproject(pixels)
    np.testing.assert_allclose(np.linalg.norm(rays, axis=-1), 1, atol=1e-6)
    # The published polynomials are inverted by a fit, good to some tenths of a pixel.
    np.testing.assert_allclose(camera.project(rays * 7.0), pixels, atol=0.7)


def test_an_equidistant_camera_is_exact():
    camera = FTheta(640, 360, 1280, 720, (0, 1 / 600, 0, 0, 0, 0), True)
    for degrees in (0, 1, 30, 60):
        a = np.radians(degrees)
        expected = [640 + 600 * a, 360]
        np.testing.assert_allclose(camera.project(np.array([np.sin(a), 0, np.cos(a)]) * 20), expected, atol=0.01)
    forward = FTheta(640, 360, 1280, 720, (0, 600, 0, 0, 0, 0), False)
    np.testing.assert_allclose(forward.project(np.array([1.0, 2, 3])), camera.project(np.array([1.0, 2, 3])), atol=0.01)


def test_past_the_largest_angle_the_radius_goes_on_linearly():
    angles = WIDE.max_angle + np.array([0.0, 0.2, 0.4, 1.0])
    points = np.stack([np.sin(angles), 0 * angles, np.cos(angles)], -1)
    radius = np.linalg.norm(WIDE.project(points) - [WIDE.cx, WIDE.cy], axis=1)
    np.testing.assert_allclose(np.diff(radius) / np.diff(angles), WIDE.edge[1], rtol=1e-4)


@pytest.mark.parametrize("camera", [WIDE, STRETCHED, PINHOLE])
def test_scaling_scales_the_pixels(camera):
    points = np.random.default_rng(0).normal((0, 0, 4), size=(50, 3))
    small = camera.scaled_to(1280, 720)
    assert (small.width, small.height) == (1280, 720)
    np.testing.assert_allclose(small.project(points), camera.project(points) * 2 / 3, atol=0.05)


def test_torch_and_numpy_agree():
    points = np.random.default_rng(0).normal(size=(500, 3)) * [5, 2, 5] + [0, 0, 3]
    for camera in (WIDE, STRETCHED, PINHOLE):
        np.testing.assert_allclose(camera.project(torch.tensor(points)).numpy(), camera.project(points), atol=5e-3)
    pixels = np.random.default_rng(1).uniform(0, 1000, (50, 2))
    np.testing.assert_allclose(WIDE.unproject(torch.tensor(pixels)).numpy(), WIDE.unproject(pixels), atol=1e-9)


def test_the_vector_may_lack_the_linear_term():
    assert FTheta.from_vector(WIDE.vector()[:11]) == FTheta.from_vector(WIDE.vector()) == WIDE
    assert Pinhole.from_vector(PINHOLE.vector()) == PINHOLE


@pytest.mark.parametrize(
    "vector",
    [
        np.zeros(11),
        np.full(11, np.nan),
        np.arange(12.0),
        "text",
        [[1, 2], [3]],
        [960, 540, 1920, 1080, 0, -0.001, 0, 0, 0, 0, 1],
        [960, 540, 1e30, 1080, 0, 0.001, 0, 0, 0, 0, 1],
        [960, 540, 1920, 1080, 0, 0.001, 0, 0, 0, 0, 1, 1, 1, 1],
    ],
)
def test_intrinsics_that_cannot_be_are_refused(vector):
    with pytest.raises(DreamkitError):
        FTheta.from_vector(vector)


@pytest.mark.parametrize(
    "vector", [np.zeros(6), [1, 1, 1, 1], [-500, 500, 1, 1, 10, 10], [500, 500, 1, np.inf, 10, 10]]
)
def test_pinhole_intrinsics_that_cannot_be_are_refused(vector):
    with pytest.raises(DreamkitError):
        Pinhole.from_vector(np.array(vector, float))


@pytest.mark.parametrize("backward", [0, 1])
@pytest.mark.parametrize(("place", "number"), [(0, 1e300), (5, 1e300), (6, -1e150), (9, 1e38), (5, 5e-324), (9, 1e308)])
def test_numbers_beyond_any_fit_end_in_no_traceback(place, number, backward, recwarn, capfd):
    vector = [960, 540, 1920, 1080, 0, 1e-3, 0, 0, 0, 0, backward]
    vector[place] = number
    with contextlib.suppress(DreamkitError):  # some forward ones are usable, if absurd
        assert np.isfinite(FTheta.from_vector(vector).edge).all()
    assert "illegal value" not in "".join(capfd.readouterr())


def test_an_f_theta_camera_of_another_shape_keeps_one_radius_and_is_stretched_later():
    scaled = WIDE.scaled_to(1280, 960)
    assert scaled.height == 960
    assert scaled.width / scaled.height == pytest.approx(WIDE.width / WIDE.height, abs=0.01)
    assert PINHOLE.scaled_to(1280, 960).fy == pytest.approx(1010 * 960 / 1080)


def test_rectifying_makes_a_straight_line_straight():
    straight = Pinhole.from_fov(90, 400, 300)
    assert straight.fx == pytest.approx(200)
    xs = np.linspace(-3, 3, 40)
    line = np.stack([xs, np.full_like(xs, 1.0), np.full_like(xs, 4.0)], -1)
    bent = WIDE.project(line)
    image = np.zeros((1080, 1920, 3), np.uint8)
    for u, v in bent.round().astype(int):
        image[v - 3 : v + 4, u - 3 : u + 4] = 255
    rows = np.argwhere(rectify_picture(image, WIDE, straight)[..., 0] > 128)
    assert len(rows) and np.ptp(rows[:, 0]) < 6
    assert np.abs(rows[:, 0].mean() - straight.project(line)[0, 1]) < 1.5
    map_x, map_y = rectification_map(WIDE, straight)
    assert map_x.shape == map_y.shape == (300, 400)
    with pytest.raises(DreamkitError, match="field of view"):
        Pinhole.from_fov(180, 10, 10)


def test_the_published_cameras_project_inside_their_pictures(real_data):
    root = real_data / "rds_hq"
    for camera in read_cameras(root, list_clips(root)[0]).values():
        np.testing.assert_allclose(camera.project(np.array([0, 0, 5.0])), [camera.cx, camera.cy], atol=1e-3)
        right = camera.project(np.array([1, 0, 5.0]))
        assert right[0] > camera.cx and abs(right[1] - camera.cy) < 1


def test_quaternions_and_slerp():
    rng = np.random.default_rng(3)
    q = rng.normal(size=(200, 4))
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    again = quaternions(rotations(q))
    np.testing.assert_allclose(np.abs((q * again).sum(1)), 1, atol=1e-12)
    poses = np.tile(np.eye(4), (2, 1, 1))
    poses[1, :2, :2] = [[0, -1], [1, 0]]
    poses[1, 0, 3] = 4
    middle = interpolate(poses[:1], poses[1:], np.array([0.5]))[0]
    np.testing.assert_allclose(middle[:2, :2], np.sqrt(0.5) * np.array([[1, -1], [1, 1]]), atol=1e-12)
    assert middle[0, 3] == 2
    np.testing.assert_array_equal(resample(poses, np.array([0, 1, 5])), poses[[0, 1, 1]])
    np.testing.assert_array_equal(resample(poses[:1], np.array([0, 0.5])), poses[[0, 0]])
