"""What a card says of how its run was made: the settings of the manifest, and who computed it."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from analyze.card.markdown import escaped, table_of
from analyze.card.withheld import public_manifest
from schemas.manifest import Session, meanings
from schemas.store.run import Run

FIELDS = (
    *("source", "model", "revision", "architecture", "format", "dtype", "causal", "removed", "conv_mode"),
    *("system_span", "prompt_suffix", "image_preprocessing", "images", "text_scope", "answer_tokens"),
    *("question_file", "question_file_sha256", "started"),
)
OF_SESSIONS = ("device", "kernel", "batch_size", "git_commit")
CITATION = Path(__file__).parents[2] / "CITATION.cff"


def settings_section(run: Run) -> str:
    """The settings of a run and its sessions as tables, with the words of the contract."""
    manifest, text = public_manifest(run), meanings(type(run.manifest))
    rows = [("layers x heads", f"{manifest.layers} x {manifest.heads}", "of the language model")]
    rows += [(name, _shown(getattr(manifest, name)), text[name].replace("`", "")) for name in FIELDS]
    rows += [(name, value, meaning) for name, value, meaning in _computed(run)]
    parts = [table_of(("setting", "value", "meaning"), [row for row in rows if row[1]])]
    if manifest.prompts:
        wordings = [
            (name, each["template"], each.get("conv_mode") or "", each.get("system") or "")
            for name, each in manifest.prompts.items()
        ]
        header = ("wording", "template", "conversation template", "system message")
        parts.append(f"Each question was asked in several wordings.\n\n{table_of(header, wordings)}")
    return "\n\n".join(parts)


def origin(run: Run) -> str:
    """What wrote the run, with the address of its repository where it is known."""
    address = _citation("repository-code") or _citation("url")
    name = f"[headflow]({address})" if address else "headflow"
    commits = _different(session.git_commit for session in _sessions(run))
    made = f" The run was computed by commit {escaped(', '.join(commits))} of it." if commits else ""
    return f"{name} {_citation('version')} wrote this card.{made}"


def _computed(run: Run) -> Iterator[tuple[str, str, str]]:
    """Of the sessions: each different value once."""
    text, sessions = meanings(Session), _sessions(run)
    for name in OF_SESSIONS:
        yield name, ", ".join(_different(getattr(session, name) for session in sessions)), text[name]
    versions = [f"{name} {version}" for session in sessions for name, version in session.versions.items()]
    yield "versions", ", ".join(_different(versions)), text["versions"]


def _sessions(run: Run) -> list[Session]:
    return [session for ledger in run.ledgers.values() for session in ledger.sessions]


def _different(values: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(str(value) for value in values if value not in (None, "")))


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {each}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(repr, value))
    return "" if value is None else str(value)


def _citation(field: str) -> str:
    """A field of the project's citation file; empty if it has none."""
    lines = CITATION.read_text(encoding="utf-8").splitlines() if CITATION.is_file() else []
    found = [line.partition(":")[2].strip().strip('"') for line in lines if line.startswith(f"{field}:")]
    return found[0] if found else ""
