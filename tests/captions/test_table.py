import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
from fakes import put_clip

from dreamkit.captions import files as caption_files
from dreamkit.captions.drafter import FRAMES
from dreamkit.captions.model_server import ServerUnavailable
from dreamkit.captions.page import caption_editor
from dreamkit.captions.params import CaptionParams
from dreamkit.captions.table import caption_problems, caption_table, import_csv, prepare_captions
from dreamkit.errors import DreamkitError
from dreamkit.workspace import video
from dreamkit.workspace.workspace import Workspace

GOOD = "The video shows a street with two parked cars. A white sedan drives ahead on a clear day."


@pytest.fixture
def ws(tmp_path):
    ws = Workspace(tmp_path / "ws")
    put_clip(ws, "alpha")
    put_clip(ws, "beta")
    (ws.captions / "beta.txt").unlink(missing_ok=True)
    (ws.captions / "beta.json").unlink(missing_ok=True)
    (ws.captions / "alpha.json").unlink(missing_ok=True)
    caption_files.write_original(ws.captions, "alpha", GOOD)
    return ws


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "It is empty."),
        ("   \n", "It is empty."),
        ("雪中的街道,前方有一辆白色轿车。", "written in Chinese"),
        ("Das Video zeigt eine Straße mit vielen geparkten Autos und hohen Häusern links", "does not read as English"),
        ("A car drives. " * 200, "the model reads the first 512"),
        ("Heavy snow covers the road on a clear summer day.", "speaks of 'snow' and 'summer', which cannot be true"),
        ("1234 5678", "holds no words"),
    ],
)
def test_what_is_wrong_with_a_caption(text, told):
    assert told in caption_problems(text)[0]


def test_a_good_caption_has_no_fault():
    assert caption_problems(GOOD) == []


def test_the_table_lists_clips_with_and_without(ws):
    table = caption_table(ws, CaptionParams())
    assert [(entry.clip, entry.state) for entry in table.entries] == [("alpha", "good"), ("beta", "no caption")]
    shown = table.show().data
    assert shown.count("data:image/jpeg;base64") == 2
    assert "no caption" in shown
    assert "no caption  beta" in str(table)
    assert "and 1 more" in table.show(most=1).data


def test_a_broken_caption_is_a_row_and_not_the_end(ws):
    (ws.captions / "beta.json").write_text("{")
    entry = caption_table(ws, CaptionParams()).entries[1]
    assert "not valid JSON" in entry.faults[0]


def test_an_unknown_clip_and_an_empty_workspace(ws, tmp_path):
    with pytest.raises(DreamkitError, match="Did you mean alpha"):
        caption_table(ws, CaptionParams(clips=["alpa"]))
    with pytest.raises(DreamkitError, match="has no clip: no condition video and no caption"):
        caption_table(Workspace(tmp_path / "none"), CaptionParams())


def test_the_editor_checks_while_typing_and_saves(ws):
    table = caption_table(ws, CaptionParams())
    editor = caption_editor(ws, CaptionParams(), table)
    assert editor.text.value == GOOD
    assert "Nothing is wrong" in editor.faults.value
    assert "<video" in editor.aside.value and "autoplay loop muted" in editor.aside.value  # the condition moves
    editor.next.click()
    assert editor.choice.value == "beta"
    assert editor.button.disabled
    editor.text.value = "雪"
    assert "written in Chinese" in editor.faults.value
    assert not editor.button.disabled
    editor.text.value = GOOD
    editor.button.click()
    assert editor.state.value == "saved beta.txt"
    assert caption_files.read_captions(ws.captions, "beta") == {"Original": GOOD}
    editor.next.click()
    assert editor.choice.value == "alpha"
    caption_files.write_style_captions(ws.captions, "alpha", {"Original": GOOD})
    editor.button.click()
    assert "alpha.json is what 04 and 05 read" in editor.state.value
    editor.text.value = "\x07 bell"
    editor.button.click()
    assert "control characters" in editor.state.value
    assert caption_files.read_captions(ws.captions, "alpha")["Original"] == GOOD


def test_what_is_typed_and_not_saved_is_kept_as_a_draft(ws):
    table = caption_table(ws, CaptionParams())
    editor = caption_editor(ws, CaptionParams(), table)
    editor.text.value = GOOD + " A bus waits."
    assert editor.choice.options[0][0].startswith("✎ ")
    editor.next.click()
    editor.text.value = "half a sent"
    editor.choice.value = "alpha"
    assert editor.text.value == GOOD + " A bus waits."
    assert "not saved" in editor.state.value
    again = caption_editor(ws, CaptionParams(), table)  # as after a restart of the kernel
    assert again.unsaved == {"alpha": GOOD + " A bus waits.", "beta": "half a sent"}
    again._save()  # Ctrl-S
    assert caption_files.read_captions(ws.captions, "alpha")["Original"] == GOOD + " A bus waits."
    assert not again.choice.options[0][0].startswith("✎")
    again.choice.value = "beta"
    again.text.value = ""
    assert again.unsaved == {}
    again.choice.value = "alpha"
    assert not ws.cache("drafts/captions.json").exists()


def test_the_letters_typed_last_are_kept_too(ws, monkeypatch):
    monkeypatch.setattr("dreamkit.notebook.editor.KEEP_SECONDS", 0.1)
    page = caption_editor(ws, CaptionParams(), table := caption_table(ws, CaptionParams()))

    async def type_in_the_kernel() -> None:
        for end in range(1, len(" A bus waits.") + 1):
            page.text.value = GOOD + " A bus waits."[:end]
        await asyncio.sleep(0.2)

    asyncio.run(type_in_the_kernel())
    assert caption_editor(ws, CaptionParams(), table).unsaved == {"alpha": GOOD + " A bus waits."}


def test_import_from_csv_is_whole_or_nothing(ws, tmp_path):
    path = tmp_path / "captions.csv"
    path.write_text(f'Clip,Caption\nalpha,"Another, longer caption."\nbeta,"{GOOD}"\n', encoding="utf-8-sig")
    assert import_csv(ws, path) == ["beta"]
    assert caption_files.read_captions(ws.captions, "alpha")["Original"] == GOOD
    assert import_csv(ws, path, overwrite=True) == ["alpha", "beta"]
    assert caption_files.read_captions(ws.captions, "alpha")["Original"] == "Another, longer caption."
    path.write_text("clip,caption\ngamma,A street.\n,A street.\ndelta,\ngamma,Twice.\n")
    with pytest.raises(DreamkitError) as caught:
        import_csv(ws, path)
    told = str(caught.value)
    assert "line 3: the caption names no clip" in told
    assert "line 4: the caption is empty" in told
    assert "line 5: the caption is the second for gamma" in told
    assert not (ws.captions / "gamma.txt").exists()
    path.write_text("name,text\na,b\n")
    with pytest.raises(DreamkitError, match="has the columns name, text"):
        import_csv(ws, path)
    path.write_text("clip,caption\n")
    with pytest.raises(DreamkitError, match="it has no row"):
        import_csv(ws, path)


@pytest.fixture
def server():
    """A chat server; it answers `answers` in turn, then `answer`; `asked` is what it was asked."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            self.reply({"data": [{"id": "seer"}]})

        def do_POST(self):
            Handler.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            Handler.keys.append(self.headers.get("Authorization"))
            self.reply(Handler.answers.pop(0) if Handler.answers else Handler.answer)

        def reply(self, answer):
            data = json.dumps(answer).encode()
            self.send_response(Handler.status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    Handler.asked, Handler.keys, Handler.status, Handler.answers = [], [], 200, []
    Handler.answer = {"choices": [{"message": {"content": GOOD}}]}
    service = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    Handler.url = f"http://127.0.0.1:{service.server_port}/v1"
    yield Handler
    service.shutdown()
    service.server_close()


def test_drafts_from_real_videos(ws, server, tmp_path, monkeypatch):
    monkeypatch.setenv("DREAMKIT_SERVER_KEY", "secret-key")
    folder = tmp_path / "real"
    video.write_video(folder / "beta.mp4", np.zeros((9, 64, 96, 3), np.uint8), 24)
    p = CaptionParams(drafter=server.url, videos=str(folder))
    table = prepare_captions(ws, p)
    assert [entry.state for entry in table.entries] == ["good", "good"]
    (asked,) = server.asked
    assert asked["model"] == "seer"
    assert len(asked["messages"][0]["content"]) == FRAMES + 1
    assert server.keys == ["Bearer secret-key"]
    assert "secret-key" not in (ws.root / "logs/captions.log").read_text()
    prepare_captions(ws, p)
    assert len(server.asked) == 1


def test_drafts_that_cannot_be_used(ws, server, tmp_path):
    folder = tmp_path / "real"
    p = CaptionParams(drafter=server.url, videos=str(folder), clips=["beta"])
    with pytest.raises(DreamkitError, match="There is no video"):
        prepare_captions(ws, p)
    video.write_video(folder / "beta.mp4", np.zeros((9, 64, 96, 3), np.uint8), 24)
    server.answer = {"choices": [{"message": {"content": "一条街道"}}]}
    with pytest.raises(DreamkitError, match=r"1 of 1 drafts failed[\s\S]*written in Chinese"):
        prepare_captions(ws, p)
    server.answer = {"choices": []}
    with pytest.raises(DreamkitError, match="no chat completion"):
        prepare_captions(ws, p)
    server.status = 401
    with pytest.raises(DreamkitError, match="refused with HTTP status 401"):
        prepare_captions(ws, p)
    with pytest.raises(DreamkitError, match="does not answer"):
        prepare_captions(ws, p.model_copy(update={"drafter": "http://127.0.0.1:9/v1"}))
    assert "beta" not in ws.clips()


def test_a_clip_named_like_a_server_does_not_end_the_batch(ws, server, tmp_path):
    folder = tmp_path / "real"
    for clip in ("observer_1", "other"):
        video.write_video(folder / f"{clip}.mp4", np.zeros((9, 64, 96, 3), np.uint8), 24)
    p = CaptionParams(drafter=server.url, videos=str(folder))
    server.answers = [{"choices": [{"message": {"content": ""}}]}]
    with pytest.raises(DreamkitError, match=r"1 of 2 drafts failed, 1 were written[\s\S]*observer_1") as caught:
        prepare_captions(ws, p)
    assert not isinstance(caught.value, ServerUnavailable)
    assert {"observer_1", "other"} & set(ws.clips()) == {"other"} and len(server.asked) == 2


def test_a_server_that_refuses_everybody_ends_the_batch(ws, server, tmp_path):
    folder = tmp_path / "real"
    for clip in ("one", "two"):
        video.write_video(folder / f"{clip}.mp4", np.zeros((9, 64, 96, 3), np.uint8), 24)
    server.status = 401
    with pytest.raises(ServerUnavailable, match="refused with HTTP status 401"):
        prepare_captions(ws, CaptionParams(drafter=server.url, videos=str(folder), drafter_model="seer"))
    assert len(server.asked) == 1
