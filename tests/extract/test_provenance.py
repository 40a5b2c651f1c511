"""Oracle: a repository made here; git itself."""

import shutil
import subprocess

import pytest

from extract import provenance


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A copy of the module in a directory of its own, which `git_commit` looks at."""
    folder = tmp_path / "extract"
    folder.mkdir()
    path = shutil.copy(provenance.__file__, folder)
    monkeypatch.setattr(provenance, "__file__", str(path))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))

    def git(*command):
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        done = subprocess.run(["git", *identity, *command], cwd=folder, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    return folder, git


def test_the_commit_and_whether_files_were_changed(module):
    folder, git = module
    assert provenance.git_commit() is None
    git("init", "-q")
    assert provenance.git_commit() is None  # no commit yet
    git("add", ".")
    git("commit", "-qm", "first")
    commit = git("rev-parse", "HEAD")
    assert len(commit) == 40
    assert provenance.git_commit() == commit
    (folder / "new.txt").write_text("")
    assert provenance.git_commit() == commit
    (folder / "provenance.py").write_text("")
    assert provenance.git_commit() == f"{commit}-dirty"


def test_without_git(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert provenance.git_commit() is None


def test_versions():
    always = {"python", "torch", "transformers", "tokenizers", "pillow", "pyarrow"}
    assert provenance.versions().keys() == always
    found = provenance.versions("pytest")
    assert found.keys() == {*always, "pytest"}
    assert found["pytest"] == pytest.__version__
