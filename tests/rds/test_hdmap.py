import cv2
import numpy as np
import pytest

from dreamkit.rds import hdmap, strokes
from dreamkit.rds.ftheta import FTheta
from dreamkit.rds.labels import Shapes, list_clips, read_map, read_objects
from dreamkit.rds.objects import Boxes, every_frame, hold_static
from dreamkit.rds.pinhole import Pinhole
from dreamkit.rds.resize import resizer
from dreamkit.rds.rig import read_camera_poses, read_cameras

SIZE_DRAWN, SIZE = (1280, 720), (1280, 704)
NO_BOXES = Boxes(np.zeros(0, np.int64), (), np.zeros((0, 4, 4)), np.zeros((0, 3)), np.zeros(0, bool), ())
CAMERA = Pinhole(640, 640, 640, 360, *SIZE_DRAWN)
HOME = np.eye(4)[None]


def picture(layers, camera=CAMERA, poses=HOME, boxes=NO_BOXES, **rules):
    scene = hdmap.build_scene({name: Shapes.of(parts) for name, parts in layers.items()}, boxes, strokes.Rules(**rules))
    return next(hdmap.draw_hdmap_frames(scene, camera, poses, [0]))


@pytest.fixture(scope="module")
def real_scene(real_data):
    root = real_data / "rds_hq"
    clip = list_clips(root)[0]
    scene = hdmap.build_scene(read_map(root, clip), every_frame(hold_static(read_objects(root, clip)), 300))
    return scene, read_camera_poses(root, clip), read_cameras(root, clip)


@pytest.mark.parametrize("camera", ["front_wide_120fov", "cross_left_120fov", "rear_left_70fov"])
def test_pictures_equal_the_reference_renderer(real_data, real_scene, camera):
    scene, poses, cameras = real_scene
    name = f"camera_{camera}"
    shrink = resizer(SIZE_DRAWN, SIZE)
    frames = (0, 40, 120)
    for frame, drawn in zip(
        frames, hdmap.draw_hdmap_frames(scene, cameras[name].scaled_to(*SIZE_DRAWN), poses[name], frames), strict=True
    ):
        oracle = cv2.imread(str(real_data / "render_oracle" / f"{camera}_{frame:03d}.png"))[..., ::-1]
        ours = shrink(drawn)
        difference = np.abs(ours.astype(int) - oracle).mean()
        lit, lit_oracle = ours.max(-1) > 16, oracle.max(-1) > 16
        overlap = (lit & lit_oracle).sum() / (lit | lit_oracle).sum()
        # Measured 0.0003 and 1.0000; the bounds leave room for another OpenCV, not for another rule.
        assert difference <= 0.05, f"frame {frame}: mean difference {difference:.4f}"
        assert overlap >= 0.999, f"frame {frame}: overlap {overlap:.4f}"


def test_every_camera_of_the_real_clip_can_be_drawn(real_scene):
    scene, poses, cameras = real_scene
    for name, track in poses.items():
        drawn = next(hdmap.draw_hdmap_frames(scene, cameras[name].scaled_to(*SIZE_DRAWN), track, [299]))
        assert drawn.shape == (720, 1280, 3) and drawn.any()


def test_a_line_fades_with_its_depth_and_is_black_at_the_limit():
    def lane(z):
        return {"wait_lines": [np.array([[-1, 0, z], [1, 0, z]], float)]}

    colour = np.array(hdmap.LAYER_COLOURS["wait_lines"])
    for depth in (2.0, 60.0, 122.0):
        expected = (2 * (122.5 - depth) / 255 * colour).astype(np.uint8)
        np.testing.assert_array_equal(picture(lane(depth))[360, 640], expected)
    assert not picture(lane(123.0)).any()


def test_line_width_is_eight_and_box_width_five():
    drawn = picture({"wait_lines": [np.array([[-10, 0, 20], [10, 0, 20]], float)]})
    one_line = np.zeros_like(drawn)
    colour = drawn[360, 640].tolist()
    cv2.line(one_line, (320, 360), (960, 360), colour, 8)
    np.testing.assert_array_equal(drawn, one_line)


def test_later_strokes_overwrite_inside_a_layer_and_layers_are_joined_by_maximum():
    near = np.array([[-5, 0, 10], [5, 0, 10]], float)
    far = np.array([[-50, 0, 100], [50, 0, 100]], float)
    assert (picture({"wait_lines": [near, far]})[360, 640] < picture({"wait_lines": [far, near]})[360, 640]).all()
    both = picture({"wait_lines": [near], "poles": [near]})
    alone = [picture({name: [near]})[360, 640] for name in ("wait_lines", "poles")]
    np.testing.assert_array_equal(both[360, 640], np.maximum(*alone))


def test_a_shape_without_a_vertex_in_the_picture_is_left_out_unless_asked():
    across = np.array([[-50, 0, 10], [50, 0, 10]], float)
    wide = np.array([[-50, 1, 5], [50, 1, 5], [50, 1, 6], [-50, 1, 6]], float)
    for layer, shape in (("wait_lines", across), ("road_markings", wide)):
        assert not picture({layer: [shape]}).any()
        assert picture({layer: [shape]}, keep_shapes_without_vertex=True)[360:].any()


def test_a_shape_behind_the_camera_is_left_out_and_one_that_crosses_is_cut():
    behind = np.array([[-1, 0, -5], [1, 0, -5]], float)
    crossing = np.array([[0, 1, -5], [0, 1, 20]], float)
    assert not picture(
        {"wait_lines": [behind], "road_markings": [np.vstack([behind, np.add(behind, (0, 1, 0))])]}
    ).any()
    drawn = picture({"wait_lines": [crossing]})
    rows = np.flatnonzero(drawn.any((1, 2)))
    # Its visible end is 20 m off; the cut lies 0.2 of the edge in front of the camera's plane, at 5 m.
    assert (rows[0], rows[-1]) == (360 + 640 // 20 - 4, 360 + 640 // 5 + 4)


def test_a_line_keeps_its_direction_when_one_end_is_beyond_all_pixels():
    # A pinhole camera projects a point at almost 90 degrees to millions of pixels, and one at 90 degrees nowhere.
    drawn = picture({"wait_lines": [np.array([[0, 0, 10], [5, 0.5, 1e-4]])]})
    assert drawn[424, 1278].any() and not drawn[440:].any()
    assert not picture({"wait_lines": [np.array([[5, 0.5, 0], [6, 0.5, 0]])]}).any()


def test_hulls_are_filled_and_cut_at_the_border():
    square = np.array([[0, 0, 10], [200, 0, 10], [200, 3, 10], [0, 3, 10]], float)
    drawn = picture({"crosswalks": [square]})
    assert drawn[361:550, 640:].any(-1).all() and not drawn[:355].any() and not drawn[:, :640].any()


def test_degenerate_shapes_draw_nothing():
    point, line = np.array([[0, 0, 5]], float), np.array([[0, 0, 5], [1, 0, 5]], float)
    assert not picture({"lanelines": [point], "crosswalks": [point, line], "poles": [point]}).any()
    assert not picture({}).any()


def test_both_vocabularies_map_to_the_five_colours():
    pose = np.eye(4)
    pose[2, 3] = 20
    for kind, colour in {
        "Automobile": "Car",
        "Heavy_truck": "Truck",
        "Person": "Pedestrian",
        "Rider": "Cyclist",
        "Bus": "Truck",
        "Vehicle": "Car",
        "Animal": "Others",
        "never heard of": "Others",
    }.items():
        boxes = Boxes(np.zeros(1, np.int64), ("1",), pose[None], np.array([[2.0, 2.0, 2.0]]), np.ones(1, bool), (kind,))
        drawn = picture({}, boxes=boxes)
        np.testing.assert_array_equal(drawn.reshape(-1, 3).max(0) > 0, np.array(hdmap.BOX_COLOURS[colour]) > 0)


def test_resampling_keeps_vertices_and_direction():
    line = np.array([[0, 0, 0], [4.1, 0, 0], [4.1, 0.3, 0]])
    dense = hdmap.resample_line(line, 0.8)
    # int(4.1 / 0.8) = 5 points, so four pieces; edges shorter than the step are not cut.
    np.testing.assert_allclose(dense[:, 0], [0, 1.025, 2.05, 3.075, 4.1, 4.1])
    np.testing.assert_allclose(dense[-1], line[-1])


def test_a_scene_pickles_and_frames_may_come_in_any_order():
    import pickle

    poses = np.tile(np.eye(4), (30, 1, 1))
    poses[:, 2, 3] = np.arange(30) * 0.5
    scene = hdmap.build_scene({"wait_lines": Shapes.of([np.array([[-3, 1, 20], [3, 1, 20]], float)])}, NO_BOXES)
    camera = FTheta(640, 360, 1280, 720, (0, 0.0016, 0, 0, 0, 0), True)
    forward = list(hdmap.draw_hdmap_frames(pickle.loads(pickle.dumps(scene)), camera, poses, range(30)))
    backward = list(hdmap.draw_hdmap_frames(scene, camera, poses, range(29, -1, -1)))
    np.testing.assert_array_equal(np.stack(forward), np.stack(backward)[::-1])
    assert not np.array_equal(forward[0], forward[29])


def test_polygon_clipping_drops_what_only_touches_the_border():
    touching = np.array([[-10, 0], [0, 0], [0, 10], [-10, 10]], np.int32)
    assert strokes._clip_polygon(touching, 100, 100) is None
    outside = touching - 50
    assert strokes._clip_polygon(outside, 100, 100) is None
    around = np.array([[-10, -10], [200, -10], [200, 200], [-10, 200]], np.int32)
    found = strokes._clip_polygon(around, 100, 50)
    assert sorted(map(tuple, found.tolist())) == [(0, 0), (0, 50), (100, 0), (100, 50)]


def test_resizing_rows_agrees_with_opencv():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (720, 1280, 3), np.uint8)
    sparse = noise * (rng.random((720, 1, 1)) > 0.9).astype(np.uint8)
    sparse[:300] = 0
    for image in (noise, sparse, np.zeros_like(noise)):
        ours = resizer(SIZE_DRAWN, SIZE)(image)
        theirs = cv2.resize(image, SIZE, interpolation=cv2.INTER_LANCZOS4)
        assert np.abs(ours.astype(int) - theirs).max(initial=0) <= 1
        assert (ours != theirs).mean() < 0.005
    other = resizer((1277, 720), SIZE)(noise[:, :1277])
    np.testing.assert_array_equal(other, cv2.resize(noise[:, :1277], SIZE, interpolation=cv2.INTER_LANCZOS4))
    assert resizer(SIZE, SIZE)(noise) is noise
    grey = resizer(SIZE_DRAWN, SIZE)(noise[..., 0].copy())
    np.testing.assert_array_equal(grey, resizer(SIZE_DRAWN, SIZE)(noise)[..., 0])
