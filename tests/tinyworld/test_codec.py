"""The tiny bundle's video tokenizer: shapes, causality in time, and TorchScript files in half precision."""

import pytest
import torch

from dreamkit.tinyworld.train.codec import CHANNELS, Decoder, Encoder, _fold, _unfold

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module", autouse=True)
def exact():
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def parts():
    torch.manual_seed(0)
    return Encoder().eval(), Decoder().eval()


def video(frames):
    return torch.rand(1, 3, 25, 32, 48, generator=torch.Generator().manual_seed(1))[:, :, :frames] * 2 - 1


@pytest.mark.parametrize("frames", [1, 9, 25])
def test_eight_frames_and_eight_by_eight_pixels_become_one_of_16_channels(parts, frames):
    encoder, decoder = parts
    latent = encoder(video(frames))
    assert latent.shape == (1, CHANNELS, 1 + frames // 8, 4, 6)
    assert decoder(latent).shape == (1, 3, frames, 32, 48)


def test_latents_do_not_look_ahead(parts):
    encoder, decoder = parts
    whole = encoder(video(25))
    assert torch.allclose(encoder(video(9)), whole[:, :, :2], atol=1e-5)
    assert torch.allclose(encoder(video(1)), whole[:, :, :1], atol=1e-5)
    assert torch.allclose(decoder(whole[:, :, :2]), decoder(whole)[:, :, :9], atol=1e-5)


def test_latents_look_back(parts):
    encoder, _ = parts
    other = video(25).clone()
    other[:, :, 0] = 0
    assert not torch.allclose(encoder(other)[:, :, 1], encoder(video(25))[:, :, 1], atol=1e-3)


def test_unfolding_undoes_folding():
    x = torch.rand(2, 8, 3, 16, 24)
    folded = _fold(x, 4, 2)
    assert folded.shape == (2, 2, 3 * 4 * 4, 8, 12)
    assert torch.equal(_unfold(folded, 4, 2), x)
    # A patch's channels are in the order time, colour, row, column.
    assert torch.equal(folded[1, 1, :, 3, 5], x[1, 4:8, :, 6:8, 10:12].flatten())


def test_torchscript_in_half_and_back_in_float_is_the_same_codec(parts, tmp_path):
    frames = video(17)
    latent = parts[0](frames)
    for name, part, given in (("encoder", parts[0], frames), ("decoder", parts[1], latent)):
        expected = part(given)
        half = type(part)()
        half.load_state_dict(part.state_dict())
        torch.jit.script(half.half()).save(str(tmp_path / f"{name}.jit"))
        loaded = torch.jit.load(str(tmp_path / f"{name}.jit")).eval()
        assert {p.dtype for p in loaded.parameters()} == {torch.float16}
        made = loaded.float()(given)
        assert made.dtype == torch.float32
        assert (made - expected).norm() < 2e-3 * expected.norm()  # half keeps eleven bits of a weight
