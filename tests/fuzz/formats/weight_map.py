"""Weight maps: files of torch.save, with tensors that expand."""

import io
import zipfile

import torch

from dreamkit.generate.weight_files import read_weight_map
from dreamkit.transfer.weight_maps import weight_of_frames
from tests.fuzz import mutate


def saved(value, **options):
    stream = io.BytesIO()
    torch.save(value, stream, **options)
    return stream.getvalue()


def seeds(folder):
    odd = (
        torch.ones(1).expand(1000, 1600, 1600),
        torch.ones(1, 4, 4).expand(6, 4, 4),
        torch.zeros(0, 4, 4),
        torch.full((3, 4), float("nan")),
        torch.ones(4, 4, dtype=torch.complex64),
        torch.ones(4, 4).to_sparse(),
        torch.quantize_per_tensor(torch.ones(4, 4), 0.1, 0, torch.quint8),
        torch.ones(4, 4, dtype=torch.bool),
        torch.ones(4),
        torch.ones(4, 4, device="meta"),
        [torch.ones(4, 4)],
        {"a": 1},
        "text",
    )
    good = saved(torch.rand(6, 8, 8)), saved(torch.rand(6, 8, 8), _use_new_zipfile_serialization=False)
    return good, [saved(value) for value in odd]


def case(rng, folder, given):
    good, odd = given
    kind = rng.randrange(4)
    if kind == 0:
        data = rng.choice(odd)
    elif kind == 1:
        data = _packed(rng, good[0])
    elif kind == 2:
        data = rng.choice((b"", b"plain text", b"PK\x03\x04", b"\x80\x02.", rng.randbytes(300)))
    else:
        data = mutate.damage(rng, rng.choice(good))
    (folder / "map.pt").write_bytes(data)
    weight_of_frames(read_weight_map(folder / "map.pt"), 6, 4)


def _packed(rng, data):
    """The archive with compressed parts, one of which expands a thousandfold."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            part = bytes(rng.choice((1, 40)) * 2**20) if name.endswith("data/0") else old.read(name)
            new.writestr(name, part)
    return stream.getvalue()
