"""The command `dreamkit download` as a process of its own, against a local hub."""

import hashlib
import json

import pytest
from hub_fixtures import BLOCK, CLIP, LARGE, SINGLE, T5, TOKENIZER, made_up

from dreamkit.download import catalogue
from dreamkit.download import run as download_run
from dreamkit.download.checksums import RECORD, check_file, checksum_memory
from dreamkit.download.hub import Remote
from dreamkit.download.params import DownloadParams
from dreamkit.download.plan import DownloadPlan, Item, read_clips
from dreamkit.download.progress import amount
from dreamkit.errors import DreamkitError
from dreamkit.transfer import folders


def fetched(tmp_path):
    root = tmp_path / "checkpoints"
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and "/." not in str(path))


WANTED = sorted(
    [f"{SINGLE}/base_model.pt", f"{SINGLE}/hdmap_control.pt"]
    + [f"{TOKENIZER}/{file}" for file in folders.TOKENIZER_FILES]
    + [f"{T5}/{file}" for file in ("config.json", "pytorch_model.bin", "spiece.model", "tokenizer.json")]
)


def test_it_fetches_what_is_needed_and_no_more_and_then_nothing(dreamkit, hub, tmp_path):
    hub.repositories[SINGLE]["base_model.pt"] = made_up("large", LARGE)
    hub.faults[SINGLE, "base_model.pt"] = ["drop"]
    hub.faults[SINGLE, "hdmap_control.pt"] = ["truncate"]
    hub.faults[TOKENIZER, "encoder.jit"] = ["corrupt"]
    code, out, err = dreamkit("download", "single_view")
    assert code == 0, err
    assert fetched(tmp_path) == WANTED
    assert "NVIDIA Open Model License" in out
    assert f"{len(WANTED)} files fetched and checked (25.5 MB), 0 were there" in out
    # The first request was cut off; the second continued after the last whole block.
    assert [span for _, span in hub.gets("base_model.pt")] == [None, f"bytes={BLOCK}-"]
    assert "encoder.jit: has the sha256" in out
    assert "once more" in out
    for name in WANTED:
        repository, file = "/".join(name.split("/")[:2]), name.split("/")[2]
        assert (tmp_path / "checkpoints" / name).read_bytes() == hub.repositories[repository][file]
    assert not list((tmp_path / "checkpoints").rglob("*.incomplete"))
    # NVIDIA's scripts give another MD5 for this name; the output says so.
    before = len(hub.log)
    code, out, _ = dreamkit("download", "single_view")
    assert code == 0
    assert "0 files fetched and checked (0 bytes), 9 were there" in out
    assert "base_model.pt the hub's file now, but not the one whose MD5 NVIDIA's scripts give" in out
    assert not [path for method, path, _ in hub.log[before:] if "resolve" in path]


def test_an_interrupted_download_stops_at_once_and_goes_on_later(dreamkit, hub, tmp_path):
    hub.repositories[SINGLE]["base_model.pt"] = made_up("large", LARGE)
    hub.faults[SINGLE, "base_model.pt"] = ["stall"]

    def first_block_on_disk():
        # The hub stops after half of the file, so only the first block is written.
        return any(path.stat().st_size >= BLOCK for path in tmp_path.rglob("base_model.pt.*.incomplete"))

    stopped = dreamkit("download", "single_view", interrupt=first_block_on_disk)
    assert stopped[0] != 0
    assert f"{SINGLE}/base_model.pt" not in fetched(tmp_path)
    code, _, err = dreamkit("download", "single_view")
    assert code == 0, err
    assert [span for _, span in hub.gets("base_model.pt")] == [None, f"bytes={BLOCK}-"]
    assert fetched(tmp_path) == WANTED


def test_a_file_that_stays_wrong_ends_in_a_list_and_never_gets_its_name(dreamkit, hub, tmp_path):
    hub.faults[TOKENIZER, "encoder.jit"] = ["corrupt"] * 9
    hub.faults[SINGLE, "base_model.pt"] = ["refuse"] * 9
    old = tmp_path / "checkpoints" / TOKENIZER / "encoder.jit"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"old and wrong")
    code, out, err = dreamkit("download", "single_view")
    assert code == 1
    assert "2 of 9 files could not be fetched:" in err
    assert f"{TOKENIZER}/encoder.jit: has the sha256" in err
    assert f"{SINGLE}/base_model.pt: the hub refuses it to this user" in err
    assert "Run the same again" in err
    assert f"wrong: {TOKENIZER}/encoder.jit has 13 bytes instead of 40,000" in out
    assert old.read_bytes() == b"old and wrong"
    assert f"{SINGLE}/base_model.pt" not in fetched(tmp_path)
    hub.faults.clear()
    code, out, _ = dreamkit("download", "single_view")
    assert code == 0
    assert "2 files fetched and checked" in out
    assert old.read_bytes() == hub.repositories[TOKENIZER]["encoder.jit"]


def test_licences_are_looked_at_before_the_first_byte(dreamkit, hub, tmp_path):
    hub.gated = {SINGLE, TOKENIZER}
    code, out, err = dreamkit("download", "single_view")
    assert code == 1
    assert f"token lacking: {hub.url}/{SINGLE} - make a token" in err
    assert f"token lacking: {hub.url}/{TOKENIZER}" in err
    assert "open to all" in out
    code, _, err = dreamkit("download", "single_view", HF_TOKEN="hf_known")
    assert code == 1
    assert f"licence to accept: {hub.url}/{SINGLE} - accept the licence on its page" in err
    assert fetched(tmp_path) == []
    assert not [path for method, path, _ in hub.log if "resolve" in path]
    hub.accepted = {"hf_known"}
    code, out, err = dreamkit("download", "single_view", HF_TOKEN="hf_known")
    assert code == 0, err
    assert "licence accepted" in out
    assert "hf_known" not in out + err + (tmp_path / "outputs/logs/download.log").read_text()
    assert "hf_known" not in (tmp_path / "checkpoints/.dreamkit-verified.json").read_text()


def test_the_list_fetches_nothing(dreamkit, hub, tmp_path):
    code, out, _ = dreamkit("download", "single_view", "--list")
    assert code == 0
    assert "2 files, 80.0 kB" in out
    assert fetched(tmp_path) == []


def test_what_other_programs_have_is_taken(dreamkit, hub, tmp_path):
    theirs = tmp_path / "cosmos-transfer1/checkpoints" / SINGLE / "base_model.pt"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(hub.repositories[SINGLE]["base_model.pt"])
    cache = tmp_path / "home/hub" / ("models--" + TOKENIZER.replace("/", "--"))
    snapshot = cache / "snapshots" / ("0" * 39 + "1")
    snapshot.mkdir(parents=True)
    (cache / "refs").mkdir()
    (cache / "refs/main").write_text("0" * 39 + "1")
    (snapshot / "decoder.jit").write_bytes(hub.repositories[TOKENIZER]["decoder.jit"])
    (snapshot / "encoder.jit").write_bytes(b"another")
    code, out, err = dreamkit("download", "single_view")
    assert code == 0, err
    assert fetched(tmp_path) == WANTED
    assert f"taken from {theirs}" in out
    assert "7 files fetched" in out
    assert not hub.gets("base_model.pt")
    assert not hub.gets("decoder.jit")
    assert theirs.is_file()


def test_without_a_network(dreamkit, tmp_path):
    code, out, err = dreamkit("download", "single_view", HF_ENDPOINT="http://127.0.0.1:9")
    assert code == 1
    assert "no answer" in out
    assert "set HF_ENDPOINT to a mirror" in err
    assert not (tmp_path / "checkpoints").exists()
    code, out, err = dreamkit("download", "single_view", HF_HUB_OFFLINE="1")
    assert code == 1
    assert "unset HF_HUB_OFFLINE to fetch" in err


def test_a_misspelt_use_is_told_before_anything(dreamkit, hub):
    code, _, err = dreamkit("download", "single_vew")
    assert code == 1
    assert "did you mean 'single_view'" in err
    code, _, err = dreamkit("download", "-p", "hf_token=hf_secret")
    assert code == 1
    assert "hf_token (command line): not a parameter" in err
    assert "hf_secret" not in err
    assert hub.log == []


def test_clips_of_the_data_set(dreamkit, hub, tmp_path):
    (tmp_path / "clips.txt").write_text(f"{CLIP}\n")
    pairs = ("-p", "models=[]", "-p", "data=[hdmap, synthetic]")
    code, _, err = dreamkit("download", *pairs, "-p", "clips=[clips.txt]")
    assert code == 0, err
    made = sorted(str(p.relative_to(tmp_path)) for p in (tmp_path / "datasets").rglob("*") if p.is_file())
    assert len(made) == len(catalogue.RDS_FOLDERS["hdmap"]) + 1
    assert f"datasets/rds_hq/pose/{CLIP}.tar" in made
    assert f"datasets/rds_hq/cosmos_synthetic/single_view/{CLIP}_0_Rainy.mp4" in made
    code, _, err = dreamkit("download", *pairs, "-p", "clips=[2d23a1f4_100_201]")
    assert code == 1
    assert f"The nearest is {CLIP}" in err
    code, _, err = dreamkit("download", *pairs)
    assert code == 1
    assert "about 3 TB; say which clips you want" in err


def test_a_small_disk_is_said_before_the_first_byte(tmp_path, monkeypatch):
    repository = catalogue.repositories(["single_view"], ["hdmap"], True)[0]
    item = Item(repository, "base_model.pt", tmp_path / "a/b/base_model.pt", Remote(10**15, None), "to fetch")
    todo = DownloadPlan(tmp_path / "a", (), (item,), checksum_memory(tmp_path))
    with pytest.raises(DreamkitError, match=r"1000000\.0 GB are to be fetched"):
        download_run._fetch(todo, 1)
    assert list(tmp_path.iterdir()) == []


def test_the_tiny_bundle_needs_no_download(tmp_path, monkeypatch):
    monkeypatch.setenv("DREAMKIT_CACHE", str(tmp_path))
    todo = download_run.plan(DownloadParams(checkpoints="tiny"))
    assert "nothing to download" in str(todo)
    assert "nothing to download" in todo._repr_html_()


def test_clip_lists(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.json").write_text(json.dumps(["x", "y"]))
    assert read_clips(["x", "a.json", "z"]) == ["x", "y", "z"]
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(DreamkitError, match="not valid JSON"):
        read_clips(["a.json"])
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(DreamkitError, match="no list of names"):
        read_clips(["a.json"])


def test_offline_the_published_md5_decides(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    memory = checksum_memory(tmp_path)
    assert not check_file(memory, path, None, "900150983cd24fb0d6963f7d28e17f72").problem
    assert "NVIDIA's scripts say 0000" in check_file(memory, path, None, "0000").problem
    assert check_file(memory, path, None, None).note == "not checked"
    git = "git-sha1:f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f"
    assert not check_file(memory, path, Remote(3, git), None).problem


def test_a_checked_file_is_not_read_twice(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    read = []
    remote = Remote(3, "sha256:" + hashlib.sha256(b"abc").hexdigest())
    memory = checksum_memory(tmp_path)
    assert not check_file(memory, path, remote, None, read.append).problem
    memory.save()
    assert not check_file(checksum_memory(tmp_path), path, remote, None, read.append).problem
    assert read == [3]
    check_file(checksum_memory(tmp_path, again=True), path, remote, None, read.append)
    path.write_bytes(b"abd")
    assert "sha256" in check_file(checksum_memory(tmp_path), path, remote, None, read.append).problem
    assert read == [3, 3, 3]


def test_checksums_in_the_form_of_earlier_versions_count(tmp_path):
    path, read = tmp_path / "file", []
    path.write_bytes(b"abc")
    stamp = [path.stat().st_size, path.stat().st_mtime_ns]
    digest = hashlib.sha256(b"abc").hexdigest()
    entry = {"stamp": stamp, "sums": {"md5": "0" * 32, "sha256": digest}}
    (tmp_path / RECORD).write_text(json.dumps({str(path): entry}))
    assert not check_file(checksum_memory(tmp_path), path, Remote(3, f"sha256:{digest}"), None, read.append).problem
    assert not read


def test_every_repository_is_wanted_once_and_autoencoder_never():
    both = catalogue.repositories(["single_view", "multi_view", "styles"], ["hdmap", "lidar"], True)
    names = [repository.name for repository in both]
    assert len(names) == len(set(names)) == 5
    multi = next(r for r in both if r.name == folders.MULTI_VIEW)
    assert len(multi.needed) == 6
    assert all(multi.md5(file) for file in multi.needed)
    tokenizer = next(r for r in both if r.name == TOKENIZER)
    assert tokenizer.choose(["autoencoder.jit", "encoder.jit", "README.md"]) == ["encoder.jit"]
    assert amount(0) == "0 bytes"


def test_guardrail_files_can_be_had_and_what_they_are_for_is_said(dreamkit, hub, tmp_path):
    words = [f"blocklist/{name}/words" for name in ("custom", "exact_match", "whitelist", "nltk_data/corpora")]
    encoder = "video_content_safety_filter/models--google--siglip-so400m-patch14-384/snapshots/1/config.json"
    filters = ["face_blur_filter/Resnet50_Final.pth", "video_content_safety_filter/safety_filter.pt"]
    own, llama = catalogue.repositories(["guardrail"], ["hdmap"], True)
    assert own.choose([*words, encoder, *filters, "aegis/adapter.bin"]) == sorted([*words, encoder, *filters])
    assert own.missing([*words, encoder]) == filters
    assert all(own.md5(file) for file in filters)
    assert len([file for file in llama.needed if llama.md5(file)]) == 4
    assert llama.choose(["original/consolidated.00.pth", "config.json"]) == ["config.json"]

    for one, files in ((own, [*words, encoder, *filters]), (llama, llama.needed)):
        hub.repositories[one.name] = {file: made_up(one.name + file, 4000) for file in files}
    hub.gated = {own.name, llama.name}
    code, out, err = dreamkit("download", "guardrail", "--list", HF_TOKEN="hf_known")
    assert code == 0, err
    assert "Meta Llama Community License" in out and "NVIDIA Open Model License" in out
    assert out.count("licence to accept") == 2
    assert "with `guardrail: full` in notebooks 04 and 05" in out


def test_the_notebook_fetches_the_same_and_keeps_no_token(dreamkit, hub, tmp_path):
    hub.gated, hub.accepted = {SINGLE}, {"hf_known"}
    pairs = ("-p", "models=[single_view]", "-p", "again=true")
    code, out, err = dreamkit("run", "01_download", *pairs, HF_TOKEN="hf_known")
    assert code == 0, err
    assert fetched(tmp_path) == WANTED
    copy = tmp_path / "outputs/notebooks/01_download.executed.ipynb"
    assert "licence accepted" in copy.read_text()
    for path in (tmp_path / "outputs").rglob("*.*"):
        assert "hf_known" not in path.read_text()
    hub.accepted.clear()
    (tmp_path / "checkpoints" / SINGLE / "base_model.pt").unlink()
    code, _, err = dreamkit("run", "01_download", *pairs, HF_TOKEN="hf_known")
    assert code == 1
    assert "licence to accept" in err
    assert "hf_known" not in out + err + copy.read_text()


@pytest.mark.parametrize(
    "name", ["../../../../evil", "/evil", "a/../../evil", "C:/evil", "..", "a//b", "a\\evil", "a\x00b"]
)
def test_a_name_that_leads_out_of_the_folder_is_refused_whoever_lists_it(dreamkit, hub, tmp_path, name):
    hub.repositories[T5][name] = b"evil"
    before = sorted(path for path in tmp_path.parent.rglob("*evil*"))
    code, out, err = dreamkit("download", "single_view")
    assert code == 1 and "leads out of its folder" in err and "Traceback" not in err + out
    assert sorted(path for path in tmp_path.parent.rglob("*evil*")) == before
    assert not fetched(tmp_path)


def test_a_pattern_of_the_catalogue_does_not_match_slashes():
    styles = catalogue.repositories(["styles"], [], False)[0]
    assert styles.choose(["a.safetensors", "deep/b.safetensors", "../c.safetensors"]) == ["a.safetensors"]
    assert catalogue.matches("blocklist/nltk_data/a/b.txt", "blocklist/nltk_data/**")
    assert not catalogue.matches("blocklist/nltk_data", "blocklist/nltk_data/**")
    assert catalogue.matches("pose/a.tar", "**")


@pytest.mark.parametrize(
    ("endpoint", "kept"),
    [
        ("http://mirror.example", True),
        ("http://10.0.0.7:8080", True),
        ("https://mirror.example", False),
        ("http://127.0.0.1:1", False),
        ("http://localhost:1", False),
        ("http://127.0.0.1.evil.example", True),
    ],
)
def test_a_token_is_not_sent_in_plain_text(monkeypatch, caplog, endpoint, kept):
    from huggingface_hub import constants

    from dreamkit.download import hub as hub_module

    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert hub_module.has_token() is not kept
    hub_module.look_up_all([], [], [])
    assert ("not sent to" in caplog.text) is kept
    assert "hf_secret" not in caplog.text


def test_an_incomplete_file_that_is_a_link_is_not_written_through(dreamkit, hub, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "checkpoints" / "google-t5").mkdir(parents=True)
    (tmp_path / "checkpoints" / "google-t5" / ".incoming").symlink_to(outside)
    code, _, err = dreamkit("download", "single_view")
    assert code == 1 and "is a link to" in err
    assert not list(outside.iterdir())


def test_a_cause_is_told_once_not_for_each_file(dreamkit, hub):
    for name in (SINGLE, TOKENIZER, T5):
        for file in hub.repositories[name]:
            hub.faults[name, file] = ["refuse"] * 9
    code, out, err = dreamkit("download", "single_view")
    assert code == 1
    assert (out + err).count("the hub refuses it to this user") == 2  # when it is seen first, and at the end
    assert "and 6 more: the hub refuses it to this user" in err
