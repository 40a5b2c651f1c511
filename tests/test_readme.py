"""The README is true: it has the contract's tables and every flag, and its queries run."""

import re
import tomllib
from pathlib import Path

import pandas as pd
import pytest
import transformers

from analyze.__main__ import main as analyze
from analyze.commands import COMMANDS
from analyze.commands.legacy import RECORDS
from analyze.published.verify import TOLERANCES
from extract.images.tiling import resampled
from extract.knockouts.settings import KnockOut
from extract.look.settings import LookSettings
from extract.models.families import FAMILIES
from extract.settings import Extract
from extract.survey.settings import LANGUAGES
from extract.survey.table import table
from schemas.commands.command_line import flag_of
from schemas.commands.settings import settings_of
from schemas.contract import contract
from tests.support.runs import write_run
from tests.support.tiny_families import OF_TABLE

ROOT = Path(__file__).parents[1]
READMES = ("README.md", "README.zh.md")
PLACES = (*READMES, "schemas", "extract", "analyze", "data")


@pytest.mark.parametrize("readme", READMES)
@pytest.mark.parametrize("settings", [Extract, KnockOut, LookSettings])
def test_every_setting_is_in(readme, settings):
    text = (ROOT / "extract" / readme).read_text(encoding="utf-8")
    named = [flag_of(each) for each in settings_of(settings) if each.keyword]
    assert len(named) > 10
    assert [flag for flag in named if f"`{flag}`" not in text] == []


@pytest.mark.parametrize("readme", READMES)
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_analyze_is_in(readme, name):
    text = (ROOT / "analyze" / readme).read_text(encoding="utf-8")
    settings = COMMANDS[name].settings
    flags = [flag_of(each) for each in settings_of(settings) if each.keyword]
    assert f"analyze {name} " in text
    assert [flag for flag in flags if not re.search(rf"`{flag}\b", text)] == []


@pytest.mark.parametrize("readme", READMES)
def test_defaults_of_extract_are_right(readme):
    found = [each for kind in (LookSettings, KnockOut, Extract) for each in settings_of(kind)]
    defaults = {flag_of(each): each.default for each in found if each.keyword}
    text = (ROOT / "extract" / readme).read_text(encoding="utf-8")
    compared = 0
    for names, values in re.findall(r"^\| (`--[^|]*) \| ([^|]*) \|", text, re.MULTILINE):
        said = re.findall(r"`([^`]*)`", values)
        for name, value in zip(re.findall(r"`([^`]*)`", names), said, strict=False):
            if len(said) > 1 or (isinstance(defaults[name], str | int | Path) and defaults[name] is not False):
                assert str(defaults[name]) == value, name
                compared += 1
    assert compared >= 10


@pytest.mark.skipif(
    tuple(map(int, transformers.__version__.split(".")[:2])) < (5, 23),
    reason="which processors need torchvision is as in the version that is pinned",
)
@pytest.mark.parametrize(("readme", "language"), [*zip(READMES, LANGUAGES, strict=True)])
def test_the_table_of_families_is_in(readme, language):
    """As `python -m extract families --markdown LANGUAGE` prints it; other tests leave the order of rows changed."""
    rows = table(language).splitlines()
    text = (ROOT / "extract" / readme).read_text(encoding="utf-8")
    begin = text.index(rows[0])
    assert sorted(text[begin : text.index("\n\n", begin)].splitlines()) == sorted(rows)


def test_the_table_has_what_each_family_is():
    rows = table("en").splitlines()
    lacking = {name: recipe.lacks for name, recipe in OF_TABLE.items()}
    for model_type, family in FAMILIES.items():
        (row,) = [row for row in rows if f"| `{model_type}` |" in row]
        assert row.startswith(f"| {family.name} |")
        assert f"| `{family.template}`" in row
        assert ("| packed |" in row) == family.packs
        assert ("| fused kernel" in row) == family.causal
        assert (", in some layers |" in row) == family.hybrid
        assert ("| several |" in row) == family.several
        lacks = {what for name in (model_type, f"{model_type}_small") for what in lacking.get(name, ())}
        assert ("| no |" in row) == ("maps" in lacks or family.pictures is resampled)
        assert (family.contributions == "yes") == ("contributions" not in lacks)
        assert ("| its processor's |" in row) == (family.pictures is None and not family.square)
    cells = [cell for row in table("zh").splitlines()[1:] for cell in re.findall(r"\| ([a-z ]{9,}) (?=\|)", row)]
    assert {*cells} <= {"torchvision"}  # a name


@pytest.mark.parametrize("title", contract())
def test_the_contract_is_in(title):
    assert contract()[title] in (ROOT / "schemas" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("title", contract())
def test_every_name_of_the_contract_is_in_chinese(title):
    text = (ROOT / "schemas" / "README.zh.md").read_text(encoding="utf-8")
    names = re.findall(r"^\| `(\w+)`", contract()[title], re.MULTILINE)
    assert names
    assert [name for name in names if f"| `{name}` |" not in text] == []


def test_the_citation_is_of_this_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def blocks(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def cookbook(readme: str) -> list[str]:
    return blocks((ROOT / "analyze" / readme).read_text(encoding="utf-8"))


def run_queries(queries: list[str], run: Path, folder: Path, monkeypatch) -> int:
    """Run the blocks of a cookbook on a run; returns how many had an answer."""
    (folder / "runs").mkdir()
    (folder / "runs" / "demo").symlink_to(run)
    monkeypatch.chdir(folder)
    opening, *queries = queries
    names: dict = {}
    exec(opening, names)
    for query in queries:
        *statements, last = query.strip().splitlines()
        exec("\n".join(statements), names)
        answer = eval(last, names)
        assert isinstance(answer, pd.DataFrame | pd.Series)
        assert len(answer) or "skipped" in query
        if len(answer):
            assert pd.DataFrame(answer).notna().any(axis=None)
    return len(queries)


def test_the_queries_run(extracted, tmp_path, monkeypatch):
    assert run_queries(cookbook("README.md"), extracted, tmp_path, monkeypatch) >= 8


def test_the_queries_for_any_run_also_run_on_an_imported_one(tmp_path, monkeypatch):
    run = write_run(tmp_path / "run", layers=3, heads=6)
    assert analyze(["export-pt", str(run)]) == 0
    assert analyze(["import-pt", str(run / RECORDS), str(tmp_path / "imported")]) == 0
    text = (ROOT / "analyze" / "README.md").read_text(encoding="utf-8").partition("### A run of extract")[0]
    assert run_queries(blocks(text), tmp_path / "imported", tmp_path, monkeypatch) >= 3


def test_both_languages_ask_the_same():
    assert cookbook("README.md") == cookbook("README.zh.md")


@pytest.mark.parametrize("readme", READMES)
def test_the_tolerances_are_in(readme):
    text = (ROOT / "analyze" / readme).read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| [^|`]+ \| (0\.\d+) \|$", text, re.MULTILINE)) == sorted(
        {str(tolerance) for tolerance in TOLERANCES.values()}
    )


def test_its_files_exist():
    """Those that any README links to, relative to it; an anchor is a heading of the page."""
    pages = [
        page
        for page in ROOT.rglob("README*.md")
        if page.relative_to(ROOT).parts[0] in PLACES and "node_modules" not in page.parts
    ]
    assert len(pages) >= 8
    for page in pages:
        for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            name, _, anchor = link.partition("#")
            target = page.parent / name if name else page
            assert target.is_file(), (page, link)
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE) if anchor else []
            assert not anchor or anchor in [heading.lower().replace(" ", "-") for heading in headings], (page, link)


@pytest.mark.parametrize("readme", READMES)
def test_the_front_page_fits_on_two_screens(readme):
    assert len((ROOT / readme).read_text(encoding="utf-8").splitlines()) <= 90
