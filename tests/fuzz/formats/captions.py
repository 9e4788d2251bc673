"""Caption files, and the table of them."""

from dreamkit.captions.files import read_captions
from dreamkit.captions.params import CaptionParams
from dreamkit.captions.table import caption_table
from dreamkit.styles import Restyler, RuleRewriter, load_styles
from dreamkit.styles.batch import write_styles
from dreamkit.workspace.workspace import Workspace
from tests.fuzz import mutate
from tests.fuzz.driver import refused

GOOD = {"Original": "A city street in daylight, light rain falls.", "Night": "A city street at night.", "Foggy": "Fog."}
BOMBS = (
    "night " * 3300,
    "snow rain " * 1900,
    "(" * 15000,
    "a, " * 6000,
    "no " * 6000,
    "in a tunnel " * 1600,
    '"' * 15000,
)


def seeds(folder):
    return load_styles()


def case(rng, folder, table):
    ws = Workspace(folder / "ws")
    ws.captions.mkdir(parents=True)
    (folder / "secret.txt").write_text("secret")
    data = mutate.hostile_json(rng, GOOD)
    if rng.random() < 0.3:
        data = mutate.as_json({"Original": rng.choice(BOMBS)})
    (ws.captions / "a.json").write_bytes(data)
    text = rng.choice(
        (mutate.damage(rng, GOOD["Original"].encode()), rng.choice(BOMBS).encode(), b"\x1b[2J road", b"\xff")
    )
    (ws.captions / "b.txt").write_bytes(text)
    for name, target in (("c.txt", "../../secret.txt"), ("d.json", "d.json"), ("e.txt", folder / "secret.txt")):
        (ws.captions / name).symlink_to(target)
    for clip in "abcde":
        with refused():
            assert "secret" not in str(read_captions(ws.captions, clip))
    str(caption_table(ws, CaptionParams()))
    with refused():
        write_styles(ws, Restyler(rules=RuleRewriter(table)), ["b"], ["Night", "Rainy"]).raise_problems()
