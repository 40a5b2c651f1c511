"""`export-pt`, `import-pt`: the records of the earlier tool."""

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated

from analyze.commands.shared_settings import (
    FolderSettings,
    PromptSettings,
    RunSettings,
)
from analyze.opening import opened, output_folder
from analyze.results import Result
from schemas.commands.settings import Flag, OneOf, Settings
from schemas.files.locations import Location
from schemas.manifest import TEXT_SCOPES
from schemas.text import counted

RECORDS = "mme_attention_head_records.pt"


@dataclass(frozen=True)
class ExportSettings(FolderSettings, PromptSettings, RunSettings):
    """Settings of `export-pt`."""

    _: KW_ONLY
    text_scope: Annotated[
        str | None,
        "what t2v and v2t count as text (default: no-system, as in the earlier tool, or what an imported run has)",
        OneOf(TEXT_SCOPES),
    ] = None


@dataclass(frozen=True)
class ImportSettings(Settings):
    """Settings of `import-pt`."""

    file: Annotated[Path, "the .pt"]
    output_dir: Annotated[Location, "directory of the run to write", Flag(metavar="RUN")]
    _: KW_ONLY
    text_scope: Annotated[
        str | None,
        "what the records count as text (default: what they say, else no-system, as the earlier tool did)",
        OneOf(TEXT_SCOPES),
    ] = None
    overwrite: Annotated[bool, "replace the run in RUN"] = False


def export_pt(settings: ExportSettings) -> Result:
    """`export-pt`: the records of the earlier tool."""
    from analyze.legacy import EARLIER, export_records, export_scope

    heads = opened(settings.run, settings.prompt)
    scope = export_scope(heads, settings.text_scope)
    folder = output_folder(settings.output_dir, heads)
    folder.mkdir(parents=True, exist_ok=True)
    number = export_records(heads, scope, folder / RECORDS)
    about = [f"{counted(number, 'record')} in {folder / RECORDS}, text scope {scope.name}"]
    if scope.name != EARLIER:
        about.append(f"the earlier tool counted {EARLIER}: each record says that its text scope is {scope.name}")
    elif scope.converts and heads.run.manifest.system_span != "original":
        about.append(
            "only a run that was extracted with --system-span original equals that tool's records to the last digit"
        )
    return Result(about=about)


def import_pt(settings: ImportSettings) -> Result:
    """`import-pt`: a run from such records."""
    from analyze.legacy import import_records

    run = import_records(
        settings.file, settings.output_dir, text_scope=settings.text_scope, overwrite=settings.overwrite
    )
    samples, rows = (sum(part.rows[table] for part in run.parts) for table in ("samples", "heads"))
    manifest = run.manifest
    size = f"{counted(samples, 'sample')} x {manifest.layers} x {manifest.heads} = {rows} rows"
    return Result(about=[f"{size} in {settings.output_dir}, text scope {manifest.text_scope}"])
