"""Parameter files and camera tables: YAML."""

import json

from dreamkit.runs.notebook import MODELS, gather_params, read_pairs
from dreamkit.workspace.cameras import read_folders
from tests.fuzz import mutate
from tests.fuzz.driver import refused

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9)
)
TEXTS = (
    BOMB,
    "a: &a {b: *a}\n",
    "clips: &a [*a]\n",
    "<<: {clips: [x]}\n",
    "seed: !!int abc\n",
    "seed: 2026-99-99\n",
    "clips: !!set {a, b}\n",
    "clips: !!omap [a: 1]\n",
    "clips: !!binary aGVsbG8=\n",
    "workspace: !!python/object/apply:os.system ['touch evil']\n",
    "? [a]\n: b\n",
    'workspace: "\\ud800"\n',
    'workspace: "a\\0b"\n',
    "[" * 3000,
    "- " * 3000,
    "a: " * 2000,
    "workspace: |\n" + "  x\n" * 20000,
)


def seeds(folder):
    return None


def case(rng, folder, _):
    model = rng.choice(list(MODELS.values()))
    values = {name: field.default for name, field in model.model_fields.items() if rng.random() < 0.4}
    kind = rng.randrange(4)
    if kind == 0:
        text = rng.choice(TEXTS)
    elif kind == 1:
        text = mutate.as_json(mutate.changed(rng, values or {"workspace": "outputs"})).decode()
    else:
        lines = [f"{name}: {json.dumps(value)}\n" for name, value in values.items()]
        text = mutate.damage(rng, "".join(lines or ["workspace: outputs\n"]).encode()).decode("latin-1")
    (folder / "p.yaml").write_text(text, encoding="utf-8", errors="surrogatepass")
    with refused():
        gather_params(model, folder / "p.yaml", {}).open_workspace()
    with refused():
        read_folders(folder / "p.yaml")
    with refused():
        (folder / "table.yaml").write_text(f"{json.dumps(rng.choice(mutate.HOSTILE_TEXTS))}: front_wide_120fov\n")
        assert all("/" not in name and name not in ("..", ".") for name in read_folders(folder / "table.yaml").values())
    with refused():
        gather_params(model, None, read_pairs(model, [text.replace("\n", " ").replace(":", "=", 1)[:5000]]))
