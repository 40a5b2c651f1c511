"""The page as a file: what it holds, what it may do, and what is said where something is missing."""

import base64
import gzip
import hashlib
import html
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analyze.__main__ import main
from analyze.report.overview import SESSION, SETTINGS
from analyze.report.packing import Arrays, script_json
from analyze.report.words import Words, all_texts
from analyze.scores.intervals import score_intervals
from analyze.scores.mme import TOTALS, mme_scores
from analyze.statistics.contrasts import STATES
from tests.support.prunable import measure_sets
from tests.support.report import CATEGORIES, HOSTILE, WORLD, make_report, write_whole_run
from tests.support.runs import write_run

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_whole_run(tmp_path_factory.mktemp("run") / "run")


@pytest.fixture(scope="module")
def page(run) -> str:
    return make_report(run).read_text(encoding="utf-8")


def data_of(page: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="page-data">(.*?)</script>', page, re.DOTALL)[1])


def test_texts_of_data_end_no_script(page):
    data = data_of(page)
    assert HOSTILE in data["categories"]
    assert HOSTILE in data["samples"]["question"]
    assert "<img src=x" not in page
    assert "\u2028" not in re.search(r'id="page-data">(.*?)</script>', page, re.DOTALL)[1]
    assert html.escape(HOSTILE).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in page


@pytest.mark.parametrize("text", ["</script>", "<!--", "a\u2028b\u2029", '"\\', "&lt;", "\ud800", "中文"])
def test_json_of_a_page_reads_back(text):
    written = script_json({text: [text, float("nan"), np.float32(0.5), np.int64(3), True]})
    assert not set(written) & set("<>&\u2028\u2029")
    safe = text.replace("\ud800", "?")
    (value,) = json.loads(written).values()
    assert value == [safe, None, 0.5, 3, True]


def test_arrays_read_back():
    arrays, random = Arrays(), np.random.default_rng(0)
    given = {
        "odd": np.arange(7, dtype=np.uint8), "float": random.normal(size=(3, 4)), "small": np.arange(5),
        "large": np.array([70_000, 1]), "empty": np.empty(0, np.int64),
    }  # fmt: skip
    for name, values in given.items():
        arrays.add(name, values)
    content = gzip.decompress(base64.b64decode(arrays.packed()))
    kinds = {name: kind for name, (kind, _, _) in arrays.index.items()}
    assert kinds == {"odd": "uint8", "float": "float32", "small": "uint16", "large": "uint32", "empty": "uint16"}
    for name, (kind, first, number) in arrays.index.items():
        assert first % 4 == 0
        values = np.frombuffer(content, kind, number, first)
        np.testing.assert_array_equal(values, given[name].ravel().astype(kind))


def test_the_policy_allows_what_is_in_the_page_alone(page):
    policy = html.unescape(re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1])
    rules = {words[0]: words[1:] for rule in policy.split("; ") if (words := rule.split())}
    assert rules.pop("default-src") == rules.pop("base-uri") == rules.pop("form-action") == ["'none'"]
    assert rules.pop("img-src") == ["data:"]
    for rule, tag in (("script-src", "script"), ("style-src", "style")):
        found = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        hashes = [base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in found]
        assert rules.pop(rule) == [f"'sha256-{each}'" for each in hashes]
        assert len(hashes) == (2 if tag == "script" else 1)
    assert rules == {}
    assert not re.search(r"<[^>]* (style|on\w+)=", re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL))


def test_the_page_names_nothing_to_fetch(page):
    body = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", body)
    assert "@import" not in body
    assert "url(" not in body


def test_scores_are_those_of_summary(run, page):
    samples = pd.read_parquet(run / "samples")
    expected = score_intervals(mme_scores(samples), samples)
    table = page.partition("<tbody>")[2].partition("</tbody>")[0]
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in table.split("</tr>") if "<t" in row]
    assert len(rows) >= len(expected) == len(CATEGORIES)
    for row, (_, one) in zip(rows, expected.iterrows(), strict=False):
        assert [row[1], row[2], row[3], row[4]] == [
            f"{one['questions']}", f"{one['images']}", f"{one['accuracy']:.1f}", f"{one['score']:.1f}"
        ]  # fmt: skip
        assert row[5] == f"{one['low']:.1f}–{one['high']:.1f}"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_warnings_and_definitions_come_first(run, tmp_path, language):
    assert main(["report", str(run), "--lang", language, "--images", "0", "--output-dir", str(tmp_path)]) == 0
    (file,) = tmp_path.iterdir()
    assert file.name == ("report.html" if language == "en" else "report.zh.html")
    page, words = file.read_text(encoding="utf-8"), Words(language)
    body = page.partition("<body>")[2]
    places = [body.index(words[name]) for name in ("warn_importance", "warn_v2t", "define_mass")]
    assert places == sorted(places)
    assert places[-1] < body.index('id="heads-section"')
    assert f'<html lang="{"zh-CN" if language == "zh" else "en"}">' in page


def test_every_text_is_in_both_languages_with_the_same_values():
    for name, texts in all_texts().items():
        assert len(texts) == 2, name
        assert all(texts), name
        names = [sorted(re.findall(r"\{(\w+)\}", text)) for text in texts]
        assert names[0] == names[1], name


def test_every_text_is_used():
    files = [*(ROOT / "analyze" / "report").glob("*.py"), *(ROOT / "analyze" / "report" / "templates").glob("page.*")]
    code = "\n".join(file.read_text(encoding="utf-8") for file in files)
    built = ("define_", "panel_", "of_", "role ", "warn_")
    named = {*SETTINGS, *SESSION, *STATES, *TOTALS, "heads_cut", "layers_cut"}
    unused = [name for name in all_texts() if not name.startswith(built) and name not in named
              and not re.search(f"[\"']{re.escape(name)}[\"']", code) and f"words.{name}" not in code]  # fmt: skip
    assert unused == []


def test_images_are_capped(run, tmp_path):
    for most, expected in ((0, 0), (2, 2), (100, 6)):
        folder = tmp_path / str(most)
        assert main(["report", str(run), "--images", str(most), "--output-dir", str(folder)]) == 0
        data = data_of((folder / "report.html").read_text(encoding="utf-8"))
        assert len(data["images"]) == expected
        assert (data["maps"] is None) == (expected == 0)
        assert sum(each is not None for each in data["samples"]["picture"]) == 2 * expected
        if expected:
            assert data["maps"]["cells"] == list(range(12))


def test_a_run_with_masses_alone(tmp_path):
    page = make_report(write_run(tmp_path / "run")).read_text(encoding="utf-8")
    data = data_of(page)
    assert {each["kind"] for each in data["measures"]} == {"looking"}
    assert page.count("disabled title=") == 2
    assert "comparison-title" not in page
    assert "pruning-title" not in page


def test_an_imported_run(tmp_path):
    run = write_run(tmp_path / "run")
    assert main(["export-pt", str(run)]) == 0
    imported = tmp_path / "imported"
    assert main(["import-pt", str(run / "mme_attention_head_records.pt"), str(imported)]) == 0
    data = data_of(make_report(imported).read_text(encoding="utf-8"))
    assert [each["name"] for each in data["measures"]] == ["t2v", "v2t"]


def test_curves_of_prune(tmp_path):
    run = write_whole_run(tmp_path / "run", categories={"OCR": 12, "color": 8})
    flags = ["prune", str(run), "--random", "10", "--resamples", "100", "--dpi", "20"]
    assert main(flags) == 0
    measure_sets(run, WORLD)
    assert main(flags) == 0
    page = make_report(run).read_text(encoding="utf-8")
    (spec,) = [spec for name, spec in data_of(page)["charts"].items() if name == "pruning_heads"]
    sets = pd.read_csv(run / "prune" / "sets.csv")
    rows = spec["layer"][-1]["data"]["values"]
    assert [row["loss"] for row in rows] == pytest.approx(sets[sets["unit"] == "heads"]["loss"].tolist())
    (run / "prune" / "sets.csv").write_text("unit,criterion\nheads,a2v\n")
    assert main(["report", str(run)]) == 2


def test_two_runs(tmp_path):
    a, b = (write_whole_run(tmp_path / name, seed=seed) for name, seed in (("a", 0), ("b", 1)))
    page = make_report(a, b)
    assert page.name == "report_with_b.html"
    data = data_of(page.read_text(encoding="utf-8"))
    assert {"answers", "profiles", "differences"} <= set(data["charts"])


@pytest.mark.parametrize("package", ["altair", "jinja2", "vl_convert"])
def test_a_missing_package_is_one_line(tmp_path, package):
    run = write_run(tmp_path / "run")
    code = (
        f"import sys; sys.modules[{package!r}] = None; from analyze.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "report", run], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == f"error: the page needs {package}: pip install -e '.[report]'\n"


def test_the_same_run_gives_the_same_page(run, page, tmp_path):
    assert main(["report", str(run), "--output-dir", str(tmp_path)]) == 0
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page
