import pytest
import torch
import torch.nn.functional as F

from dreamkit.transfer.weight_maps import weight_of_frames


@pytest.mark.parametrize("steps", [1, 2, 25, 190, 400])
def test_the_first_frames_of_a_stretched_map(steps):
    weight = torch.rand(steps, 3, 4)
    whole = F.interpolate(weight[None, None], size=(190, 3, 4), mode="trilinear", align_corners=False)[0, 0]
    torch.testing.assert_close(weight_of_frames(weight, 190, 121), whole[:121], atol=1e-4, rtol=1e-4)


def test_nothing_is_cut_where_all_is_made():
    for weight in (torch.rand(7, 3, 4), torch.rand(3, 4)):
        assert weight_of_frames(weight, 9, 9) is weight
    assert weight_of_frames(torch.ones(3, 4), 9, 5).shape == (3, 4)
