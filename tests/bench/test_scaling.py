"""dreamkit.bench.scaling on a model of micro size with workers on the CPU."""

from dataclasses import replace

import micro
import torch

from dreamkit.bench import scaling
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


def test_one_and_two_workers_make_the_same_and_both_tables_say_so():
    denoised, videos, latent, frames = [], [], None, None
    for gpus in (1, 2):
        row, latent = scaling.time_denoising("micro", CONFIG, gpus, 3, "cpu", latent)
        denoised.append(row)
        row, frames = scaling.time_video("micro", CONFIG, gpus, 3, "cpu", frames, plain_tokenizer)
        videos.append(row)
    assert denoised[1].error is not None and denoised[1].error < 1e-5
    assert videos[1].differing is not None and videos[1].differing[1] <= 1
    assert frames.shape == (6, 17, 32, 64, 3) and frames.std() > 1
    assert "guidance 2 x 1" in scaling.denoising_table(denoised)
    assert "3 evaluations" in scaling.video_table(videos)
    assert videos[0].with_evaluations(36) > videos[0].seconds
