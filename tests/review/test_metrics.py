"""Measures: exact on made-up numbers, plausible on drawn scenes, no failure on broken files, cached in the table."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from review_world import draw_clip

from dreamkit.captions.files import write_original
from dreamkit.review.library import find_videos
from dreamkit.review.measures import adherence, definitions, epipolar, metrics, picture, style_agreement, table
from dreamkit.review.measures.matches import Features
from dreamkit.review.measures.metrics import ClipFrames
from dreamkit.review.measures.rig import NOMINAL, camera_rays, to_car
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.video import write_video
from dreamkit.workspace.workspace import Workspace

FRONT = SIX_VIEWS.front.name


def test_the_nominal_rig_looks_where_its_names_say():
    centre = np.array([[(512 - 1) / 2, (288 - 1) / 2]])
    ahead = {name: to_car(camera_rays(centre, view, 288, 512), view)[0] for name, view in NOMINAL.items()}
    assert ahead["front_wide_120fov"][2] == pytest.approx(1)
    assert ahead["cross_left_120fov"][0] < -0.8 and ahead["cross_right_120fov"][0] > 0.8
    assert ahead["rear_tele_30fov"][2] == pytest.approx(-1)
    assert ahead["rear_left_70fov"][0] < 0 and ahead["rear_left_70fov"][2] < 0
    edge = camera_rays(np.array([[511.5, 143.5]]), NOMINAL[FRONT], 288, 512)[0]
    assert np.degrees(np.arctan2(edge[0], edge[2])) == pytest.approx(60, abs=0.2)


def test_sampson_is_the_distance_to_the_epipolar_line_for_a_sideways_camera():
    # Pure x translation: epipolar lines are rows, so a match that is d rows off is d / sqrt(2) from both lines.
    f = np.array([[0, 0, 0], [0, 0, -1], [0, 1, 0]], float)
    a = np.array([[10.0, 20.0], [30.0, 5.0]])
    b = a + np.array([[7.0, 0.0], [3.0, 2.0]])
    assert epipolar.sampson_error(f, a, b) == pytest.approx([0, 2 / np.sqrt(2)])


def test_few_matches_give_no_error_instead_of_a_guess():
    nothing = Features(np.zeros((0, 2)), np.zeros((0, 128), np.float32), 288)
    assert np.isnan(epipolar.temporal_error([nothing], [nothing], NOMINAL[FRONT])).all()
    assert np.isnan(epipolar.cross_view_error([nothing], [nothing], NOMINAL[FRONT], NOMINAL[FRONT])).all()


def test_flicker_ignores_a_drift_and_gives_the_amplitude_of_an_alternation():
    assert picture.flicker_of(np.arange(20.0)) == pytest.approx(0)
    assert picture.flicker_of(100 + 3.0 * (-1) ** np.arange(20)) == pytest.approx(6)
    assert picture.flicker_of(np.array([1.0, 2.0])) == 0


def test_frozen_black_and_clipped():
    video = np.random.default_rng(0).integers(60, 200, (12, 36, 64, 3)).astype(np.uint8)
    video[4:8] = video[4]
    measured = picture.measure_picture(video)
    assert measured.frozen == pytest.approx(100 * 3 / 11)
    assert (measured.black, measured.clipped) == (0, 0)
    video[:6] = 0
    assert picture.measure_picture(video).black == pytest.approx(50)


def test_adherence_tells_the_right_map_from_none():
    lines = np.zeros((8, 72, 128, 3), np.uint8)
    rng = np.random.default_rng(1)
    for frame in range(8):
        for column in rng.choice(120, 6, replace=False):
            lines[frame, 40:, column : column + 2] = 255
    noise = rng.integers(100, 130, lines.shape).astype(np.uint8)
    assert adherence.adherence(np.maximum(noise, lines), lines) > 0.3
    assert abs(adherence.adherence(noise, lines)) < 0.05
    assert np.isnan(adherence.adherence(noise, np.zeros_like(lines)))


def test_a_lag_is_read_from_the_map_and_from_the_views():
    videos, maps = draw_clip(21, 22, 108, 192)
    left = "cross_left_120fov"
    assert adherence.map_lag(videos[left], maps[left]) == pytest.approx(0, abs=0.5)
    assert adherence.map_lag(videos[left][:-5], maps[left][5:]) == pytest.approx(5, abs=0.5)
    late = {FRONT: videos[FRONT][4:], left: videos[left][:-4]}
    values = metrics.measure_views(ClipFrames(late, {}), ["cross"]).values
    assert values["view_lag"] == pytest.approx(4, abs=1)


def test_view_order_is_of_a_camera_s_neighbours_together():
    videos, _ = draw_clip(21, 9, 108, 192)
    left, right = "cross_left_120fov", "cross_right_120fov"
    front = {name: videos[name] for name in (FRONT, left, right)}
    values = metrics.measure_views(ClipFrames(front, {}), ["cross"]).values
    shares = sorted(values[f"view_order.{name}"] for name in (left, right))
    assert 0.5 < shares[0] <= values["view_order"] <= shares[1]
    exchanged = front | {left: videos[right], right: videos[left]}
    swapped = metrics.measure_views(ClipFrames(exchanged, {}), ["cross"]).values
    assert swapped["view_order"] < 0.2
    grey = {name: np.full((9, 108, 192, 3), 128, np.uint8) for name in front}
    assert np.isnan(metrics.measure_views(ClipFrames(grey, {}), ["cross"]).values["view_order"])


def test_style_rules():
    def light(**changes: float) -> style_agreement.Light:
        plain = {"luminance": 120.0, "ground": 100.0, "far_contrast": 0.3, "saturation": 0.3, "warmth": 5.0}
        return style_agreement.Light(**(plain | changes))

    assert style_agreement.agreement(light(luminance=50), "Night") == 1
    assert style_agreement.agreement(light(), "Night") == 0
    assert style_agreement.agreement(light(far_contrast=0.1), "Foggy") == 1
    assert style_agreement.agreement(light(warmth=30), "Golden hour") == 1
    assert np.isnan(style_agreement.agreement(light(), "Original"))
    grey = np.full((2, 32, 64, 3), 100, np.uint8)
    assert style_agreement.light_of(grey).luminance == pytest.approx(100)


@pytest.fixture(scope="module")
def small_workspace(tmp_path_factory):
    """One six-view video with its map and caption, and a single-view one without anything."""
    workspace = Workspace(tmp_path_factory.mktemp("outputs"))
    videos, maps = draw_clip(5, 12, 72, 128)
    folder = workspace.root / "multi_view" / "a_1_2_Night"
    for camera in SIX_VIEWS.cameras:
        write_video(folder / f"{camera.index}.mp4", videos[camera.name], 24)
        write_video(workspace.root / "hdmap" / camera.folder / "a_1_2_0.mp4", maps[camera.name], 30)
    write_original(workspace.captions, "a_1_2", "A street.")
    write_video(workspace.root / "single_view" / "mine.mp4", videos[FRONT], 24)
    return workspace


def test_videos_are_found_with_clip_style_and_maps(small_workspace):
    mine, six = sorted(find_videos(small_workspace), key=lambda video: video.key, reverse=True)
    assert (six.key, six.chunk.clip, six.chunk.index, six.style) == ("multi_view/a_1_2_Night", "a_1_2", 0, "Night")
    assert list(six.views) == list(SIX_VIEWS.names)
    assert list(six.conditions["hdmap"]) == list(SIX_VIEWS.names)
    assert (mine.chunk.clip, mine.style, mine.conditions) == ("mine", "Original", {})
    assert "no sidecar" in mine.notes[0]


def test_every_measure_has_a_value_within_its_range():
    values = metrics.measure_views(ClipFrames(*draw_clip(5, 12, 72, 128), style="Night")).values
    for measure in (measure for measure in definitions.MEASURES if not measure.needs_labels):
        assert measure.low <= values[measure.key] <= measure.high, measure.key


def test_the_table_is_made_once_and_anew_when_a_video_changes(small_workspace, monkeypatch):
    path = small_workspace.root / "review" / "metrics.parquet"
    quiet = lambda items, **_: items  # noqa: E731
    measured = table.measure_all(find_videos(small_workspace), path, quiet)
    assert set(measured["key"]) == {"multi_view/a_1_2_Night", "single_view/mine"}
    six = measured.set_index("key").loc["multi_view/a_1_2_Night"]
    assert six["frames"] == 12 and six["problems"] == "no sidecar: made elsewhere"
    assert {measure.key for measure in definitions.MEASURES} <= set(measured.columns)
    assert 0 <= six["temporal_sampson"] < 5 and six["adherence"] > 0.05
    assert len(six["trace_luminance"]) == 12
    calls = []
    measure = table.measure_video
    monkeypatch.setattr(table, "measure_video", lambda video: calls.append(video.key) or measure(video))
    table.measure_all(find_videos(small_workspace), path, quiet)
    assert calls == []
    again = np.random.default_rng(0).integers(0, 255, (12, 72, 128, 3)).astype(np.uint8)
    write_video(small_workspace.root / "single_view" / "mine.mp4", again, 24)
    table.measure_all(find_videos(small_workspace), path, quiet)
    assert calls == ["single_view/mine"]
    path.write_bytes(b"not a table")
    assert len(table.measure_all(find_videos(small_workspace), path, quiet)) == 2


def test_broken_videos_get_a_row_that_says_so(tmp_path):
    workspace = Workspace(tmp_path)
    videos, _ = draw_clip(5, 10, 72, 128)
    folder = workspace.root / "multi_view" / "b_Sunny"
    for camera in SIX_VIEWS.cameras[:4]:
        frames = videos[camera.name][:7] if camera.index == 2 else videos[camera.name]
        write_video(folder / f"{camera.index}.mp4", frames, 24)
    (folder / "4.mp4").write_bytes((folder / "0.mp4").read_bytes()[:2000])
    (folder / "5.mp4").write_bytes(b"")
    whole = (folder / "1.mp4").read_bytes()
    (folder / "1.mp4").write_bytes(whole[: len(whole) * 3 // 4])
    (video,) = find_videos(workspace)
    row = table.measure_video(video)
    for word in ("5.mp4) is empty", "4.mp4", "1.mp4", "cross_right_120fov has 7 frames"):
        assert word in row["problems"]
    assert np.isfinite(row["flicker"])
    for view in folder.glob("*.mp4"):
        view.write_bytes(b"junk")
    (video,) = find_videos(workspace)
    assert "flicker" not in table.measure_video(video)


def test_thresholds():
    row = {"flicker": 5.0, "adherence": 0.01, "view_lag": float("nan")}
    failed = definitions.failed_measures(row, {"flicker": 2.0, "adherence": 0.05, "view_lag": 1.0, "frozen": 5.0})
    assert list(failed.values()) == ["Flicker 5 (at most 2)", "Map adherence 0.01 (at least 0.05)"]
    with pytest.raises(ValueError, match="did you mean 'flicker'"):
        definitions.check_thresholds({"flickr": 1.0})
    with pytest.raises(ValueError, match="finite"):
        definitions.check_thresholds({"flicker": float("nan")})


@pytest.mark.parametrize(("frames", "sampled"), [(1, 0), (5, 4), (57, 8), (121, 8), (122, 8), (361, 24), (481, 32)])
def test_of_long_videos_more_frames_are_matched(frames, sampled):
    clip = metrics.ClipFrames({"front_wide_120fov": np.zeros((frames, 2, 2, 3), np.uint8)}, {})
    assert len(clip.sampled) == sampled and all(frame + 1 < frames for frame in clip.sampled)


def test_points_that_no_matrix_fits_are_no_error(monkeypatch):
    def refuse(*_):
        raise cv2.error("!model.empty()")

    points = np.random.default_rng(0).uniform(0, 640, (50, 2))
    assert epipolar.fit_fundamental(epipolar.MatchedPoints(points, points + 3)) is not None
    monkeypatch.setattr(cv2, "findFundamentalMat", refuse)
    assert epipolar.fit_fundamental(epipolar.MatchedPoints(points, points + 3)) is None


def test_the_tables_version_is_raised_with_its_measures():
    """Rows that were kept without a new measure would show it as empty: write the new pair here and raise VERSION.

    Measures that need labels are added to the kept rows without it.
    """
    matched = "temporal_sampson cross_view_sampson cross_view_matches view_order view_lag"
    keys = f"{matched} adherence flicker wobble frozen black sharpness"
    assert (table.VERSION, [m.key for m in definitions.MEASURES if not m.needs_labels]) == (
        6,
        [*keys.split(), "clipped", "style_agreement"],
    )
