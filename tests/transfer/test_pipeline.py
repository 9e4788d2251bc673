"""Both pipelines on the micro bundle: shapes, seeds, windows, given frames, progress, bad input, imports."""

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import micro
import numpy as np
import pytest
import torch

from dreamkit.errors import DreamkitError
from dreamkit.transfer import engine, folders
from dreamkit.transfer.config import save_config
from dreamkit.transfer.denoiser import Denoiser
from dreamkit.transfer.memory import explain_out_of_memory
from dreamkit.transfer.pipeline import MultiViewPipeline, SingleViewPipeline
from dreamkit.transfer.sampling import seeded_noise
from dreamkit.transfer.windows import multi_view_windows, single_view_windows
from dreamkit.workspace.video import resize

pytestmark = pytest.mark.usefixtures("one_thread")
STEPS = 2


def condition(frames, seed=0, views=()):
    return np.random.default_rng(seed).integers(0, 255, (*views, frames, 32, 48, 3), np.uint8)


@pytest.fixture(scope="module")
def single(micro_checkpoints):
    return SingleViewPipeline.from_checkpoints(micro_checkpoints, ("hdmap", "lidar"))


@pytest.fixture(scope="module")
def multi(micro_checkpoints):
    return MultiViewPipeline.from_checkpoints(micro_checkpoints)


def test_single_view_is_seeded_and_follows_prompt_map_and_weight(single):
    def make(prompt="a car", video=condition(17), weight=1.0, seed=3, **more):
        return single(prompt, {"hdmap": video}, weights={"hdmap": weight}, steps=STEPS, seed=seed, **more)

    first = make()
    assert first.shape == (17, 32, 48, 3) and first.dtype == np.uint8
    assert np.array_equal(first, make())
    for other in (
        {"seed": 4},
        {"prompt": "a truck at night"},
        {"video": condition(17, 1)},
        {"weight": 0.2},
        {"guidance": 1.0},
        {"negative_prompt": "fog"},
        {"fps": 10},
    ):
        assert not np.array_equal(first, make(**other)), other


def test_without_guidance_one_pass_gives_what_two_give(single, multi, monkeypatch):
    """The two-pass formula is cond + g (cond - uncond); a g that no float32 sum shows takes both passes."""
    calls = []
    forward = Denoiser.forward
    monkeypatch.setattr(Denoiser, "forward", lambda self, *given: calls.append(self) or forward(self, *given))
    front, views = condition(17), condition(17, views=(6,))

    def made(guidance):
        calls.clear()
        one = single("a car", {"hdmap": front, "lidar": views[1]}, steps=STEPS, guidance=guidance)
        six = multi(["a car"] * 6, front, {"hdmap": views}, steps=STEPS, guidance=guidance)
        return one, six, len(calls)

    one, six, count = made(0)
    both_one, both_six, both = made(1e-30)
    assert np.array_equal(one, both_one) and np.array_equal(six, both_six)
    assert count == 2 * (STEPS + 1) and both == 2 * count


def test_a_control_of_weight_zero_changes_nothing(single):
    both = {"hdmap": condition(17), "lidar": condition(17, 1)}
    weights = {"hdmap": 0.4, "lidar": 0.0}
    alone = single("a car", {"hdmap": both["hdmap"]}, weights={"hdmap": 0.4}, steps=STEPS)
    assert np.array_equal(single("a car", both, weights=weights, steps=STEPS), alone)
    assert not np.array_equal(single("a car", both, weights={"hdmap": 0.4, "lidar": 0.4}, steps=STEPS), alone)


def test_a_flat_map_is_the_number(single):
    video = {"hdmap": condition(17)}
    number = single("a car", video, weights={"hdmap": 0.4}, steps=STEPS)
    flat = single("a car", video, weights={"hdmap": torch.full((17, 32, 48), 0.4)}, steps=STEPS)
    assert np.abs(number.astype(int) - flat).max() <= 1


def test_short_inputs_are_padded_and_trimmed_and_long_ones_cut(single):
    short, long = condition(5), condition(40)
    out = single("a car", {"hdmap": short}, steps=STEPS)
    padded = np.concatenate([short, np.repeat(short[-1:], 12, axis=0)])
    assert np.array_equal(out, single("a car", {"hdmap": padded}, steps=STEPS)[:5])
    assert single("a car", {"hdmap": long}, steps=STEPS).shape[0] == 17


def test_conditions_of_another_size_are_stretched_to_the_models(single):
    small = condition(17)[:, ::2, ::2]
    out = single("a car", {"hdmap": small}, steps=STEPS)
    assert np.array_equal(out, single("a car", {"hdmap": resize(small, 32, 48)}, steps=STEPS))


def test_all_windows_start_every_16_frames_with_the_next_seed(single):
    video = condition(40)
    out = single("a car", {"hdmap": video}, steps=STEPS, seed=7, windows="all")
    assert out.shape[0] == 40
    second = single("a car", {"hdmap": video[16:33]}, steps=STEPS, seed=8)
    assert np.array_equal(out[17:33], second[1:])


def test_progress_names_stages_and_steps(single):
    seen = []
    single("a car", {"hdmap": condition(20)}, steps=STEPS, windows="all", progress=seen.append)
    denoise = [(p.window, p.step, p.steps) for p in seen if p.stage == "denoise"]
    assert denoise == [(w, s, STEPS + 1) for w in (0, 1) for s in range(STEPS + 2)]
    assert {p.stage for p in seen} == {"text", "encode", "denoise", "decode"}
    assert all(a.seconds <= b.seconds for a, b in pairwise(seen))


def test_a_preview_is_the_first_frame_and_changes_nothing(single):
    previews = []

    def look(progress):
        if progress.stage == "denoise" and progress.step:
            previews.append(progress.preview_frame())

    video = {"hdmap": condition(17)}
    made = single("a car", video, steps=STEPS, progress=look)
    assert [preview.shape for preview in previews] == [(1, 32, 48, 3)] * (STEPS + 1)
    assert np.abs(previews[-1][0].astype(int) - made[0]).max() <= 1
    assert not np.array_equal(previews[0], previews[-1])
    assert np.array_equal(made, single("a car", video, steps=STEPS))


def test_previews_of_views_skip_what_was_given(multi):
    previews = {}

    def look(progress):
        if progress.stage == "denoise" and progress.step == progress.steps:
            previews[progress.window] = progress.preview_frame()

    front, video = condition(25), condition(25, views=(6,))
    out = multi(["a car"] * 6, front, {"hdmap": video}, steps=STEPS, num_input_frames=1, progress=look)
    assert [preview.shape for preview in previews.values()] == [(6, 32, 48, 3)] * 2
    first = np.abs(previews[0].astype(int) - out[:, 0]).max((1, 2, 3))
    later = np.abs(previews[1].astype(int) - out[:, 8 + 8]).max((1, 2, 3))
    assert first.max() <= 1 and later.max() <= 1


def test_a_gpu_too_full_for_a_preview_goes_on(single, monkeypatch):
    def full(_):
        raise torch.cuda.OutOfMemoryError("Tried to allocate 9 GiB")

    monkeypatch.setattr(single, "decode_latent", full)
    assert single.preview_frame(torch.zeros(1, 16, 3, 4, 6)) is None


def test_an_interrupt_passes_through(single):
    def stop(progress):
        if progress.stage == "denoise" and progress.step == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        single("a car", {"hdmap": condition(17)}, steps=STEPS, progress=stop)


def test_info_names_what_ran(single, multi):
    single("a car", {"hdmap": condition(17)}, steps=STEPS)
    info = single.info()
    assert (info["attention"], info["pointwise"], info["device"], info["dtype"]) == ("sdpa", "eager", "cpu", "float32")
    assert info["tensors_from_base"] == 0 and multi.info()["preset"] == "exact"


def test_offloading_changes_nothing(micro_checkpoints, single):
    video = {"hdmap": condition(17)}
    other = SingleViewPipeline.from_checkpoints(micro_checkpoints, offload=True)
    assert np.array_equal(other("a car", video, steps=STEPS), single("a car", video, steps=STEPS))


def test_offloaded_networks_wait_in_host_memory(micro_checkpoints, monkeypatch):
    moves = []
    monkeypatch.setattr(engine.Networks, "to", lambda self, device: moves.append(device.type))
    SingleViewPipeline.from_checkpoints(micro_checkpoints, offload=True)
    MultiViewPipeline.from_checkpoints(micro_checkpoints, offload=True)
    assert moves == ["cpu", "cpu"]


@pytest.mark.parametrize(
    ("controls", "message"),
    [
        ({}, "The controls given are none"),
        ({"depth": condition(17)}, "The controls given are depth; loaded are hdmap, lidar"),
        ({"hdmap": condition(17).astype(float)}, "expected uint8"),
        ({"hdmap": condition(17), "lidar": condition(9)}, "controls differ in their frames"),
        ({"hdmap": condition(0)}, "expected uint8"),
    ],
)
def test_bad_controls(single, controls, message):
    with pytest.raises(DreamkitError, match=message):
        single("a car", controls, steps=STEPS)


def test_bad_steps_and_stray_weights(single):
    with pytest.raises(DreamkitError, match="steps is 0"):
        single("a car", {"hdmap": condition(17)}, steps=0)
    with pytest.raises(DreamkitError, match="not given: lidar"):
        single("a car", {"hdmap": condition(17)}, weights={"lidar": 1.0}, steps=STEPS)


def test_six_views_go_on_after_the_first_window(multi):
    front, hdmap = condition(33, 5), {"hdmap": condition(33, 6, (6,))}
    out = multi(["a car"] * 6, front, hdmap, steps=STEPS, seed=1)
    assert out.shape == (6, 33, 32, 48, 3)
    first = multi(["a car"] * 6, front[:17], {"hdmap": hdmap["hdmap"][:, :17]}, steps=STEPS, seed=1)
    assert np.array_equal(out[:, :17], first)  # given frames stay those of the window that made them
    assert not np.array_equal(out, multi(["a car"] * 6, front, hdmap, steps=STEPS, seed=1, num_input_frames=1))


def test_six_views_joined(multi):
    """The front view is that of separate windows where they do not overlap; encoded controls give the same."""
    front, hdmap, seen = condition(33, 5), condition(33, 6, (6,)), []
    out = multi(["a car"] * 6, front, {"hdmap": hdmap}, steps=STEPS, seed=1, windows="joined", progress=seen.append)
    assert out.shape == (6, 33, 32, 48, 3) and sum(told.stage == "denoise" for told in seen) == STEPS + 2
    first = multi(["a car"] * 6, front[:17], {"hdmap": hdmap[:, :17]}, steps=STEPS, seed=1, windows="joined")
    assert np.array_equal(out[0, :9], first[0, :9])  # given: whole in every window
    assert not np.array_equal(out[1, :17], first[1])  # denoised with what follows
    plan = multi_view_windows(33, 17, 9, extension=False, mode="joined")
    assert plan.joined and plan.starts == (0, 8, 16)
    encoded = multi.encode_controls({"hdmap": iter(hdmap)}, plan)
    assert np.array_equal(multi(["a car"] * 6, front, encoded, steps=STEPS, seed=1), out)


def test_the_front_view_comes_back_through_the_tokenizer(multi):
    front = condition(17, 5)
    out = multi(["a car"] * 6, front, {"hdmap": condition(17, 6, (6,))}, steps=STEPS)
    through = multi.decode_latent(multi.encode_frames(front))
    assert np.abs(out[0].astype(int) - through).max() <= 1


def test_each_view_has_its_own_text(multi):
    front, hdmap = condition(17, 5), {"hdmap": condition(17, 6, (6,))}
    one = multi(["a car"] * 6, front, hdmap, steps=STEPS)
    other = multi([*["a car"] * 5, "a truck in the fog"], front, hdmap, steps=STEPS)
    change = np.abs(one.astype(int) - other).mean((1, 2, 3, 4))
    assert change.argmax() == 5


def test_without_extension_files_one_window_is_made(micro_checkpoints, tmp_path):
    (tmp_path / folders.MULTI_VIEW).mkdir(parents=True)
    for path in (micro_checkpoints / folders.MULTI_VIEW).glob("*"):
        if not path.name.startswith("v2w"):
            (tmp_path / folders.MULTI_VIEW / path.name).symlink_to(path)
    for name in (folders.TOKENIZER, folders.TEXT_ENCODER):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(micro_checkpoints / name)
    pipeline = MultiViewPipeline.from_checkpoints(tmp_path)
    assert not pipeline.has_extension
    out = pipeline(["a car"] * 6, condition(33), {"hdmap": condition(33, 6, (6,))}, steps=STEPS)
    assert out.shape[1] == 17


def test_five_views(micro_checkpoints):
    five = MultiViewPipeline.from_checkpoints(micro_checkpoints, views=5)
    out = five(["a car"] * 5, condition(17), {"hdmap": condition(17, 1, (5,))}, steps=STEPS)
    assert out.shape[0] == 5
    with pytest.raises(DreamkitError, match="views, not 4"):
        MultiViewPipeline.from_checkpoints(micro_checkpoints, views=4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompts": ["a car"] * 5}, "5 prompts are given for 6 views"),
        ({"controls": {"hdmap": condition(17, 0, (5,))}}, "has 5 views, expected 6"),
        ({"controls": {"hdmap": condition(9, 0, (6,))}}, "has 9 frames, the front video 17"),
        ({"num_input_frames": 5}, "num_input_frames is 5"),
        ({"front": condition(17)[0]}, "The front video is uint8"),
        ({"weights": {"hdmap": torch.ones(4, 4)}}, "single view only"),
    ],
)
def test_bad_views(multi, change, message):
    call = {"prompts": ["a car"] * 6, "front": condition(17), "controls": {"hdmap": condition(17, 0, (6,))}}
    with pytest.raises(DreamkitError, match=message):
        multi(**{**call, **change}, steps=STEPS)


def test_noise_is_numpys_legacy_normal():
    expected = np.random.RandomState(5).standard_normal((1, 2, 3)).astype(np.float32)
    assert np.array_equal(seeded_noise((1, 2, 3), 5, torch.device("cpu")).numpy(), expected)


def test_7b_weights_need_a_gpu(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(DreamkitError, match="7B models need a GPU"):
        SingleViewPipeline.from_checkpoints(tmp_path)
    with pytest.raises(DreamkitError, match="sees no GPU"):
        engine.choose_compute("cuda", "exact", "auto", micro.SINGLE)
    with pytest.raises(DreamkitError, match="no preset 'fastest'"):
        engine.choose_compute("cpu", "fastest", "auto", micro.SINGLE)
    with pytest.raises(DreamkitError, match=r"The checkpoint folder .* is not there"):
        SingleViewPipeline.from_checkpoints(tmp_path / "none")


def test_a_file_lacking_is_named_before_anything_is_made(micro_checkpoints, tmp_path):
    save_config(
        replace(micro.SINGLE), (tmp_path / folders.SINGLE_VIEW, (tmp_path / folders.SINGLE_VIEW).mkdir(parents=True))[0]
    )
    (tmp_path / folders.TOKENIZER).symlink_to(micro_checkpoints / folders.TOKENIZER)
    with pytest.raises(DreamkitError, match=r"There is no checkpoint file at .*base_model\.pt"):
        SingleViewPipeline.from_checkpoints(tmp_path)


def test_out_of_memory_says_what_was_needed(monkeypatch):
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: 20 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: type("P", (), {"total_memory": 24 * 2**30}))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    message = r"20\.0 of 24\.0 GiB were in use, and more was needed \(Tried to allocate 7\.00 GiB"
    with (
        pytest.raises(DreamkitError, match=message) as caught,
        explain_out_of_memory(torch.device("cuda", 0), "Set offload: true."),
    ):
        raise torch.cuda.OutOfMemoryError("Tried to allocate 7.00 GiB. GPU 0 has ...")
    assert caught.value.hint == "Set offload: true."


def test_transfer_imports_with_torch_numpy_safetensors_and_transformers_alone():
    blocked = ["cv2", "av", "pydantic", "typer", "yaml", "papermill", "PIL", "pandas", "IPython", "ipywidgets", "scipy"]
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked}))\n"
        "import dreamkit.transfer.pipeline, dreamkit.bench.forward, dreamkit.tinyworld.train.bundle\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_encoded_controls_give_what_frames_give(single, multi, micro_checkpoints):
    """Also with offload, in several windows, with views that are drawn one by one, and for more than one prompt."""
    one, six = condition(40), condition(33, 6, (6,))
    for pipe in (single, SingleViewPipeline.from_checkpoints(micro_checkpoints, offload=True)):
        encoded = pipe.encode_controls({"hdmap": [one]}, single_view_windows(40, 17, every=True))
        assert [latents["hdmap"].shape for latents in encoded.latents] == [(1, 16, 3, 4, 6)] * 3
        for prompt in ("a car", "a truck at night"):
            frames = pipe(prompt, {"hdmap": one}, steps=STEPS, windows="all")
            assert np.array_equal(pipe(prompt, encoded, steps=STEPS), frames)
    plan = multi_view_windows(33, 17, 9, extension=True)
    encoded = multi.encode_controls({"hdmap": iter(six)}, plan)
    front = condition(33, 5)
    made = multi(["a car"] * 6, front, {"hdmap": six}, steps=STEPS)
    assert np.array_equal(multi(["a car"] * 6, front, encoded, steps=STEPS), made)
    with pytest.raises(DreamkitError, match="The front video has 32 frames, the encoded controls 33"):
        multi(["a car"] * 6, front[:32], encoded, steps=STEPS)


def test_controls_that_cannot_be_encoded(single, multi):
    plan = single_view_windows(17, 17, every=False)
    with pytest.raises(DreamkitError, match="The controls given are depth"):
        single.encode_controls({"depth": [condition(17)]}, plan)
    with pytest.raises(DreamkitError, match="has 9 frames; 17 are made"):
        single.encode_controls({"hdmap": [condition(9)]}, plan)
    with pytest.raises(DreamkitError, match="has 5 views, expected 6"):
        multi.encode_controls({"hdmap": condition(17, 0, (5,))}, plan)


@pytest.mark.parametrize("where", ["listener", "tokenizer"])
def test_an_exception_leaves_no_offloaded_weights_on_the_gpu(micro_checkpoints, monkeypatch, where):
    places = []
    monkeypatch.setattr(engine.Networks, "to", lambda self, device: places.append(device))
    pipe = SingleViewPipeline.from_checkpoints(micro_checkpoints, device="cpu:0", offload=True)
    places.clear()

    def fails(*_):
        raise RuntimeError("stopped")

    def listener(progress):
        if progress.stage == "denoise":
            fails()

    if where == "tokenizer":
        monkeypatch.setattr(pipe, "decode_latent", fails)
    with pytest.raises(RuntimeError, match="stopped"):
        pipe("a car", {"hdmap": condition(17)}, steps=STEPS, progress=listener if where == "listener" else None)
    assert places == [torch.device("cpu", 0), torch.device("cpu")]  # to the device, and back
