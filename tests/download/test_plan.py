"""What a plan says before anything is fetched: what the data set lacks, causes told once, each disk measured."""

import pytest
from hub_fixtures import CLIP, SINGLE, T5, TOKENIZER

from dreamkit.download import catalogue, rds_listing, web
from dreamkit.download import hub as hub_module
from dreamkit.download import run as download_run
from dreamkit.download.checksums import checksum_memory
from dreamkit.download.hub import Remote
from dreamkit.download.params import DownloadParams
from dreamkit.download.plan import DownloadPlan, Item
from dreamkit.errors import DreamkitError

ARCHIVES = [*(f"single_view/generation.tar.gz.part-{n:03d}" for n in range(3)), "single_view/hdmap.tar.gz"]


@pytest.fixture
def at(hub, monkeypatch, tmp_path):
    """Sets the hub in use to a URL, the stand-in's at first; and runs in an empty folder."""
    from huggingface_hub import constants

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "none"))
    monkeypatch.setattr(web.time, "sleep", lambda _: None)

    def use(url):
        monkeypatch.setattr(constants, "ENDPOINT", url)

    use(hub.url)
    return use


def data_plan(**values):
    return download_run.plan(DownloadParams(models=[], clips=[CLIP], **values))


def test_videos_in_split_archives_are_told(hub, at):
    files = hub.repositories[catalogue.RDS_HQ]
    del files[f"cosmos_synthetic/single_view/{CLIP}_0_Rainy.mp4"]
    files |= {f"cosmos_synthetic/{name}": b"x" * 5000 for name in ARCHIVES}
    with pytest.raises(DreamkitError, match=r"in 4 archives of all clips \(20.0 kB, in cosmos_synthetic/") as told:
        data_plan(data=["hdmap", "synthetic"])
    assert "Leave synthetic out of data" in told.value.hint and "hf download" in told.value.hint
    assert len(data_plan(data=["hdmap"]).to_fetch) == len(catalogue.RDS_FOLDERS["hdmap"])


def test_what_was_asked_for_and_is_not_there_is_told(hub, at):
    files = hub.repositories[catalogue.RDS_HQ]
    for name in (f"lidar_raw/{CLIP}.tar", f"cosmos_synthetic/single_view/{CLIP}_0_Rainy.mp4"):
        del files[name]
    told = str(data_plan(data=["lidar", "synthetic"]))
    assert f"not in the data set: lidar_raw of 1 of 1 clips ({CLIP})" in told
    assert f"not in the data set: cosmos_synthetic of 1 of 1 clips ({CLIP})" in told
    assert "lidar_raw" in data_plan(data=["lidar"])._repr_html_()
    assert "not in the data set" not in str(data_plan(data=["hdmap"]))
    many = [f"c{n}" for n in range(9)]
    lines = rds_listing.lacking_files(["pose/c0.tar"], many, ["hdmap"])
    assert "not in the data set: pose of 8 of 9 clips (c1, c2, c3, ...)" in lines


def test_a_cause_that_all_share_is_told_once_and_fits_the_endpoint(at, monkeypatch):
    at("http://127.0.0.1:9")
    todo = download_run.plan(DownloadParams(models=["single_view"]))
    (line,) = todo.refusals()
    assert line.startswith("no answer: ") and line.count("the connection failed") == 1
    assert all(name in line for name in (SINGLE, TOKENIZER, T5))
    assert "unset HF_ENDPOINT, or set HF_ENDPOINT to a mirror that answers" in line
    with pytest.raises(DreamkitError, match="3 of the 3 repositories are not accessible"):
        download_run._fetch(todo, 1)
    monkeypatch.setattr(hub_module, "official", hub_module.endpoint)
    (line,) = todo.refusals()
    assert "where http://127.0.0.1:9 cannot be reached, set HF_ENDPOINT to a mirror" in line


def test_a_mirror_without_a_repository_is_told(hub, at):
    del hub.repositories[T5]
    (line,) = download_run.plan(DownloadParams(models=["single_view"])).refusals()
    assert "the mirror in HF_ENDPOINT does not have it" in line


def test_failed_files_are_told_by_cause(monkeypatch, tmp_path):
    repository = catalogue.repositories(["single_view"], ["hdmap"], True)[0]
    items = [Item(repository, f"{n}.pt", tmp_path / "a" / f"{n}.pt", None, "to fetch") for n in range(5)]
    failed = [(item, "a web page came") for item in items[:4]] + [(items[4], "no room")]
    monkeypatch.setattr(download_run, "fetch_all", lambda *_: ([], failed))
    with pytest.raises(DreamkitError) as caught:
        download_run._fetch(DownloadPlan(tmp_path, (), tuple(items), checksum_memory(tmp_path)), 1)
    assert f"{SINGLE}/0.pt, {SINGLE}/1.pt, {SINGLE}/2.pt and 1 more: a web page came." in caught.value.message
    assert f"{SINGLE}/4.pt: no room." in caught.value.message


def test_the_disk_that_files_go_to_is_measured(monkeypatch, tmp_path):
    data, models = tmp_path / "data", tmp_path / "models"
    of_data = catalogue.Repository(catalogue.RDS_HQ, (), ("**",), catalogue.ON_PAGE, "dataset")
    of_models = catalogue.repositories(["single_view"], ["hdmap"], True)[0]
    items = (
        Item(of_data, "pose/a.tar", data / "rds_hq/pose/a.tar", Remote(500, None), "to fetch"),
        Item(of_models, "a.pt", models / of_models.name / "a.pt", Remote(900, None), "to fetch"),
    )
    todo = DownloadPlan(models, (), items, checksum_memory(tmp_path))
    room = {data: 499, models: 10**6}
    monkeypatch.setattr(download_run, "free_bytes", room.get)
    monkeypatch.setattr(download_run, "disk_of", lambda path: int(path.is_relative_to(data)))
    with pytest.raises(DreamkitError, match=f"The disk of {data}.* has 499 bytes free; 500 bytes are") as caught:
        download_run._refuse_small_disk(todo)
    assert "Set datasets to" in caught.value.hint
    room[data], room[models] = 10**6, 899
    with pytest.raises(DreamkitError, match=f"The disk of {models}") as caught:
        download_run._refuse_small_disk(todo)
    assert "Set checkpoints to" in caught.value.hint
    monkeypatch.setattr(download_run, "disk_of", lambda path: 1)
    room[data] = room[models] = 1399  # both on one disk
    with pytest.raises(DreamkitError, match=r"1\.4 kB are to be fetched"):
        download_run._refuse_small_disk(todo)
