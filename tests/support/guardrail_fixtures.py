"""The guardrail's stand-in files, made once a session, and its face network without its library."""

import guardrail_files
import pytest


@pytest.fixture(scope="session")
def guardrail_root(tmp_path_factory):
    """A checkpoint folder with the guardrail's files alone. Tests must not change it."""
    return guardrail_files.put_all(tmp_path_factory.mktemp("guardrail"))


@pytest.fixture
def disc_network(monkeypatch):
    from dreamkit.guardrail import faces

    monkeypatch.setattr(faces, "load_face_network", lambda path: guardrail_files.DiscNetwork())
