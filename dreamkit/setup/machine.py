"""Checks of this machine: versions, GPU, memory, and whether optional libraries import, with the error if not."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from dreamkit.workspace.sizes import GIB

IMPORT_SECONDS = 180
_LIBRARIES = ("Transformer Engine", "transformer_engine.pytorch"), ("vLLM", "vllm")
_OTHER_CUDA = (
    "a CUDA library of the system is loaded in place of the one that torch brings; run `unset LD_LIBRARY_PATH`, or take"
    " the system's CUDA and cuDNN folders out of it"
)
_NO_PYTORCH_PART = "its PyTorch part is not installed, only the core; {build}"
# Expression found in an import error -> advice; the first that matches is taken. A C++ symbol of torch begins with the
# lengths of its namespaces' names: _ZN3c10 is c10::, _ZN2at is at::, _ZN5torch is torch::.
_FIXES = {
    r"undefined symbol: _?_?(cudnn|cublas|cusparse|cusolver|cufft|curand|nccl|nvJitLink|nvrtc)": _OTHER_CUDA,
    r"libcu(dnn|blas|sparse)\w*\.so[^:]*: version|symbol cu\w+ version": _OTHER_CUDA,
    r"undefined symbol: _ZNK?\d*(18)?transformer_engine": "its parts are of different versions; {build}",
    r"undefined symbol: nvte_": "its parts are of different versions; {build}",
    r"undefined symbol": "it was built for another torch; {build}",
    r"is already used by a Transformers config": "this vLLM is older than the transformers beside it; run `pip install"
    ' --upgrade vllm`, or to keep it `pip install "transformers<4.54"`',
    r"cannot import name '\w+' from '?transformer_engine": _NO_PYTORCH_PART,
    r"module 'transformer_engine\S*' has no attribute": _NO_PYTORCH_PART,
    r"[Cc]ould not find shared object file|No module named 'transformer_engine_torch'": _NO_PYTORCH_PART,
    r"\.h: No such file": "headers are missing; run dreamkit doctor --link-headers, then {build}",
    r"libcudnn": "cuDNN is not found; install torch from PyPI with its nvidia-cudnn package, or run `dreamkit doctor"
    " --link-headers` in a conda environment",
    r"libcuda\.so": "the NVIDIA driver is not visible here; in a container, start it with --gpus all",
    r"No module named": "{build}",
}
# What is imported to find out whether a library works, where the module alone may be empty.
_PROBES = {"transformer_engine.pytorch": "from transformer_engine.pytorch import DotProductAttention"}
_BUILD = {
    "transformer_engine.pytorch": "pip install --no-build-isolation --force-reinstall --no-deps"
    ' "transformer-engine[pytorch]"',
    "torch": 'pip install "torch>=2.7,<2.14"',
    "vllm": 'pip install "vllm" (it brings the torch it was built for)',
}


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        name: what was checked.
        state: "ok", "note" (optional, the kit works without it) or "missing".
        value: what was found.
        fix: what to do about it, or "".
    """

    name: str
    state: str
    value: str
    fix: str = ""


def python_check() -> Check:
    """Version of the Python interpreter."""
    version = platform.python_version()
    good = sys.version_info >= (3, 10)
    return Check("Python", "ok" if good else "missing", f"{version}, {sys.executable}", "" if good else "Python 3.10+")


def torch_check() -> Check:
    """Version of PyTorch and of the CUDA it was built for."""
    try:
        import torch
    except Exception as error:  # a broken installation raises many kinds; each is reported
        return Check("PyTorch", "missing", last_line(error), import_fix("torch", last_line(error)))
    return Check("PyTorch", "ok", f"{torch.__version__}, CUDA {torch.version.cuda or 'none'}")


def gpu_check() -> Check:
    """The first GPU: name, memory, compute capability, driver."""
    driver = driver_version()
    try:
        import torch

        if torch.cuda.is_available():
            props = torch.cuda.get_device_properties(0)
            number = torch.cuda.device_count()
            value = f"{number} x {props.name}, {props.total_memory / GIB:.0f} GiB, compute {props.major}.{props.minor}"
            return Check("GPU", "ok", f"{value}, driver {driver or 'unknown'}")
        built_for = torch.version.cuda
    except Exception as error:
        return Check("GPU", "missing", last_line(error), "Repair PyTorch first.")
    if not driver:
        return Check("GPU", "note", "no NVIDIA driver", "The tiny bundle runs on the CPU; the 7B models need a GPU.")
    fix = "This torch is built for the CPU; install the CUDA build: pip install --force-reinstall torch"
    if built_for:
        fix = f"This torch needs CUDA {built_for}, and that a newer driver than {driver}; change one of the two"
    return Check("GPU", "missing", f"driver {driver}, but PyTorch sees no GPU", fix)


def driver_version() -> str:
    """Version of the NVIDIA driver; "" without one."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    command = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip().splitlines()[0] if done.stdout.strip() else ""


def library_checks() -> list[Check]:
    """Whether Transformer Engine and vLLM are installed and import."""
    return [import_check(name, module) for name, module in _LIBRARIES]


def import_check(name: str, module: str) -> Check:
    """Import a module in a process of its own, because a broken one may crash the process.

    Args:
        name: the library's name, for the report.
        module: the module to import.
    """
    if importlib.util.find_spec(module.split(".")[0]) is None:
        return Check(name, "note", "not installed", f"Optional; {_BUILD.get(module, f'pip install {module}')}")
    try:
        code = _PROBES.get(module, f"import {module}")
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=IMPORT_SECONDS)
        problem = "" if done.returncode == 0 else _error_of(done.stderr, done.returncode)
    except subprocess.TimeoutExpired:
        problem = f"the import did not end within {IMPORT_SECONDS} s"
    if not problem:
        package = module.split(".")[0].replace("_", "-")
        try:
            return Check(name, "ok", metadata.version(package))
        except metadata.PackageNotFoundError:
            return Check(name, "ok", "imports")
    return Check(name, "missing", problem, import_fix(module, problem))


def import_fix(module: str, problem: str) -> str:
    """Advice for an import error.

    Args:
        module: the module that was imported.
        problem: the last line of the error.
    """
    build = f"run {_BUILD.get(module, f'pip install --force-reinstall {module}')}"
    for expression, fix in _FIXES.items():
        if re.search(expression, problem):
            return fix.format(build=build)
    return build


def _error_of(stderr: str, code: int) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return lines[-1][:300] if lines else f"the import ended with code {code}"


def last_line(error: BaseException) -> str:
    """Class name and last line of an error, at most 300 characters."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[-1] if lines else ''}"[:300]


def ffmpeg_check() -> Check:
    """Path of the ffmpeg program, which encodes the previews in notebooks."""
    found = shutil.which("ffmpeg")
    if found is None:
        try:
            import imageio_ffmpeg

            found = imageio_ffmpeg.get_ffmpeg_exe()
        except (ImportError, RuntimeError):
            return Check("ffmpeg", "note", "not found", "pip install imageio-ffmpeg")
    return Check("ffmpeg", "ok", str(found))


def memory_bytes() -> int:
    """Size of the main memory in bytes, or the container's limit."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.is_file() else "max"
    return min(total, int(text)) if text.isdigit() else total


def header_links(prefix: Path, site: Path) -> list[tuple[Path, Path]]:
    """Pairs of (header of an nvidia package, missing link in a conda environment), for building Transformer Engine.

    The packages from PyPI have CUDA's headers in folders that compilers in a conda environment do not search.
    Source: INSTALL.md of nv-tlabs/Cosmos-Drive-Dreams.
    """
    places = (prefix / "include", prefix / "include" / f"python{sys.version_info.major}.{sys.version_info.minor}")
    headers = sorted(site.glob("nvidia/*/include/*"))
    return [
        (header, place / header.name)
        for place in places
        for header in headers
        if not (place / header.name).exists() and not (place / header.name).is_symlink()
    ]


def conda_header_check() -> Check | None:
    """Whether the links of `header_links` are there; None outside conda or without the packages."""
    prefix, site = os.environ.get("CONDA_PREFIX"), Path(sysconfig.get_paths()["purelib"])
    if not prefix or not list(site.glob("nvidia/*/include")):
        return None
    lacking = header_links(Path(prefix), site)
    if not lacking:
        return Check("CUDA headers", "ok", f"linked into {prefix}/include")
    fix = "Needed only to build Transformer Engine: dreamkit doctor --link-headers"
    return Check("CUDA headers", "note", f"{len(lacking)} are not linked into {prefix}/include", fix)


def link_headers() -> int:
    """Make the links of `header_links` without replacing a file; returns their number."""
    prefix = os.environ.get("CONDA_PREFIX")
    links = header_links(Path(prefix), Path(sysconfig.get_paths()["purelib"])) if prefix else []
    for header, link in links:
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(header)
    return len(links)
