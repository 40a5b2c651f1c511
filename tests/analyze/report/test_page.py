"""The page as a file: what it holds, what it may do, and what is said where something is missing."""

import base64
import hashlib
import html
import json
import re
import shutil
import subprocess
import sys
from itertools import product
from math import prod
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from analyze.__main__ import main
from analyze.opening import opened
from analyze.positions import CHOICE_STATES
from analyze.report.measures import measure
from analyze.report.overview import SESSION, SETTINGS
from analyze.report.packing import Arrays, script_json
from analyze.report.words import Words, all_texts
from analyze.scores.accuracy import category_scores
from analyze.scores.intervals import score_intervals
from analyze.statistics.contrasts import STATES
from analyze.tables.rows import BATCH
from schemas.columns import CONTRIBUTIONS, FLOW_NAMES
from tests.support.prunable import measure_sets
from tests.support.report import CATEGORIES, HOSTILE, WORLD, make_report, read_data, read_piece, unpack, write_whole_run
from tests.support.runs import PART, edit_ledger, edit_manifest, put, rewrite, write_run

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def page(files) -> str:
    return files["en"].read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pairs(run, other, two) -> dict[str, str]:
    """The pages of two runs, by language."""
    files = {"en": two[0], "zh": make_report(run, other, "--lang", "zh")}
    assert files["en"].name == "report_with_other.html"
    return {language: file.read_text(encoding="utf-8") for language, file in files.items()}


def test_texts_of_data_end_no_script(page):
    data = read_data(page)
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
    kinds = {name: kind for name, (kind, _, _) in arrays.index.items()}
    assert kinds == {"odd": "uint8", "float": "float32", "small": "uint16", "large": "uint32", "empty": "uint16"}
    for name, values in unpack(arrays.index, arrays.packed()).items():
        exact, close = given[name].ravel(), 1e-6 * np.abs(given[name]).max(initial=0) * (name == "float")
        np.testing.assert_allclose(values, exact, rtol=0, atol=close)


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
    expected = score_intervals(category_scores(samples), samples)
    table = page.partition('id="score-title"')[2].partition("<tbody>")[2].partition("</tbody>")[0]
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in table.split("</tr>") if "<t" in row]
    assert len(rows) >= len(expected) == len(CATEGORIES)
    for row, (_, one) in zip(rows, expected.iterrows(), strict=False):
        assert [row[1], row[2], row[3], row[4]] == [
            f"{one['questions']}", f"{one['images']}", f"{one['accuracy']:.1f}", f"{one['score']:.1f}"
        ]  # fmt: skip
        assert row[5] == f"{one['low']:.1f} to {one['high']:.1f}"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_warnings_and_definitions_come_first(files, language):
    assert files[language].name == {"en": "report.html", "zh": "report.zh.html"}[language]
    page = files[language].read_text(encoding="utf-8")
    words = Words(language)
    body = page.partition("<body>")[2]
    places = [body.index(words[name]) for name in ("in_one_sentence", "warn_importance", "warn_v2t", "define_mass")]
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
    files = [*(ROOT / "analyze" / "report").rglob("*.py"), *(ROOT / "analyze" / "report" / "templates").glob("*.[hj]*")]
    code = "\n".join(file.read_text(encoding="utf-8") for file in files)
    built = ("define_", "panel_", "of_", "role ", "kind ", "warn_", "images_", "total_", "accuracy_", "answer_",
             "highest_", "lowest_", "tokens ", "done ", "ended_", "command_", "interval_")  # fmt: skip
    named = {*SETTINGS, *SESSION, *STATES, *CHOICE_STATES, "heads_cut", "layers_cut"}
    unused = [name for name in all_texts() if not name.startswith(built) and name not in named
              and not re.search(f"[\"']{re.escape(name.removesuffix('_one'))}[\"']", code)
              and f"words.{name}" not in code]  # fmt: skip
    assert unused == []


def test_images_are_capped(run, page, tmp_path):
    pages = {6: page}  # of 24 at most
    for most in (0, 2):
        folder = tmp_path / str(most)
        assert main(["report", str(run), "--images", str(most), "--output-dir", str(folder)]) == 0
        pages[most] = (folder / "report.html").read_text(encoding="utf-8")
    for expected, found in pages.items():
        data = read_data(found)
        assert data["images"] == len(read_piece(found, "evidence")[0]["images"]) == expected
        assert (data["maps"] is None) == (expected == 0)
        assert sum(each is not None for each in data["samples"]["picture"]) == 2 * expected
        if expected:
            assert data["maps"]["cells"] == list(range(12))


def test_a_run_with_masses_alone(tmp_path):
    page = make_report(write_run(tmp_path / "run")).read_text(encoding="utf-8")
    data = read_data(page)
    assert {each["kind"] for each in data["measures"]} == {"looking"}
    assert "comparison-title" not in page
    assert "pruning-title" not in page


def test_an_imported_run(tmp_path):
    run = write_run(tmp_path / "run")
    assert main(["export-pt", str(run)]) == 0
    imported = tmp_path / "imported"
    assert main(["import-pt", str(run / "mme_attention_head_records.pt"), str(imported)]) == 0
    data = read_data(make_report(imported).read_text(encoding="utf-8"))
    assert [each["name"] for each in data["measures"]] == ["t2v", "v2t"]


@pytest.mark.usefixtures("unsaved")
def test_curves_of_prune(tmp_path):
    run = write_whole_run(tmp_path / "run", categories={"OCR": 12, "color": 8})
    flags = ["prune", str(run), "--random", "10", "--resamples", "100", "--dpi", "20"]
    assert main(flags) == 0
    measure_sets(run, WORLD)
    assert main(flags) == 0
    page = make_report(run).read_text(encoding="utf-8")
    (spec,) = [spec for name, spec in read_data(page)["charts"].items() if name == "pruning_heads"]
    sets = pd.read_csv(run / "prune" / "sets.csv")
    rows = pd.DataFrame(row for row in spec["layer"][-1]["data"]["values"] if row["share"] > 0)
    both = sets[sets["unit"] == "heads"].merge(rows, on=["criterion", "order", "share"], suffixes=("", "_drawn"))
    assert len(both) == len(rows) > 0
    assert both["left"].tolist() == pytest.approx(both["score"].tolist())
    assert both["left_low"].tolist() == pytest.approx((both["score"] + both["loss"] - both["loss_high"]).tolist())
    (run / "prune" / "sets.csv").write_text("unit,criterion\nheads,a2v\n")
    assert main(["report", str(run)]) == 2


def test_two_runs(run, files, pairs):
    assert {"answers", "profiles", "differences"} <= set(read_data(pairs["en"])["charts"])
    assert {file.name for file in files.values()} <= json.loads((run / ".outputs.json").read_text()).keys()


def test_heads_of_both_runs_are_read_once(run, other, two):
    read = {place: number for place, number in two[1].items() if place[1] in FLOW_NAMES}
    paths = {str(path / "heads" / PART) for path in (run, other)}
    assert read == dict.fromkeys(product(paths, FLOW_NAMES), 1)


def test_rows_in_any_order_and_in_several_batches_keep_their_values(run, tmp_path, monkeypatch):
    """Rows of `heads` in order are read at once, those that are not and those of `contributions` in batches."""
    moved, found = shutil.copytree(run, tmp_path / "run"), []
    for table in ("heads", CONTRIBUTIONS):
        rewrite(moved, table, lambda rows: rows.take(np.random.default_rng(0).permutation(len(rows))))
    for path, at_once in ((run, BATCH), (moved, 2 * prod(opened(run, None).shape) + 5)):
        monkeypatch.setattr("analyze.tables.rows.BATCH", at_once)
        monkeypatch.setattr("analyze.knockouts.effects.BATCH", at_once)
        heads = opened(path, None)
        with TemporaryFile() as file:
            measures = measure(heads, heads.scope(None), file).measures
            found.append({one.key: one.kept.of_cells(0, one.found.cells) for one in measures})
    assert {"looking/a2v", "contributing/d2v"} <= found[0].keys()
    for key, values in found[0].items():
        np.testing.assert_array_equal(found[1][key], values)


def test_a_missing_package_is_one_line(tmp_path):
    """In an interpreter of its own, where the page was never imported."""
    run = write_run(tmp_path / "run")
    code = """
import sys
from analyze.__main__ import main
for package in ("altair", "jinja2", "vl_convert"):
    sys.modules[package] = None
    assert main(["report", sys.argv[1]]) == 2
    del sys.modules[package]
"""
    done = subprocess.run([sys.executable, "-c", code, run], cwd=ROOT, capture_output=True, text=True, check=False)
    said = [
        f"error: the page needs {package}: pip install -e '.[report]'" for package in ("altair", "jinja2", "vl_convert")
    ]
    assert (done.returncode, done.stderr.splitlines()) == (0, said)


def test_the_same_run_gives_the_same_page(run, page, tmp_path):
    assert main(["report", str(run), "--output-dir", str(tmp_path)]) == 0
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page


# Names of columns, models, commands and flags, and terms that the texts gloss; all else in a Chinese page is Chinese
NAMES = re.compile(
    r"\b(Home|End|Esc|SVG|PNG|CSV|dpi|nat|token|patch|"
    r"validate|report|HEAD|"
    r"headflow|MME|softmax|JavaScript|Spearman-Brown|extract|knock-out RUN|BOS|SYS|USER|[XTVQADYB]|[XTVQAD]2[A-Z]+|"
    r"[tvqa]2[vt]|[Yy]es|[Nn]o|logit|[Mm]argin|mass|looking|contributing|mattering|OCR|up|run|other|heads_edge)\b"
    r"|--[\w-]+( all)?|\{\w+\}",
    re.ASCII,
)


def test_the_page_in_chinese_has_no_english(pairs):
    """But for names: of columns, of categories, of settings; the texts of questions are those of the data."""
    page = pairs["zh"]
    body = re.sub(
        r"<(script|style)\b.*?</\1>|<code>.*?</code>|<dl>.*?</dl>|<option.*?</option>", "", page, flags=re.DOTALL
    )
    body = re.sub(r'<(th scope="row"|p class="runs")>.*?</(th|p)>', "", body, flags=re.DOTALL)
    said = re.findall(r'(?:title|aria-label)="([^"]*)"', body) + re.split(r"<[^>]*>", body.partition("<body>")[2])
    texts = [text.strip() for text in [*said, *(texts[1] for texts in all_texts().values())] if text.strip()]
    for text in texts:
        if HOSTILE.startswith(html.unescape(text).rstrip("…")):
            continue  # a category, as a picture cuts it off
        plain = NAMES.sub("", html.unescape(text).replace(HOSTILE, ""))
        assert not re.search("[A-Za-z]{2}", plain), text
        assert not re.search(r"[\u4e00-\u9fff] ?[,:;()]|[,:;()] ?[\u4e00-\u9fff]", plain), text
        assert not re.search(r"(token|patch)[\u4e00-\u9fff]", text), text


def test_no_hyphen_stands_for_a_minus(pairs):
    """Neither in intervals nor in the verdict; and no dash between two bounds."""
    body = re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", "", pairs["en"].partition("<body>")[2], flags=re.DOTALL)
    assert re.search(r"95% interval −\d", body)
    assert re.findall(r"(?<![\w-])-\d|\d ?– ?[−+]?\d", body) == []


def test_abbreviations_are_explained_where_they_first_stand(page):
    body = re.sub(r"<[^>]*>", "", page.partition("<body>")[2].partition('id="heads-section"')[0])
    first = {}
    for found in re.finditer(r"\b[TVQAD]2[A-Z]+\b( \()?", body):
        first.setdefault(found[0].split()[0], found[1])
    assert {"A2V", "Q2V", "D2V", "V2T", "T2V"} <= set(first)
    assert [name for name, explained in first.items() if not explained and name != "D2Y"] == []


@pytest.mark.parametrize(("language", "sees_question"), [("en", True), ("en", False), ("zh", False)])
def test_what_v2t_is_made_of_is_what_the_run_holds(tmp_path, language, sees_question):
    """The largest part of V2T is named by the run's own means, and whether image tokens see the question."""
    shares = {"v2bos": 0.05, "v2sys": 0.7, "v2user": 0.01, "v2q": 0.2 if sees_question else 0.0}
    run = write_run(tmp_path / "run")
    rewrite(run, "heads", lambda table: set_columns(table, {"v2t": sum(shares.values())} | shares))
    text = re.sub(r"<[^>]*>", "", make_report(run, "--lang", language).read_text(encoding="utf-8"))
    text = text.partition("V2T")[2]
    most, question = ("most of it is V2SYS (image → system), 0.70", "V2Q (image → question) is 0.20 on average")
    if language == "zh":
        most = "其中大部分是 V2SYS（图像 → 系统提示），为 0.70"
    assert most in text.partition('{"words"')[0]
    assert (question in text.partition('{"words"')[0]) == sees_question


def set_columns(table, values):
    frame = table.to_pandas().assign(**values)
    return pa.Table.from_pandas(frame, table.schema, preserve_index=False)


def test_an_incomplete_run_says_so_first(tmp_path):
    run = write_run(tmp_path / "run")
    whole = make_report(run).read_text(encoding="utf-8")
    assert "This run is not complete." not in whole.partition('id="heads-section"')[0]
    edit_ledger(run, state="running", samples=20, samples_in_run=20)
    page = make_report(run, "--lang", "zh").read_text(encoding="utf-8")
    assert "页面只包含 20 个样本中的 10 个" in page.partition('id="heads-section"')[0]


def test_a_run_of_counterfactual_images_says_so_first(tmp_path):
    run = write_run(tmp_path / "run")
    edit_manifest(run, images="blank")
    page = make_report(run).read_text(encoding="utf-8")
    first = page.partition('id="heads-section"')[0]
    assert "In place of each image it was given its mean colour." in first
    assert "<h1>Attention heads of up, run run, blank images</h1>" in first


def test_the_title_names_the_wording(tmp_path):
    run = write_run(tmp_path / "run", categories={"OCR": 4})
    edit_manifest(run, prompts={"bare": {"template": "{question}"}, "long": {"template": "{question} Answer."}})
    rewrite(run, "samples", lambda table: put(table, "prompt", slice(None), ["bare", "bare", "long", "long"]))
    assert main(["report", str(run), "--prompt", "long", "--output-dir", str(tmp_path), "--lang", "zh"]) == 0
    page = (tmp_path / "report.zh.html").read_text(encoding="utf-8")
    assert "<h1>注意力头报告：up，运行 run，问法 long</h1>" in page
    assert read_data(page)["samples"]["id"] == ["OCR/1", "OCR/1#2"]
    plain = str(write_run(tmp_path / "plain", categories={"OCR": 4}))
    assert main(["report", plain, str(run), "--prompt", "long", "--output-dir", str(tmp_path)]) == 0
    compared = (tmp_path / "report_with_run.html").read_text(encoding="utf-8")
    assert "2 of A have no partner, 0 of B have no partner" in compared


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_cannot_be_told_is_hollow_and_said(pairs, language):
    rows = read_data(pairs[language])["charts"]["answers"]["layer"][1]["data"]["values"]
    untold = [row for row in rows if row["untold"]]
    assert 0 < len(untold) < len(rows)
    why = "cannot tell: 12 images, fewer than 20" if language == "en" else "无法判断：只有 12 张图像，不足 20 张"
    assert untold[0]["told"] == why
    assert {(row["inside"], row["low"]) for row in untold} == {("transparent", None)}
    assert all(row["inside"] == row["ink"] for row in rows if not row["untold"])
