"""dreamkit.bench.scaling on a model of micro size with workers on the CPU."""

from dataclasses import replace

import micro
import torch

from dreamkit.bench import scaling
from dreamkit.bench.random_models import random_networks, random_window
from dreamkit.transfer.denoising import denoise_window
from dreamkit.transfer.tokenizer import Tokenizer

CONFIG = replace(micro.MULTI, width=64)


def plain_tokenizer(config, device, dtype):
    """Averages of 8 x 8 pixels, and these values again as pixels."""

    def encode(x_BCTHW):
        small = torch.nn.functional.avg_pool3d(x_BCTHW[:, :, ::8], (1, 8, 8))
        return small.repeat(1, 6, 1, 1, 1)[:, :16]

    def decode(z_BCTHW):
        frames = z_BCTHW[:, :3].repeat_interleave(8, 2)[:, :, 7:]
        return frames.repeat_interleave(8, -1).repeat_interleave(8, -2)

    ones = torch.ones(1, 16, config.latent_frames, 1, 1)
    return Tokenizer(encode, decode, 0 * ones, ones, dtype)


def test_two_workers_make_what_one_makes_and_the_tables_say_so():
    window = random_window(CONFIG, 2)
    alone = denoise_window(random_networks(CONFIG, torch.device("cpu"), None), CONFIG, window)
    row, latent = scaling.time_denoising("micro", CONFIG, 2, 3, "cpu", alone)
    assert row.error is not None and row.error < 1e-5 and latent.std() > 0.01
    assert len(row.seconds) == 2
    table = scaling.denoising_table([replace(row, gpus=1, parts=1, error=None), row])
    assert "guidance 2 x columns 1" in table and "1.00x" in table

    video, frames = scaling.time_video("micro", CONFIG, 1, 3, "cpu", None, plain_tokenizer)
    assert frames.shape == (6, 17, 32, 64, 3) and frames.std() > 1
    assert {"encode", "denoise", "decode"} <= set(video.stages)
    assert video.with_evaluations(36) > video.seconds
    assert "3 evaluations, 1.00% of values differ by at most 2" in scaling.video_table(
        [video, replace(video, gpus=2, differing=(0.01, 2))]
    )
