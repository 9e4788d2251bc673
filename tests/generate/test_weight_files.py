import pytest
import torch

from dreamkit.errors import DreamkitError
from dreamkit.generate.weight_files import read_weight_map


def test_values_that_are_not_finite_are_refused(tmp_path):
    torch.save(torch.tensor([[1.0, float("nan")]]), tmp_path / "map.pt")
    with pytest.raises(DreamkitError, match="not finite"):
        read_weight_map(tmp_path / "map.pt")
