"""Mentions in generated texts. Oracles: the truth that the texts were made from; a head that was made to look at what
is there; truths that were drawn anew, in which no head tells anything; Mann and Whitney's U by scipy."""

import os
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analyze.__main__ import main
from analyze.mentions.finding import ObjectWords, find_mentions
from analyze.mentions.results import mentions_of
from analyze.mentions.telling import image_parts, tell, without_trend
from analyze.statistics.clusters import Clusters
from analyze.tables.frames import open_heads
from schemas.columns import STEP_MAPS, STEPS, TOKENS
from schemas.errors import HeadflowError
from tests.support.maps import made_up
from tests.support.runs import flows, manifest, sample, start, write_run

LAYERS, HEADS, IMAGES, SEES = 2, 3, 60, (1, 2)  # `SEES` looks at the image where the object is there, and into its box
THINGS = {"red circle": ["red circle"], "blue star": ["blue star", "blue stars"], "dog": ["dog", "puppy"]}
BOX = {"red circle": [0, 0, 20, 20], "blue star": [40, 20, 60, 40], "dog": [0, 20, 20, 40]}
GRID = (4, 6)
SHUFFLES = int(os.environ.get("HEADFLOW_SHUFFLES", "40"))


def write_captions(path, *, planted=True, seed=0):
    """A run of captions `There is a NAME and a NAME .`; returns (sample, name, step, whether it is there)."""
    random, truth = np.random.default_rng(seed), []
    fields = {"tables": [TOKENS, STEPS, STEP_MAPS], "generate": 16, "step_map_heads": [[0, 1], list(SEES)]}
    writer = start(path, IMAGES, fields={"layers": LAYERS, "heads": HEADS, **fields})
    for number in range(IMAGES):
        there = [name for name in THINGS if random.random() < 0.5]
        named = random.permutation(list(THINGS))[:2]
        pieces = ["There", " is", " a"]
        steps = []
        for name in named:
            steps.append(len(pieces))
            first, *others = random.choice(THINGS[name]).split(" ")
            pieces += [f" {first}", *(f" {other}" for other in others), " and", " a"]
        pieces += [" .", ""]
        taken = len(pieces)
        masses = random.dirichlet(np.full(6, 2.0), (taken, LAYERS, HEADS))
        numbers, places = made_up(random, taken, 2, rows=GRID[0], columns=GRID[1])
        lists = numbers["maps.map"][0].reshape(taken, 2, -1)
        for name, step in zip(named, steps, strict=True):
            truth.append((f"c{number}", name, step, name in there))
            if planted:
                masses[step, *SEES] = [0.1, 0, 0, 0.7, 0.1, 0.1] if name in there else [0.5, 0, 0, 0.1, 0.2, 0.2]
                lists[step, 1] = 1e-4
                x, y = BOX[name][0] // 10, BOX[name][1] // 10
                lists[step, 1].reshape(GRID)[y, x] = 0.5
        tokens = np.abs(random.normal(size=(taken, 3))) * [-1, 1, 1]
        grids = {
            TOKENS: tokens.astype(np.float32), "tokens.token_id": np.arange(taken), "tokens.text": pieces,
            STEPS: masses.astype(np.float32), STEP_MAPS: numbers["maps"][0][:, None],
            "step_maps.map": [lists.reshape(taken * 2, -1).astype(np.float32)],
        }  # fmt: skip
        objects = [{"name": name, "words": THINGS[name], "boxes": [BOX[name]]} for name in there]
        row = sample(number, "caption") | places
        row |= {"sample_id": f"c{number}", "row": number, "text": "".join(pieces), "n_generated": taken}
        row |= {"objects": objects, "ended": "stop", "answer_step": 0, "image_sha256": f"{number:064x}"}
        writer.add(row, {"heads": flows(random, LAYERS, HEADS), **grids})
    writer.finish()
    return truth


@pytest.fixture(scope="module")
def captions(tmp_path_factory):
    path = tmp_path_factory.mktemp("captions") / "run"
    return path, write_captions(path)


def test_mentions_and_rates_are_those_of_the_truth(captions):
    path, truth = captions
    found = mentions_of(open_heads(path)[0], resamples=200, seed=0)
    rows = found.rows[["sample_id", "name", "step", "true"]]
    assert list(rows.itertuples(index=False, name=None)) == truth
    wrong = pd.Series([not there for *_, there in truth])
    assert found.of_mentions.estimate == pytest.approx(wrong.mean())
    per_text = wrong.groupby([name for name, *_ in truth], sort=False).any()
    assert found.of_texts.estimate == pytest.approx(per_text.mean())
    assert found.of_texts.low < per_text.mean() < found.of_texts.high
    assert found.objects["made_up"].sum() == wrong.sum()


def test_the_head_that_sees_is_found_first(captions):
    path, truth = captions
    found = mentions_of(open_heads(path)[0], resamples=2_000, seed=0)
    best = found.told.table.sort_values("p").iloc[0]
    assert (best["layer"], best["head"], round(best["auroc"], 9)) == (*SEES, 1.0)
    assert found.told.table["tells"].sum() == 1
    pointing = found.pointing.set_index(["layer", "head"])
    assert pointing.loc[SEES, "pointing"] == 1.0
    assert pointing["points"].tolist() == [False, True]
    assert pointing.loc[SEES, "mentions"] == sum(there for *_, there in truth)
    lines = "\n".join(found.verdict())
    assert "L1H2 looks more at the image where the object is there: AUROC 1.00" in lines


def test_the_parts_of_images_are_those_of_mann_and_whitney():
    random = np.random.default_rng(1)
    values, true = random.normal(size=(40, 3)), random.random(40) < 0.5
    strata = random.integers(0, 3, 40)
    clusters = Clusters.by_name(pd.Series(random.integers(0, 9, 40).astype(str)), pd.Series(["all"] * 40))
    parts, pairs = image_parts(values, true, strata, clusters)
    expected = sum(
        stats.mannwhitneyu(values[own & true], values[own & ~true]).statistic
        for own in (strata == each for each in range(3))
    )
    assert pairs == sum((own & true).sum() * (own & ~true).sum() for own in (strata == each for each in range(3)))
    np.testing.assert_allclose(0.5 + parts.sum(axis=0) / pairs, expected / pairs)


def test_a_trend_by_step_is_taken_out_of_each_bin():
    step, bins = np.arange(12), np.repeat([0, 1], 6)
    mentions = pd.DataFrame({"step": step, "word": "dog", "true": step % 3 == 0})
    falling = np.where(bins == 0, 5 - 0.5 * step, 9 - step)[:, None]
    straight = without_trend(falling, mentions, bins)
    np.testing.assert_allclose(straight, np.where(bins == 0, 5.0, 9.0)[:, None])
    gain = 3.0 * mentions[["true"]].to_numpy()
    np.testing.assert_allclose(without_trend(falling + gain, mentions, bins) - straight, gain)


def test_mentions_of_one_kind_tell_nothing():
    samples = pd.DataFrame({"image_sha256": [f"{number:064x}" for number in range(30)], "category": "caption"})
    samples = samples.assign(image="x", question_id="x", sample_id=samples["image_sha256"])
    mentions = pd.DataFrame({"row": np.arange(30), "step": 3, "word": "dog", "true": True})
    told = tell(mentions, np.zeros((30, 4)), samples, model=manifest(layers=2, heads=2), flips=100, seed=0)
    assert told.table.empty
    assert told.why.endswith("are on 0 images; 10 are needed")


def test_a_shuffled_truth_is_told_by_no_head():
    """Values that share much within an image, and fall with the step; truths shuffled within the images' words."""
    random, false = np.random.default_rng(2), 0
    images, each, heads = 60, 4, 12
    row = np.repeat(np.arange(images), each)
    samples = pd.DataFrame({"image_sha256": [f"{number:064x}" for number in range(images)], "category": "caption"})
    samples = samples.assign(image="x", question_id="x", sample_id=samples["image_sha256"])
    for _ in range(SHUFFLES):
        step = random.integers(0, 20, images * each)
        own = random.normal(size=(images, heads))[row] + random.normal(size=(images * each, heads))
        mentions = pd.DataFrame({"row": row, "step": step, "word": random.choice(["dog", "cat"], len(row))})
        mentions["true"] = random.random(len(row)) < 0.9 - 0.03 * step
        told = tell(mentions, own - 0.2 * step[:, None], samples, model=manifest(layers=3, heads=4), flips=200, seed=0)
        false += bool(told.table["tells"].any())
    assert false <= stats.binom.ppf(0.995, SHUFFLES, 0.05)


def test_longer_words_come_first_and_whole_words_only():
    words = ObjectWords([[{"name": "hot dog", "words": ["hot dog"]}, {"name": "dog", "words": ["dog", "狗"]}]])
    text = "A Hot Dog, a dog, dogma; 一只狗在"
    found = [(text[first:last], word) for first, last, word in words.find(text)]
    assert found == [("Hot Dog", "hot dog"), ("dog", "dog"), ("狗", "狗")]


def test_the_command_writes_its_tables(captions, tmp_path, capsys, undrawn):
    assert main(["mentions", str(captions[0]), "--output-dir", str(tmp_path / "out"), "--resamples", "200"]) == 0
    assert "CHAIR_i" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {
        "mentions.csv", "objects.csv", "steps.csv", "heads.csv", "pointing.csv",
    }  # fmt: skip


def test_a_run_without_texts_or_objects_says_so(tmp_path, capsys):
    assert main(["mentions", str(write_run(tmp_path / "run"))]) == 2
    assert "has no table tokens" in capsys.readouterr().err
    write_run(tmp_path / "texts", tables=[TOKENS, STEPS, STEP_MAPS])
    with pytest.raises(HeadflowError, match="no sample has `objects`"):
        mentions_of(open_heads(tmp_path / "texts")[0], resamples=100, seed=0)


def test_boxes_outside_the_image_are_said(captions):
    heads, _ = open_heads(captions[0])
    for width, said in ((heads.samples["image_width"], 0), (heads.samples["image_width"] * 0 + 1, 1)):
        samples = heads.samples.assign(image_width=width)
        found = mentions_of(replace(heads, samples=samples), resamples=20, seed=0)
        assert sum("boxes outside the image" in line for line in found.verdict()) == said


def test_samples_whose_objects_are_not_known_do_not_count(captions):
    heads, _ = open_heads(captions[0])
    objects = heads.samples["objects"].copy()
    objects.iloc[:10] = None
    rows = find_mentions(type(heads)(heads.run, heads.samples.assign(objects=objects), heads.parts, heads.categories))
    assert set(rows["sample_id"]) == {f"c{number}" for number in range(10, IMAGES)}
