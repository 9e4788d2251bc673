import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dreamkit.errors import DreamkitError
from dreamkit.generate import specs
from dreamkit.generate.condition_videos import condition_videos
from dreamkit.workspace.cameras import FIVE_VIEWS, SIX_VIEWS, Rig
from dreamkit.workspace.workspace import Chunk, Workspace

FRONT = Rig(SIX_VIEWS.cameras[:1], ((0,),))
# The form of cosmos-transfer1's assets/sample_av_*_spec.json.
UPSTREAM_SINGLE = {
    "hdmap": {"control_weight": 0.3, "input_control": "assets/in_hdmap.mp4"},
    "lidar": {"control_weight": "0.7", "input_control": "assets/in_lidar.mp4"},
}
UPSTREAM_MULTI = {
    "hdmap": {
        "control_weight": 1,
        "input_control": [f"assets/in_{index}.mp4" for index in range(6)],
        "ckpt_path": "nvidia/Cosmos-Transfer1-7B-Sample-AV-Single2MultiView/t2w_hdmap_control.pt",
    }
}


@pytest.fixture
def ws(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Workspace(tmp_path / "outputs")


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def test_upstreams_specs_are_read():
    single = specs.parse_spec(UPSTREAM_SINGLE)
    assert {name: control.weight for name, control in single.controls.items()} == {"hdmap": 0.3, "lidar": 0.7}
    assert single.controls["lidar"].inputs == ("assets/in_lidar.mp4",)
    multi = specs.parse_spec({**UPSTREAM_MULTI, "num_steps": 30})
    assert len(multi.controls["hdmap"].inputs) == 6
    assert multi.controls["hdmap"].checkpoint.endswith("t2w_hdmap_control.pt")
    assert multi.scalars == {"num_steps": 30}


def test_an_absent_weight_means_one_half():
    assert specs.parse_spec({"hdmap": {}}).controls["hdmap"].weight == 0.5


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "names no control"),
        ({"hd_map": {"control_weight": 1}}, "unknown control 'hd_map'.*did you mean 'hdmap'"),
        ({"edge": {}}, "unknown control 'edge'"),
        ({"hdmap": {"control_weight": -1}}, "is -1; a weight cannot be negative"),
        ({"hdmap": {"control_weight": True}}, "must be a number"),
        ({"hdmap": {"control_weight": "strong"}}, "must be a number"),
        ({"hdmap": {"control_weight": float("nan")}}, "must be a number"),
        ({"hdmap": {"weight": 1}}, "did you mean 'control_weight'"),
        ({"hdmap": {"input_control": [1]}}, "path or a list of paths"),
        ({"hdmap": {"input_control": ""}}, "path or a list of paths"),
        ({"hdmap": {"ckpt_path": 3}}, "ckpt_path must be a path"),
        ({"hdmap": 1}, "hdmap must be an object"),
    ],
)
def test_a_bad_spec_is_refused(data, message):
    with pytest.raises(DreamkitError, match=message):
        specs.parse_spec(data)


def test_all_problems_are_told_at_once():
    with pytest.raises(DreamkitError, match=r"negative.*unknown control 'depth'"):
        specs.parse_spec({"hdmap": {"control_weight": -1}, "depth": {}})


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["hdmap", "lidar", "edge", "fps"]),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(),
            lambda x: (
                st.lists(x) | st.dictionaries(st.sampled_from(["control_weight", "input_control", "ckpt_path", "x"]), x)
            ),
        ),
    )
)
def test_no_json_gets_past_as_a_traceback(data):
    try:
        spec = specs.parse_spec(data)
    except DreamkitError:
        return
    assert spec.controls


def test_where_a_spec_is_looked_for(ws, tmp_path):
    assert specs.find_spec("single_view", "", ws) is None
    in_workspace = touch(ws.spec("single_view"))
    assert specs.find_spec("single_view", "", ws) == in_workspace
    in_folder = touch(tmp_path / "single_view_spec.json")
    assert specs.find_spec("single_view", "", ws) == in_folder
    (tmp_path / "mine.json").write_text("{}")
    assert specs.find_spec("single_view", "mine.json", ws) == tmp_path / "mine.json"
    with pytest.raises(DreamkitError, match=r"nearest that exists is .*mine\.json"):
        specs.find_spec("single_view", "mime.json", ws)


@pytest.mark.parametrize("path", ["\u00e9" * 200 + ".mp4", "a/" * 2000, "~no_such_user/x.mp4", "a\0b"])
def test_paths_that_no_system_has_are_told(ws, path):
    with pytest.raises(DreamkitError, match="is no path of a file or folder"):
        specs.resolve(path, ws.spec("single_view"), ws.root)


def test_a_spec_is_written_for_the_user_to_edit(ws):
    spec = specs.choose_spec("multi_view", "", ws)
    assert spec.source == ws.spec("multi_view") and not spec.written and not ws.root.exists()
    assert specs.write_default("multi_view", ws) == spec.source
    assert specs.choose_spec("multi_view", "", ws).controls == spec.controls
    written = json.loads(ws.spec("multi_view").read_text())
    assert written["hdmap"]["control_weight"] == 1.0
    assert len(written["hdmap"]["input_control"]) == 6
    assert all("<sample_name>_0.mp4" in path for path in written["hdmap"]["input_control"])
    written["hdmap"]["control_weight"] = 0.2
    ws.spec("multi_view").write_text(json.dumps(written))
    assert specs.choose_spec("multi_view", "", ws).controls["hdmap"].weight == 0.2
    assert specs.choose_spec("multi_view", "", ws, weights=0.9).controls["hdmap"].weight == 0.9
    both = specs.choose_spec("multi_view", "", ws, ["hdmap", "lidar"], {"lidar": 0.4})
    assert {name: control.weight for name, control in both.controls.items()} == {"hdmap": 0.2, "lidar": 0.4}
    with pytest.raises(DreamkitError, match="control_weight names lidar"):
        specs.choose_spec("multi_view", "", ws, ["hdmap"], {"lidar": 0.4})


def test_defaults_do_not_depend_on_earlier_runs(ws):
    for _ in range(2):
        both = specs.choose_spec("single_view", "", ws, ["hdmap", "lidar"], {"lidar": 0.3})
        assert {name: control.weight for name, control in both.controls.items()} == {"hdmap": 1.0, "lidar": 0.3}
        assert specs.choose_spec("single_view", "", ws, ["lidar"]).controls["lidar"].weight == 1.0
        before = specs.write_default("single_view", ws).read_bytes()
        assert list(json.loads(before)) == ["hdmap"]
    ws.spec("single_view").write_text("{}")
    specs.write_default("single_view", ws)
    assert ws.spec("single_view").read_text() == "{}"


def test_a_list_for_six_views_serves_five_by_folder(ws):
    spec = specs.choose_spec("multi_view", "", ws)
    paths = [touch(ws.condition("hdmap", camera, Chunk("a"))) for camera in SIX_VIEWS.cameras]
    found = condition_videos(spec.controls["hdmap"], spec, ws, Chunk("a"), FIVE_VIEWS, single=False)
    assert found == [
        path for path, camera in zip(paths, SIX_VIEWS.cameras, strict=True) if "rear_tele" not in camera.name
    ]


def test_sample_name_is_expanded_for_each_clip_and_chunk(ws):
    spec = specs.parse_spec(
        {"hdmap": {"input_control": "outputs/hdmap/ftheta_camera_front_wide_120fov/<sample_name>_0.mp4"}}
    )
    for chunk in (Chunk("a"), Chunk("b", 2)):
        path = touch(ws.condition("hdmap", SIX_VIEWS.front, chunk))
        assert condition_videos(spec.controls["hdmap"], spec, ws, chunk, FRONT, single=False) == [path]


def test_a_path_without_sample_name_is_for_a_single_clip(ws, tmp_path):
    spec = specs.parse_spec({"hdmap": {"input_control": "assets/in.mp4"}}, tmp_path / "spec.json")
    asset, own = touch(tmp_path / "assets" / "in.mp4"), touch(ws.condition("hdmap", SIX_VIEWS.front, Chunk("a")))
    control = spec.controls["hdmap"]
    assert condition_videos(control, spec, ws, Chunk("a"), FRONT, single=True) == [asset]
    assert condition_videos(control, spec, ws, Chunk("a"), FRONT, single=False) == [own]
    asset.unlink()
    assert condition_videos(control, spec, ws, Chunk("a"), FRONT, single=True) == [own]
    own.unlink()
    with pytest.raises(DreamkitError, match=r"neither assets/in\.mp4"):
        condition_videos(control, spec, ws, Chunk("a"), FRONT, single=True)


def test_a_written_spec_survives_a_moved_workspace(ws, tmp_path, monkeypatch):
    specs.write_default("single_view", ws)
    control = specs.choose_spec("single_view", "", ws).controls["hdmap"]
    assert control.inputs == ("outputs/hdmap/ftheta_camera_front_wide_120fov/<sample_name>_0.mp4",)
    moved = Workspace(tmp_path / "elsewhere")
    ws.root.rename(moved.root)
    spec = specs.choose_spec("single_view", "", moved)
    with pytest.raises(DreamkitError, match=r"a_0\.mp4 is missing"):
        condition_videos(spec.controls["hdmap"], spec, ws, Chunk("a"), FRONT, single=True)
    path = touch(moved.condition("hdmap", SIX_VIEWS.front, Chunk("a")))
    assert condition_videos(spec.controls["hdmap"], spec, moved, Chunk("a"), FRONT, single=True) == [path]


def test_six_paths_or_one(ws, tmp_path):
    six = specs.parse_spec(UPSTREAM_MULTI, tmp_path / "spec.json")
    paths = [touch(tmp_path / "assets" / f"in_{index}.mp4") for index in range(6)]
    assert condition_videos(six.controls["hdmap"], six, ws, Chunk("a"), SIX_VIEWS, single=True) == paths
    assert condition_videos(six.controls["hdmap"], six, ws, Chunk("a"), FRONT, single=True) == paths[:1]
    with pytest.raises(DreamkitError, match="lists 6 hdmap videos for 5 views"):
        condition_videos(six.controls["hdmap"], six, ws, Chunk("a"), FIVE_VIEWS, single=True)
    one = specs.parse_spec({"hdmap": {"input_control": "in/ftheta_camera_front_wide_120fov/<sample_name>.mp4"}})
    paths = [touch(tmp_path / "in" / camera.folder / "a.mp4") for camera in SIX_VIEWS.cameras]
    assert condition_videos(one.controls["hdmap"], one, ws, Chunk("a"), SIX_VIEWS, single=True) == paths
    one = specs.parse_spec({"hdmap": {"input_control": "in/<sample_name>.mp4"}})
    with pytest.raises(DreamkitError, match="List 6 paths"):
        condition_videos(one.controls["hdmap"], one, ws, Chunk("a"), SIX_VIEWS, single=True)
