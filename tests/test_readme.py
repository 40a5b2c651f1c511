"""The guide is true: each command has its page, links lead somewhere, and its queries run."""

import os
import re
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from analyze.__main__ import main as analyze
from analyze.commands import COMMANDS
from analyze.commands.legacy import RECORDS
from analyze.published.verify import TOLERANCES
from extract.images.tiling import resampled
from extract.models.families import FAMILIES
from extract.survey.table import table
from schemas.contract import markdown
from tests.support.prunable import World, measure, singles, write_world
from tests.support.runs import write_run
from tests.support.tiny_families import OF_TABLE

ROOT = Path(__file__).parents[1]
READMES = ("README.md", "README.zh.md")
ENDINGS = (".md", ".zh.md")
PLACES = ("schemas", "extract", "analyze", "data")
GUIDE = ROOT / "analyze" / "guide"


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_analyze_has_its_page(ending, name):
    """The index has a row for the question that it answers, with a link to a page that names it."""
    index = (ROOT / "analyze" / f"README{ending}").read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| .*`headflow {name} .*\|$", index, re.MULTILINE)
    (page,) = re.findall(r"\((guide/[^)]*)\)", row)
    assert f"headflow {name} " in (ROOT / "analyze" / page).read_text(encoding="utf-8")


def test_the_table_has_what_each_family_is():
    rows = markdown(*table()).splitlines()
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


def test_the_citation_is_of_this_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def blocks(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def cookbook(page: str) -> list[str]:
    return blocks((GUIDE / page).read_text(encoding="utf-8"))


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
    assert run_queries(cookbook("pandas.md"), extracted, tmp_path, monkeypatch) >= 8


def test_the_queries_for_any_run_also_run_on_an_imported_one(tmp_path, monkeypatch):
    run = write_run(tmp_path / "run", layers=3, heads=6)
    assert analyze(["export-pt", str(run)]) == 0
    assert analyze(["import-pt", str(run / RECORDS), str(tmp_path / "imported")]) == 0
    text = (GUIDE / "pandas.md").read_text(encoding="utf-8").partition("## A run of extract")[0]
    assert run_queries(blocks(text), tmp_path / "imported", tmp_path, monkeypatch) >= 3


@pytest.mark.parametrize("page", ["pandas", "notebook"])
def test_both_languages_ask_the_same(page):
    assert cookbook(f"{page}.md") == cookbook(f"{page}.zh.md")


def test_the_cells_of_the_notebook_page_run_in_order(tmp_path, monkeypatch):
    world, tour = World.of(), tmp_path / "runs" / "tour" / "tiny-llava-4x4"
    for seed, run in enumerate((tmp_path / "runs" / "demo", tour)):
        write_world(run, world, categories={"OCR": 4, "color": 4}, seed=seed)
    measure(tour, world, "heads_edge", singles(world))
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    shown = []
    for cell in cookbook("notebook.md"):
        *statements, last = cell.strip().splitlines()
        exec("\n".join(statements), names)
        shown.append(eval(last, names))
    assert [type(each).__name__ for each in shown] == [
        "DataFrame",
        "Result",
        "DataFrame",
        "Picture",
        "Result",
        "DataFrame",
    ]
    assert len(shown[-1]) == world.heads.size


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_tolerances_are_in(ending):
    text = (GUIDE / f"verify{ending}").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| [^|`]+ \| (0\.\d+) \|$", text, re.MULTILINE)) == sorted(
        {str(tolerance) for tolerance in TOLERANCES.values()}
    )


def pages() -> list[Path]:
    """All Markdown files of the project."""
    found = [*ROOT.glob("*.md")]
    for place in PLACES:
        for folder, inner, names in os.walk(ROOT / place):
            inner[:] = [name for name in inner if name != "node_modules"]
            found += [Path(folder, name) for name in names if name.endswith(".md")]
    return found


def prose(text: str) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(text: str) -> list[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(text), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


def broken(page: Path) -> list[str]:
    """The relative links of a page that lead nowhere, and those of a Chinese page to an English one without need."""
    found = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text(encoding="utf-8"))):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if "://" in link:
            continue
        if not target.is_file() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            found.append(link)
        chinese = target.with_name(target.name.replace(".md", ".zh.md"))
        if page.name.endswith(".zh.md") and target.suffix == ".md" and chinese.is_file() and chinese != page != target:
            found.append(f"{link}, not {chinese.name}")
    return found


def test_all_links_lead_to_a_file_and_a_heading():
    found = pages()
    assert len(found) >= 40
    assert {page: links for page in found if (links := broken(page))} == {}


def test_the_check_of_links_can_fail(tmp_path):
    (tmp_path / "a.md").write_text("# The `x.y` of A\n[a](#the-xy-of-a) [b](b.md) [c](#c)\n```\n# c\n[d](d.md)\n```\n")
    (tmp_path / "a.zh.md").write_text("# A\n[English](a.md) [e](https://e.org) [b](b.md#b) [a](../a.md)\n")
    (tmp_path / "b.md").write_text("# B\n")
    (tmp_path / "b.zh.md").write_text("# B\n[a](a.md#the-x.y-of-a)\n")
    assert broken(tmp_path / "a.md") == ["#c"]
    assert broken(tmp_path / "a.zh.md") == ["b.md#b, not b.zh.md", "../a.md"]
    assert broken(tmp_path / "b.zh.md") == ["a.md#the-x.y-of-a", "a.md#the-x.y-of-a, not a.zh.md"]


def sentences(text: str) -> list[str]:
    """The sentences of an English page, of cells and list items too, without its blocks and the targets of links."""
    text = re.sub(r"^    .*$", "", prose(text), flags=re.MULTILINE)
    parts = re.split(r"\n\s*\n|\n(?=- |\| |> |#)|\|", re.sub(r"\]\([^)]*\)", "]", text))
    return [each for part in parts for each in re.split(r"(?<=[.:;?!])\s+", " ".join(part.split()))]


def test_pages_of_commands_are_short_and_so_are_their_sentences():
    found = [page for page in GUIDE.glob("*.md") if not page.name.startswith("flags")]
    long = {page.name: lines for page in found if (lines := len(page.read_text(encoding="utf-8").splitlines())) > 120}
    assert long == {}
    english = [page for page in found if ".zh." not in page.name]
    assert len(english) >= 17
    said = [each for page in english for each in sentences(page.read_text(encoding="utf-8"))]
    assert [each for each in said if len(each.split()) > 40] == []


def test_the_check_of_sentences_can_fail():
    text = "# A b\n\nA *b* [c](d e.md), e.\nF g:\n\n    h i\n\n| j | k l |\n"
    assert [len(each.split()) for each in sentences(text) if each] == [3, 4, 2, 1, 2]


def test_every_page_of_a_guide_is_there_in_both_languages():
    found = {page for page in pages() if page.parent.name == "guide"}
    assert len(found) >= 30
    languages = [{page.name.partition(".")[0] for page in found if page.name.endswith(".zh.md") == zh} for zh in (0, 1)]
    assert languages[0] == languages[1]


@pytest.mark.parametrize("readme", READMES)
def test_the_front_page_fits_on_a_screen_and_a_half(readme):
    assert len((ROOT / readme).read_text(encoding="utf-8").splitlines()) <= 76


@pytest.mark.parametrize("readme", READMES)
def test_the_front_page_counts_the_families(readme):
    text = (ROOT / readme).read_text(encoding="utf-8")
    assert re.findall(r"\[(\d+) (?:kinds|种)\]", text) == [str(len(FAMILIES))]
