"""CSV files of captions."""

from dreamkit.captions.table import import_csv
from dreamkit.workspace.workspace import Workspace
from tests.fuzz import mutate

GOOD = b'clip,caption\nclip_a,"A road, at night."\nclip_b,A bridge.\n'


def seeds(folder):
    return None


def case(rng, folder, _):
    ws = Workspace(folder / "ws")
    ws.root.mkdir()
    kind = rng.randrange(4)
    if kind == 0:
        name = rng.choice(mutate.HOSTILE_TEXTS).replace('"', '""')
        data = f'clip,caption\n"{name}",A road.\n'.encode("utf-8", "replace")
    elif kind == 1:
        data = rng.choice(
            (
                b'clip,caption\na,"' + b"x" * 200_000,
                b"clip,caption\n" + b"a," * 50_000,
                b"caption,clip,clip\nA road,a,b\n",
                b'"clip\n",caption\na,b',
                b"clip,caption\r\r\ra,b",
                b"clip,caption\na,A road\na,A road\n" * 300,
                b"clip,caption\n" + b"x,\n" * 3000,
            )
        )
    else:
        data = mutate.damage(rng, GOOD)
    (folder / "c.csv").write_bytes(data)
    import_csv(ws, folder / "c.csv", overwrite=rng.random() < 0.5)
