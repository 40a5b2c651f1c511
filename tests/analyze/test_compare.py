"""Oracle: made-up runs whose difference was planted, brute force with pandas, and a run compared with itself."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analyze.__main__ import main
from analyze.commands.compare import CompareSettings, compare_runs
from analyze.compare.answers import cannot_tell, compare_answers
from analyze.compare.comparison import compare, distances
from analyze.compare.heads import floor, obstacle
from analyze.compare.pairing import differing_settings, pair_samples
from analyze.compare.sentences import LANGUAGES, MINUS, templates
from analyze.scores.accuracy import ALL_TOGETHER
from analyze.statistics.clusters import Clusters
from analyze.tables.frames import open_heads
from schemas.columns import FLOW_NAMES, MAPS, OF_LAST, OF_QUESTION, TOKENS
from schemas.errors import HeadflowError
from tests.support.runs import LEDGER, edit_ledger, flows, put, rewrite, sample, start

pytestmark = pytest.mark.usefixtures("undrawn")

IMAGES = 80


def write(path, *, right=0.7, shift=0.0, seed=0, heads=3, layers=2, flip=0, skip=(), fields=None, hashes="x"):
    """A run with two questions an image in two categories.

    Args:
        right: share of right answers.
        shift: what head L1H2 gives the image more of its question's attention, taken from the question.
        seed: of the values and the answers.
        flip: how many right answers are made wrong.
        skip: samples that are left out.
        hashes: begins what tells images apart.
    """
    random, noise = np.random.default_rng(seed), np.random.default_rng(99)
    writer = start(path, 2 * IMAGES, fields={"layers": layers, "heads": heads} | (fields or {}))
    for number in range(2 * IMAGES):
        row = sample(number, "OCR" if number < IMAGES else "color")
        is_right = random.random() < right
        if is_right and flip:
            is_right, flip = False, flip - 1
        row["prediction"] = row["answer"] if is_right else "neither"
        row |= {"image_sha256": f"{hashes}{number // 2}", "row": number}
        values = flows(noise, layers, heads)
        if shift:
            moved = min(shift, float(values[1, 2, FLOW_NAMES.index("q2q")]))
            values[1, 2, FLOW_NAMES.index("q2q")] -= moved
            values[1, 2, FLOW_NAMES.index("q2v")] += moved
        if number not in skip:
            writer.add(row, {"heads": values})
        else:
            writer.skip(row, "image_missing", "gone")
    writer.finish()
    return open_heads(path)[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("compare")


@pytest.fixture(scope="module")
def base(folder):
    return write(folder / "base")


def result(a, b, **options):
    return compare(a, b, ["q2v"], resamples=1_000, **options)


def test_pairs_are_found_in_any_order_and_counted(folder, base):
    other = write(folder / "skipped", skip=(3, 10))
    pairs = pair_samples(other, base)
    assert (len(pairs.table), pairs.only_a, pairs.only_b) == (158, 0, 2)
    samples = base.samples["question"].to_numpy()[pairs.table["b"]]
    assert (samples == other.samples["question"].to_numpy()[pairs.table["a"]]).all()
    assert "158 samples on 80 images" in pairs.in_words()


def test_images_are_paired_by_name_where_their_files_differ(folder, base):
    pairs = pair_samples(base, write(folder / "other files", hashes="y"))
    assert (pairs.by, len(pairs.table)) == ("image", 160)


def test_samples_are_paired_by_id_where_a_run_does_not_know_its_questions(folder, base):
    unknown = [write(folder / f"unknown {seed}", seed=seed, skip=(3, 4)).run.path for seed in (1, 2)]
    for path in unknown:
        rewrite(path, "samples", lambda content: put(content, "question", slice(None), [None] * len(content)))
    first, second = (open_heads(path)[0] for path in unknown)
    for a, b, lost in ((first, base, (0, 2)), (base, first, (2, 0)), (first, second, (0, 0))):
        pairs = pair_samples(a, b)
        ids = [heads.samples["sample_id"].to_numpy()[pairs.table[side]] for heads, side in ((a, "a"), (b, "b"))]
        assert ids[0].tolist() == ids[1].tolist()
        assert (len(pairs.table), pairs.only_a, pairs.only_b) == (158, *lost)
        assert "paired by image (content) and sample_id" in pairs.in_words()


def test_runs_that_count_other_text_are_not_compared(folder, base):
    other = write(folder / "no-system", fields={"text_scope": "no-system"})
    for runs in ((base, other), (other, base)):
        with pytest.raises(HeadflowError, match=r"in the text scope .*: ask for one of them for both"):
            compare(*runs, ["q2v", "t2v"])
        with pytest.raises(HeadflowError, match="in the text scope"):
            distances(dict(zip("ab", runs, strict=True)), ["v2t"])
    assert result(base, other).masses


def test_runs_without_a_sample_in_common_are_refused(folder, base, tmp_path):
    writer = start(tmp_path / "run", 1)
    writer.add(sample(0, "OCR") | {"question": "Another?"}, {"heads": flows(np.random.default_rng(0), 2, 3)})
    writer.finish()
    with pytest.raises(HeadflowError, match="have no sample in common"):
        pair_samples(base, open_heads(tmp_path / "run")[0])


def test_settings_that_differ_are_named(folder, base):
    other = write(folder / "half", fields={"dtype": "float16", "image_preprocessing": {"crop": [1, 1]}})
    table = differing_settings(base, other)
    assert table.values.tolist() == [
        ["dtype", "unknown", "float16"], ["image_preprocessing: crop", "unknown", "1, 1"],
    ]  # fmt: skip


def test_settings_of_maps_are_compared_where_both_have_maps(base):
    last, question = (
        SimpleNamespace(manifest=replace(base.manifest, tables=[MAPS], maps_of=of), run=base.run)
        for of in (OF_LAST, OF_QUESTION)
    )
    assert "maps_of" not in set(differing_settings(base, last)["setting"])
    assert differing_settings(last, question).values.tolist() == [["maps_of", OF_LAST, OF_QUESTION]]


def test_fields_of_texts_that_are_null_are_none(base):
    own, given = (
        SimpleNamespace(manifest=replace(base.manifest, tables=[TOKENS], generate=8, **fields), run=base.run)
        for fields in ({}, {"texts_sha256": "abc", "answer_after": "</think>"})
    )
    assert differing_settings(own, given).values.tolist() == [
        ["answer_after", "none", "</think>"], ["texts_sha256", "none", "abc"],
    ]  # fmt: skip


def test_answers_by_brute_force(folder, base):
    other = write(folder / "worse", right=0.5, seed=1)
    table = compare_answers(base, other, pair_samples(base, other), resamples=4_000, seed=0)
    accuracy = table[table["measure"] == "accuracy"].set_index("category")
    right = [each.samples["prediction"] == each.samples["answer"] for each in (base, other)]
    difference = 100 * (right[1].astype(float) - right[0].astype(float))
    image = base.samples["image_sha256"].astype(str).to_numpy()
    for category in ("OCR", "color", ALL_TOGETHER):
        chosen = (base.samples["category"].astype(str) == category) | (category == ALL_TOGETHER)
        found = accuracy.loc[category]
        assert found["a"] == pytest.approx(100 * right[0][chosen].mean())
        assert found["difference"] == pytest.approx(difference[chosen].mean())
        means = difference[chosen].groupby(image[chosen]).mean()
        low, high = stats.t.interval(0.95, len(means) - 1, means.mean(), stats.sem(means))
        assert (found["low"], found["high"]) == pytest.approx((low, high), abs=2.0)
    scores = table[table["measure"] == "score"].set_index("category")
    both = [each.groupby(image).all() for each in right]
    ocr = base.samples["category"].astype(str) == "OCR"
    expected = [100 * (each[ocr].mean() + whole[image[ocr]].mean()) for each, whole in zip(right, both, strict=True)]
    assert scores.loc["OCR", ["a", "b"]].tolist() == pytest.approx(expected)


def test_p_is_of_the_difference_that_is_told_where_images_have_other_numbers_of_questions(folder):
    single = range(IMAGES, 2 * IMAGES, 2)  # half of the images keep one question
    a, b = (write(folder / f"uneven {seed}", seed=seed, skip=single) for seed in (8, 124))
    found = compare_answers(a, b, pair_samples(a, b), resamples=1_000, seed=0)
    whole = found[(found["measure"] == "accuracy") & (found["category"] == ALL_TOGETHER)].iloc[0]
    right = [(each.samples["prediction"] == each.samples["answer"]).astype(int) for each in (a, b)]
    asked = a.samples["status"] == "ok"
    by_image = (right[1] - right[0])[asked].groupby(a.samples["image_sha256"].astype(str))
    of_sums, of_means = (stats.ttest_1samp(each, 0).pvalue for each in (by_image.sum(), by_image.mean()))
    assert (of_sums, of_means) == pytest.approx((0.013, 0.127), abs=0.001)
    assert whole["adjusted_p"] == pytest.approx(of_sums, abs=0.01)


def test_a_run_and_itself_do_not_differ_and_ten_flipped_answers_do(folder, base):
    lines = result(base, write(folder / "same")).verdict()
    assert lines[0] == "answers: no difference: the same number of answers is right on each image, of 80"
    assert "no significant difference in any of 2" in lines[1]
    assert "in both, but for rounding" in lines[2]
    assert "no head differs" in lines[3]
    lines = result(base, write(folder / "flipped", flip=10)).verdict()
    assert lines[0].startswith("answers: B is right less often (-6.")
    lines = result(base, write(folder / "flipped thrice", flip=3)).verdict()
    assert "cannot tell: 2 images differ, fewer than 5" in lines[0]
    assert lines[2] == "by category: cannot be told in 1 of 2: OCR"  # no answer differs in color


def test_every_sentence_is_in_both_languages_with_the_same_values():
    for name, texts in templates().items():
        assert len(texts) == len(LANGUAGES), name
        fields = [sorted(re.findall(r"\{(\w+):?(?:\|[^}]*)?([^}]*)\}", text)) for text in texts]
        assert fields[0] == fields[1], name
        assert not re.search(r"[,;:()]", re.sub(r"\{[^}]*\}", "", texts[1])), name


def test_sentences_in_chinese_have_the_same_numbers(folder, base):
    found = result(base, write(folder / "flipped again", flip=10, shift=0.02))
    for sentence in found.sentences():
        english, chinese = str(sentence).replace("-", MINUS), sentence.in_words("zh")
        assert re.findall(r"[+−]?\d+\.\d+", english) == re.findall(r"[+−]?\d+\.\d+", chinese)
        assert re.search("[\u4e00-\u9fff]", chinese)
    assert any(MINUS in sentence.in_words("en") for sentence in found.sentences())


def test_why_there_is_no_interval_is_said_in_both_languages():
    images = Clusters(np.arange(30), np.zeros(30, np.int64), ["all"])
    assert cannot_tell(np.arange(30) < 3, images).in_words("zh") == "无法判断：只有 3 张图像上有差别，不足 5 张"
    assert cannot_tell(np.arange(30) < 1, images).in_words("zh") == "无法判断：只有 1 张图像上有差别，不足 5 张"
    assert str(cannot_tell(np.arange(30) < 1, images)) == "cannot tell: 1 image differs, fewer than 5"
    assert str(cannot_tell(np.ones(1), images)) == "cannot tell: 1 image, fewer than 20"
    assert cannot_tell(np.arange(30) < 5, images) is None


def test_the_planted_head_is_found_and_no_other(folder, base):
    found = result(base, write(folder / "shifted", shift=0.02))
    (heads,) = found.heads
    assert heads.table.loc[heads.table["significant"], ["layer", "head"]].values.tolist() == [[1, 2]]
    assert heads.table["difference"].abs().max() == pytest.approx(0.02, abs=0.003)
    assert "1 of 6 heads differ significantly" in found.verdict()[-1]
    # One head of six differs, the others by nothing: halves agree
    assert heads.reliability == pytest.approx(1.0)
    assert "reliability of the differences 1.00" in found.verdict()[-1]


def test_pictures_of_heads_say_what_the_verdict_says(folder, base):
    write(folder / "two images", shift=0.02, skip=range(4, 2 * IMAGES))
    shown = compare_runs(CompareSettings((folder / "base", folder / "two images"), metrics=("q2v", "v2t")))
    pictures = drawn(shown)
    for flow, line in zip(("q2v", "v2t"), shown.statements[-2:], strict=True):
        # Two flows of n images have no p below 2 x 2 / 2^n: 0.06 of six, 0.03 of seven
        assert line == (
            f"heads, {flow}: cannot tell: 2 images, fewer than 7; correlation without noise cannot tell: 2 images, "
            "fewer than 4"
        )
        assert pictures[f"head_differences_{flow}"] == f"{flow.upper()}: cannot tell: 2 images, fewer than 7"
    write(folder / "seven images", skip=range(14, 2 * IMAGES))
    shown = compare_runs(CompareSettings((folder / "base", folder / "seven images"), metrics=("q2v", "v2t")))
    assert shown.statements[-2].startswith("heads, q2v: no head differs significantly (beyond rounding, 1e-05); ")
    assert drawn(shown)["head_differences_q2v"] == "Q2V: no head differs significantly (beyond rounding, 1e-05)"


def drawn(shown):
    """The last text of each picture of heads, in one line."""
    return {name: draw().texts[-1].get_text().replace("\n", " ") for name, draw in shown.figures if "head_" in name}


def test_differences_of_rounding_are_not_significant(folder, base):
    lines = result(base, write(folder / "rounding", shift=5e-6)).verdict()
    assert "no head differs" in lines[-1]
    half = write(folder / "half rounding", shift=1e-4, fields={"dtype": "float16"})
    assert "no head differs" in result(base, half).verdict()[-1]


def test_heads_are_matched_by_index_only_where_one_model_was_made_from_the_other(folder, base):
    assert obstacle(base, base, related=False) is None
    small = write(folder / "small", layers=4, heads=2)
    found = result(base, small)
    assert found.heads == []
    assert "A has 2 x 3 layers and heads, B 4 x 2" in found.verdict()[-1]
    other = write(folder / "another", fields={"model": "another/model"})
    assert "not known to descend" in result(base, other).verdict()[-1]
    assert result(base, other, related=True).heads


def test_distances_are_scipy_s(folder, base):
    other = write(folder / "far", shift=0.3)
    table = distances({"one": base, "other": other}, ["q2v", "v2t"]).set_index(["flow", "a", "b"])["distance"]
    values = [pd.read_parquet(each.run.path / "heads")["q2v"] for each in (base, other)]
    assert table["q2v", "one", "other"] == pytest.approx(stats.wasserstein_distance(*values), abs=1e-4)
    assert table["v2t", "one", "other"] == table["q2v", "one", "one"] == 0


def test_the_command(folder, base, capsys, tmp_path):
    write(folder / "for the command", flip=10)
    paths = [str(folder / name) for name in ("base", "for the command")]
    assert main(["compare", *paths, "--output-dir", str(tmp_path / "out"), "--dpi", "40", "--resamples", "200"]) == 0
    out = capsys.readouterr().out
    assert "B is right less often" in out
    assert "200 resamples of images with seed 0" in out
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"answers.csv", "masses.csv", "profiles.csv", "heads.csv", "accuracy.png", "masses.png"} <= names
    assert {f"head_differences_{flow}.png" for flow in ("t2v", "v2t", "q2v", "a2v")} <= names
    assert main(["compare", paths[0]]) == 2
    assert "compare takes two runs or more" in capsys.readouterr().err


def test_several_runs_have_distances(folder, base, capsys, tmp_path):
    paths = [str(folder / name) for name in ("base", "same", "shifted")]
    for name, options in (("same", {}), ("shifted", {"shift": 0.02})):
        if not (folder / name).exists():
            write(folder / name, **options)
    assert main(["compare", *paths, "--output-dir", str(tmp_path), "--metrics", "q2v"]) == 0
    assert len(pd.read_csv(tmp_path / "distances.csv")) == 9
    assert f"nearest {paths[0]} and {paths[1]} (0.0000)" in capsys.readouterr().out
    assert main(["compare", paths[0], *paths]) == 2


def test_the_floor_is_the_noise_that_was_measured(tmp_path):
    plain = write(tmp_path / "plain")
    half = write(tmp_path / "half", fields={"dtype": "bfloat16"})
    assert floor(plain, plain) == 1e-5
    assert floor(plain, half) == 5e-3  # not measured
    ledger = json.loads((tmp_path / "half" / LEDGER).read_text())
    ledger["sessions"][0]["noise"] = {"mass": 0.003, "margin": 0.1}
    edit_ledger(tmp_path / "half", **ledger)
    assert floor(open_heads(tmp_path / "half")[0], plain) == 0.003


def test_a_category_called_all_keeps_its_row(folder, base):
    """The row of both is the last one."""
    samples = base.samples.assign(category=base.samples["category"].astype(str).replace("color", "all"))
    renamed = replace(base, samples=samples)
    found = result(renamed, renamed)
    accuracy = found.answers[found.answers["measure"] == "accuracy"]
    assert accuracy["category"].tolist() == ["OCR", "all", "all (together)"]
    assert accuracy["images"].tolist() == [IMAGES // 2, IMAGES // 2, IMAGES]


def test_other_right_answers_do_not_count(folder, tmp_path):
    """The same predictions; in the second run the answers of the first 40 samples are swapped."""
    one = write(tmp_path / "one")
    write(tmp_path / "other")

    def swapped(table):
        for row in range(40):
            table = put(table, "answer", row, {"Yes": "No", "No": "Yes"}[table["answer"][row].as_py()])
        return table

    rewrite(tmp_path / "other", "samples", swapped)
    found = compare(one, open_heads(tmp_path / "other")[0], ["q2v"], resamples=200)
    lines = found.verdict()
    assert lines[0] == "answers: left out, as the right answer in B is another one than in A: 40 paired samples"
    assert lines[1].startswith("answers: no difference: ")
    assert found.answers.loc[found.answers["category"] == ALL_TOGETHER, "questions"].tolist() == [2 * IMAGES - 40]
