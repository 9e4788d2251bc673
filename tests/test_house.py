"""The house as the README's picture shows it: allowed imports, names, wording of errors."""

import ast
import re
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
PACKAGE = REPO / "dreamkit"
# Floors from the top; a room imports rooms of lower floors only.
FLOORS = {
    "cli": 10,
    "bench": 9,
    "runs": 8,
    "tinyworld": 8,
    "setup": 7,
    "generate": 6,
    "review": 5,
    "styles": 5,
    "download": 4,
    "captions": 4,
    "transfer": 3,
    "rds": 3,
    "notebook": 3,
    "guardrail": 3,
    "workspace": 2,
    "errors": 1,
}
INNER_FLOORS = {"tinyworld": ["evaluate", "train", "render", "world"]}
MODULES = {
    ".".join(path.relative_to(REPO).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
TREES = {name: ast.parse(path.read_text()) for name, path in MODULES.items()}
LONGEST = 330


def room(module):
    return module.split(".")[1] if "." in module else ""


def type_checking_only(tree):
    """Imports that only a type checker reads."""
    guarded = [
        node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    ]
    return {id(inner) for node in guarded for inner in ast.walk(node)}


def imported(module, types_too=True):
    """Every module of the package that a module imports, at its top or inside a function."""
    tree, found = TREES[module], set()
    left_out = set() if types_too else type_checking_only(tree)
    for node in ast.walk(tree):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} has a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in MODULES else node.module for name in names}
    return {name for name in found if name in MODULES and name != module}


def test_every_room_has_a_floor():
    rooms = {path.stem for path in PACKAGE.iterdir() if (path / "__init__.py").is_file() or path.suffix == ".py"}
    assert rooms - {"__init__"} == set(FLOORS)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_downwards(module):
    for other in imported(module):
        if room(other) not in ("", room(module)) and room(module):
            assert FLOORS[room(other)] < FLOORS[room(module)], f"{module} imports {other}"
        if room(other) == "tinyworld":
            assert room(module) in ("tinyworld", "bench", "cli"), f"{module} imports {other}"


def test_inside_a_room_with_floors_imports_point_downwards():
    for module in MODULES:
        floors = INNER_FLOORS.get(room(module), [])
        inner = module.split(".")[2:3]
        for other in imported(module) if inner and inner[0] in floors else ():
            below = other.split(".")[2:3]
            if room(other) == room(module) and below and below[0] in floors:
                assert floors.index(below[0]) >= floors.index(inner[0]), f"{module} imports {other}"


def test_no_module_imports_itself_in_a_circle():
    arrows = {module: imported(module, types_too=False) for module in MODULES}
    done, path = set(), []

    def walk(module):
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module in done:
            return
        path.append(module)
        for other in sorted(arrows[module]):
            walk(other)
        done.add(path.pop())

    for module in MODULES:
        walk(module)


def test_a_public_name_means_one_thing():
    where = {}
    for module, tree in TREES.items():
        for node in tree.body:
            if (
                isinstance(node, ast.FunctionDef | ast.ClassDef)
                and not node.name.startswith("_")
                and node.name != "main"
            ):
                where.setdefault(node.name, []).append((module, isinstance(node, ast.ClassDef)))
    twice = {
        name: [module for module, _ in places]
        for name, places in where.items()
        if len({room(module) for module, _ in places}) > 1 or (len(places) > 1 and any(cls for _, cls in places))
    }
    assert not twice


def test_a_room_says_what_it_is_for():
    for module, path in MODULES.items():
        doc = ast.get_docstring(TREES[module])
        assert doc, f"{module} has no docstring"
        if path.name == "__init__.py" and room(module):
            assert len(doc.splitlines()) <= 6 and len(doc) > 100, f"{module}: five lines on what the room is for"


def test_a_module_has_one_subject():
    assert not {name: n for name, path in MODULES.items() if (n := len(path.read_text().splitlines())) > LONGEST}


def test_tests_mirror_the_rooms():
    folders = {path.name for path in (REPO / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders - set(FLOORS) == {"browser", "gpu", "golden", "data", "support", "fuzz"}


def literal_parts(node):
    """A string expression as its pieces: text, or None for a value that is only known when it runs."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        return [part.value if isinstance(part, ast.Constant) else None for part in node.values]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return literal_parts(node.left) + literal_parts(node.right)
    if isinstance(node, ast.IfExp):
        return [None]
    return [None]


def raised_errors():
    names = {"DreamkitError"}
    for tree in TREES.values():
        names |= {
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef) and any(getattr(base, "id", "") in names for base in node.bases)
        }
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in names:
                yield f"{module}:{node.lineno}", node


def is_sentence(parts):
    """Begins with a capital (or a quoted name, a number, a parameter, a value) and ends with a full stop."""
    first, last = parts[0], parts[-1]
    begins = first is None or bool(re.match(r"[A-Z0-9'\"`]|--|[a-z]+_[a-z_]+ ", first))
    ends = last is None or bool(re.search(r"[.!?…]['\")]?$", last.rstrip()))
    return begins and ends


def test_errors_have_one_voice():
    faults = []
    for place, call in raised_errors():
        hint = call.args[1] if len(call.args) > 1 else next((k.value for k in call.keywords if k.arg == "hint"), None)
        if call.args and not is_sentence(literal_parts(call.args[0])):
            faults.append(f"{place}: the message is no sentence: {ast.unparse(call.args[0])[:80]}")
        if call.args and hint is None and not any(isinstance(arg, ast.Starred) for arg in call.args):
            faults.append(f"{place}: no hint")
        elif hint is not None and (literal_parts(hint) == [""] or not is_sentence(literal_parts(hint))):
            faults.append(f"{place}: the hint is no sentence: {ast.unparse(hint)[:80]}")
    assert not faults, "\n".join(faults)
