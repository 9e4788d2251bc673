"""Verdict files, and the other files of a review."""

from dreamkit.review import verdicts
from dreamkit.review.measures.table import read_table
from dreamkit.review.session import Review
from dreamkit.workspace.workspace import Workspace
from tests.fuzz import mutate
from tests.fuzz.driver import refused


def seeds(folder):
    import pandas as pd

    pd.DataFrame([{"key": "single_view/a_Night", "fingerprint": "x", "version": 4, "frames": 3}]).to_parquet(
        folder / "m.parquet"
    )
    verdict = verdicts.Verdict(
        "single_view/a_Night", "reject", ("other",), "a note", "ann", "2026-01-01T00:00:00+00:00", "abc"
    )
    return verdicts.format_line(verdict), (folder / "m.parquet").read_bytes()


def case(rng, folder, good):
    import json

    line, table = good
    ws = Workspace(folder / "ws")
    (ws.root / "single_view").mkdir(parents=True)
    (ws.root / "single_view" / "a_Night.mp4").write_bytes(b"x")
    (ws.root / "review").mkdir()
    lines = [line, mutate.hostile_json(rng, json.loads(line)).replace(b"\n", b" ") + b"\n", mutate.damage(rng, line)]
    path = ws.review_file("verdicts.jsonl")
    path.write_bytes(b"".join(rng.choice(lines) for _ in range(rng.randrange(5))))
    log = verdicts.read_verdicts(path)
    assert all(isinstance(verdict.video, str) for verdict in log.standing())
    verdicts.append_verdict(path, verdicts.Verdict("single_view/a_Night", "accept", by="ann"))
    assert verdicts.read_verdicts(path).current()["single_view/a_Night"].state == "accept"
    (ws.root / "review" / "metrics.parquet").write_bytes(mutate.damage(rng, table))
    read_table(ws.root / "review" / "metrics.parquet")
    if rng.random() < 0.15:
        with refused():
            review = Review(ws, "ann")
            json.dumps(review.items()).encode()
            json.dumps(review.verdict("single_view/a_Night")).encode()
