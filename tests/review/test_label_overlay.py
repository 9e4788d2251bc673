"""Boxes and lines of the labels over generated frames: in the player, in saved pages, and as columns of the table."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import rds_clips
import torch
from labelled_results import FRAMES, KEY, SIZE, make_labelled

from dreamkit.errors import DreamkitError
from dreamkit.review import stills
from dreamkit.review.geometry import Limits
from dreamkit.review.label_source import LabelSource, label_folder
from dreamkit.review.labelled import read_labelled
from dreamkit.review.library import find_videos
from dreamkit.review.measures import table
from dreamkit.review.measures.adherence import WIDTH
from dreamkit.review.measures.edge_agreement import EdgeAgreement, edge_agreement
from dreamkit.review.outcome import ReviewOutcome
from dreamkit.review.overlay import project_lines
from dreamkit.review.params import ReviewParams
from dreamkit.review.report import open_review, run_review
from dreamkit.review.report_page import report_page
from dreamkit.review.result_player import result_player
from dreamkit.review.widgets.traits import LABELS
from dreamkit.tinyworld.render.colour import condition_pictures, render_scene
from dreamkit.tinyworld.world.scene import make_scene
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.video import read_video
from dreamkit.workspace.workspace import Workspace


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_labelled(tmp_path_factory.mktemp("overlay"))


def asked(player, cameras=SIX_VIEWS.names, size="grid"):
    """The streams of labels that the player sends for its open video, camera -> (message, bytes)."""
    sent = []
    player.send = lambda content, buffers: sent.append((content, buffers))
    key = player.video["key"]
    wanted = [{"key": key, "layer": LABELS, "camera": name, "size": size} for name in cameras]
    player._on_message(player, {"type": "streams", "wanted": wanted}, [])
    assert not player.message
    return {content["camera"]: (content, buffers[0]) for content, buffers in sent}


def test_the_render_records_its_labels_and_a_given_folder_goes_first(made, tmp_path):
    workspace, root = made
    assert label_folder(workspace) == root
    assert label_folder(workspace, str(tmp_path)) == tmp_path
    assert label_folder(workspace, str(tmp_path / "none")) is None


def test_the_player_sends_the_labels_lines_of_six_views_frame_by_frame(made):
    workspace, root = made
    [video] = find_videos(workspace)
    player = result_player(workspace, [video])
    assert all(LABELS in view["layers"] for view in player.video["views"]) and LABELS not in player.video["layers"]
    streams = asked(player)
    assert list(sorted(streams)) == sorted(SIX_VIEWS.names)
    labelled = read_labelled(video, root)
    content, data = streams["cross_left_120fov"]
    assert len(content["sizes"]) == FRAMES and sum(content["sizes"]) == len(data)
    start = sum(content["sizes"][:7])
    picture = cv2.imdecode(np.frombuffer(data, np.uint8)[start:], cv2.IMREAD_UNCHANGED)
    [lines] = project_lines(labelled, "cross_left_120fov", [7])
    assert SIZE[0] == 384 and picture.shape == (*lines.shape[:2], 4)
    assert (picture[..., 2::-1] == lines).all() and ((picture[..., 3] > 0) == lines.any(-1)).all()
    # The colours are those of the condition video, however far away a line is: nothing fades, nothing wraps around.
    colours = {tuple(colour) for colour in lines[lines.any(-1)].tolist()}
    assert (200, 36, 35) in colours or (98, 183, 249) in colours
    total = sum(len(data) for _, data in streams.values())
    assert total < 6 * FRAMES * 8_000, "a view of a frame takes some kilobytes"


def test_a_missing_view_leaves_the_lines_of_the_others(made, tmp_path):
    workspace, gone = Workspace(Path(shutil.copytree(made[0].root, tmp_path / "outputs"))), "rear_left_70fov"
    [video] = find_videos(workspace)
    video.views[gone].unlink()
    [video] = find_videos(workspace)
    review = open_review(workspace, ReviewParams(workspace=str(workspace.root), labels=str(made[1])))
    review.show(KEY)
    offered = {view["camera"] for view in review.player.video["views"] if LABELS in view["layers"]}
    assert set(video.views) == set(SIX_VIEWS.names) - {gone} == offered
    streams = asked(review.player, offered)
    for name, (content, data) in streams.items():
        assert len(content["sizes"]) == FRAMES == len(read_video(video.views[name])), "a picture for each frame"
        assert sum(content["sizes"]) == len(data)


def test_without_labels_there_is_no_such_layer(made, tmp_path):
    workspace, _ = made
    review = open_review(workspace, ReviewParams(workspace=str(workspace.root), labels=str(tmp_path / "gone")))
    review.show(KEY)
    assert review.labels is None and not any(LABELS in view["layers"] for view in review.player.video["views"])


def test_other_labels_give_a_sentence_in_place_of_lines(made, tmp_path):
    workspace, _ = made
    other = rds_clips.write_clip(tmp_path / "labels", frames=2 * FRAMES + 4)
    review = open_review(workspace, ReviewParams(workspace=str(workspace.root), labels=str(other)))
    review.show(KEY)
    for content, buffers in [asked_one(review.player)]:
        assert "another file than the one" in content["problem"] and not buffers
    with pytest.raises(DreamkitError):
        LabelSource(other).labelled(review.videos[KEY])


def asked_one(player):
    sent = []
    player.send = lambda content, buffers: sent.append((content, buffers))
    wanted = {"key": KEY, "layer": LABELS, "camera": "rear_left_70fov", "size": "grid"}
    player._on_message(player, {"type": "streams", "wanted": [wanted]}, [])
    return sent[0]


def test_saved_pages_have_the_lines_over_the_middle_frame(made):
    workspace, root = made
    [video] = find_videos(workspace)
    source = LabelSource(root)
    sheet = stills.overlay_sheet(video, source)
    assert sheet.shape[1] == 3 * stills.OVERLAY_WIDTH
    with_lines, without = stills.sheets_html([video], source), stills.sheets_html([video])
    assert "Boxes and lines" in with_lines and "Boxes and lines" not in without
    assert len(with_lines) - len(without) < 150_000


def test_the_table_has_edge_columns_once_there_are_labels(made, monkeypatch):
    workspace, _ = made
    measured = []

    def measure(video):
        measured.append(video.key)
        facts = {"key": video.key, "fingerprint": video.fingerprint, "version": table.VERSION}
        return facts | {"edge_offset": float("nan")}

    monkeypatch.setattr(table, "measure_video", measure)
    videos = find_videos(workspace)
    plain = table.measure_all(videos, workspace.root / "review" / "metrics.parquet").iloc[0]
    assert not table.has_labels(plain)
    params = ReviewParams(workspace=str(workspace.root))
    review = open_review(workspace, params)
    outcome = run_review(review, params, background=False)
    row = outcome.table.iloc[0]
    assert row["edge_agreement.front_wide_120fov"] > 0.1 and row["edge_offset"] <= 2.5
    assert "edge_offset" in report_page(review, params) or "Edge offset" in report_page(review, params)
    assert "boxes and lines of the labels" in report_page(review, params)
    calls = []
    again = table.measure_all(videos, review.paths.metrics, with_labels=lambda video: calls.append(video) or {})
    assert table.has_labels(again.iloc[0]) and not calls and measured == [KEY], "each part is done once"


@pytest.fixture(scope="module")
def street():
    """Three pictures of each view of a made-up street, and its labels' lines, view -> (pictures, lines)."""
    device, scene = torch.device("cpu"), make_scene(3)
    frames, size = [10, 50, 90], (144, WIDTH)
    drawn = render_scene(scene, "Sunny", SIX_VIEWS.names, size, frames, device=device).colour.numpy()
    lines = condition_pictures(scene, SIX_VIEWS.names, (576, 1024), frames)
    return {
        name: (list(pictures), [outline(line, size) for line in drawing])
        for name, pictures, drawing in zip(SIX_VIEWS.names, drawn, lines, strict=True)
    }


def outline(drawing, size):
    """The edges of a condition picture as thin lines of a smaller size."""
    small = cv2.resize(drawing.max(-1), size[::-1], interpolation=cv2.INTER_AREA)
    return small > 60


@pytest.mark.parametrize(("percent", "found"), [(0, 0), (1, 0), (2, 0), (5, 5), (-5, 5)])
def test_true_pictures_pass_in_all_views_and_displaced_labels_are_found(street, percent, found):
    limits = Limits()
    edges = [edge_agreement(pictures, [moved(one, percent) for one in lines]) for pictures, lines in street.values()]
    assert sum(map(limits.exceeded_by, edges)) >= found if found else not any(map(limits.exceeded_by, edges))
    assert sum(not limits.untold(one) for one in edges) >= 5
    if abs(percent) == 5:
        assert abs(np.median([100 * one.offset[0] for one in edges]) + percent) < 1.5


def moved(lines, percent):
    """Lines displaced to the right by a part of the width."""
    pixels = round(lines.shape[1] * percent / 100)
    out = np.roll(lines, pixels, axis=1)
    out[:, slice(0, pixels) if pixels > 0 else slice(pixels or lines.shape[1], None)] = False
    return out


def test_what_edges_can_tell():
    limits = Limits()
    clear = EdgeAgreement(score=0.6, gain=0.02, best=0.8, offset=(0.05, 0.0))
    assert limits.exceeded_by(clear) and limits.offset_of(clear) == 5 and not limits.untold(clear)
    fits = EdgeAgreement(score=0.78, gain=0.2, best=0.8, offset=(0.05, 0.0))
    assert not limits.exceeded_by(fits) and limits.offset_of(fits) == 0
    faint = EdgeAgreement(score=0.6, gain=0.02, best=0.64, offset=(0.05, 0.0))
    assert (
        not limits.exceeded_by(faint) and np.isnan(limits.offset_of(faint)) and "too few edges" in limits.untold(faint)
    )
    edge = EdgeAgreement(score=0.6, gain=0.02, best=0.8, offset=(0.078, 0.0), at_border=True)
    assert "border" in limits.untold(edge) and not limits.exceeded_by(edge)
    nothing = EdgeAgreement(float("nan"), float("nan"), float("nan"), (0.0, 0.0))
    assert "too few lines" in limits.untold(nothing)


def test_notebook_06_exports_in_nuscenes_form_what_nobody_judged(made, tmp_path):
    workspace, _ = made
    flagged = ReviewParams(workspace=str(workspace.root), export=str(tmp_path / "set"), export_form="nuscenes")
    flagged = flagged.model_copy(update={"export_unjudged": True, "thresholds": {"flicker": 0.0}})
    review = open_review(workspace, flagged)
    facts = {"key": KEY, "fingerprint": review.videos[KEY].fingerprint, "version": table.VERSION}
    review.rows[KEY] = {**facts, "flicker": 3.0, "faults": []}
    with pytest.raises(DreamkitError, match="all 1 that nobody judged are flagged: multi_view") as error:
        ReviewOutcome(review, flagged)._export()
    assert "once more with -p 'thresholds={}'" in error.value.hint
    review.rows[KEY] = {**facts, "flicker": -1.0, "faults": ["no frames"]}
    with pytest.raises(DreamkitError, match="no frames") as error:
        ReviewOutcome(review, flagged)._export()
    assert "thresholds" not in error.value.hint, "no limit would help"
    free = flagged.model_copy(update={"thresholds": {}})
    review = open_review(workspace, free)
    text = "\n".join(ReviewOutcome(review, free)._export())
    assert "1 scenes" in text and (tmp_path / "set" / "v1.0-dreamkit" / "sample.json").is_file()
