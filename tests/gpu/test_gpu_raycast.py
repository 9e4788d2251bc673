"""The raycaster on a GPU: the Triton kernel and the torch version draw the same pictures."""

import pytest
import torch

from dreamkit.tinyworld.render import raycast
from dreamkit.tinyworld.render.colour import render_scene
from dreamkit.tinyworld.render.scene_tensors import build_scene_tensors
from dreamkit.tinyworld.world.scene import make_scene
from dreamkit.workspace.cameras import SIX_VIEWS

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available() or not raycast.has_triton(), reason="needs a CUDA device and Triton"
    ),
]


@pytest.mark.parametrize("style", ["Sunny", "Night", "Rainy"])  # with shadows, lamps, mirror images
def test_the_kernel_draws_what_torch_draws(style, monkeypatch):
    scene = make_scene(41, 40)
    tensors = build_scene_tensors(scene, "cuda")

    def drawn():
        return render_scene(scene, style, SIX_VIEWS.names[:1], (160, 288), [20], tensors=tensors)

    by_kernel = drawn()
    monkeypatch.setattr(raycast, "has_triton", lambda: False)
    by_torch = drawn()
    assert by_torch.colour.float().std() > 10
    assert (by_kernel.colour.int() - by_torch.colour.int()).abs().max() <= 1
