import pytest
import torch
import torch.nn.functional as F

from dreamkit.errors import DreamkitError
from dreamkit.transfer.weight_maps import token_weights, weight_of_frames


@pytest.mark.parametrize("steps", [1, 2, 25, 190, 400])
def test_the_first_frames_of_a_stretched_map(steps):
    weight = torch.rand(steps, 3, 4)
    whole = F.interpolate(weight[None, None], size=(190, 3, 4), mode="trilinear", align_corners=False)[0, 0]
    torch.testing.assert_close(weight_of_frames(weight, 190, 121), whole[:121], atol=1e-4, rtol=1e-4)


def test_nothing_is_cut_where_all_is_made():
    for weight in (torch.rand(7, 3, 4), torch.rand(3, 4)):
        assert weight_of_frames(weight, 9, 9) is weight
    assert weight_of_frames(torch.ones(3, 4), 9, 5).shape == (3, 4)


def test_weights_are_clamped_and_divided_by_their_sum_when_it_passes_one():
    assert token_weights([None], 1, (1, 1, 1)) == [0.5]
    assert token_weights([0.3, 0.4], 1, (1, 1, 1)) == [0.3, 0.4]
    assert token_weights([1.5, 0.5], 1, (1, 1, 1)) == [0.75, 0.25]
    with pytest.raises(DreamkitError, match="control weight is -1"):
        token_weights([-1.0], 1, (1, 1, 1))
    with pytest.raises(DreamkitError, match="control weight is nan"):
        token_weights([float("nan")], 1, (1, 1, 1))


def test_a_map_is_resampled_to_tokens_with_the_first_frame_by_itself():
    grid = (3, 2, 4)  # latent frames of 17 pixel frames
    still = torch.zeros(32, 64)
    still[:, 32:] = 1.0
    (weight,) = token_weights([still], 17, grid)
    assert weight.shape == (24, 1)
    assert torch.equal(weight.reshape(grid)[0], torch.tensor([[0.0, 0, 1, 1]] * 2))
    moving = torch.zeros(17, 32, 64)
    moving[0] = 0.8
    (weight,) = token_weights([moving], 17, grid)
    assert weight.reshape(grid)[0].unique().tolist() == pytest.approx([0.8])
    assert weight.reshape(grid)[1:].abs().max() == 0
    with pytest.raises(DreamkitError, match=r"shape \[5\]"):
        token_weights([torch.ones(5)], 17, grid)


def test_a_map_and_a_number_share_one_per_pixel():
    first, second = token_weights([torch.full((4, 4), 3.0), 1.0], 1, (1, 1, 1))
    assert float(first) == pytest.approx(0.75) and float(second) == pytest.approx(0.25)
    below, _ = token_weights([torch.full((4, 4), -1.0), 1.0], 1, (1, 1, 1))
    assert float(below) == 0.0
