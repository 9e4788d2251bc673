"""Control specs."""

from dreamkit.generate import specs
from dreamkit.generate.condition_videos import condition_videos
from dreamkit.generate.params import MultiViewParams, SingleViewParams
from dreamkit.generate.spec_params import apply_scalars
from dreamkit.workspace.cameras import SIX_VIEWS, Rig
from dreamkit.workspace.workspace import Chunk, Workspace
from tests.fuzz import mutate
from tests.fuzz.driver import refused

GOOD = {
    "hdmap": {"control_weight": 0.5, "input_control": ["outputs/hdmap/c/<sample_name>_0.mp4"] * 6, "ckpt_path": "a.pt"},
    "lidar": {"control_weight": "map.pt"},
    "num_steps": 20,
    "guidance": 5,
    "seed": 1,
}


def seeds(folder):
    return GOOD


def case(rng, folder, good):
    stage, kind = rng.choice((("single_view", SingleViewParams), ("multi_view", MultiViewParams)))
    ws = Workspace(folder / "outputs")
    ws.root.mkdir()
    (folder / "spec.json").write_bytes(mutate.hostile_json(rng, good))
    spec = specs.choose_spec(stage, "spec.json", ws)
    str(spec)
    with refused():
        apply_scalars(kind(), spec)
    with refused():
        specs.own_control_files(stage, spec, folder)
    rig = SIX_VIEWS if stage == "multi_view" else Rig(SIX_VIEWS.cameras[:1], ((0,),))
    for control in spec.controls.values():
        with refused():
            condition_videos(control, spec, ws, Chunk("clip_a"), rig, rng.random() < 0.5)
