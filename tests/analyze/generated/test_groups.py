"""Image mass of groups of words. Oracles: words found by hand, least squares of numpy, one fit without each image."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analyze.__main__ import main
from analyze.generated.groups import difference
from analyze.generated.results import observe_writing
from analyze.generated.vocabulary import OTHER, Vocabulary, read_vocabulary
from analyze.tables.frames import open_heads
from schemas.columns import STEPS, TOKENS
from schemas.errors import HeadflowError
from tests.support.writing import write_writing

CONTENT = {"content": ["dog", "red", "Flower"], "function": ["a", "and", "the"]}


def write_words(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_writing(tmp_path_factory.mktemp("groups") / "run", images=40)


@pytest.mark.parametrize(
    ("pieces", "words", "expected"),
    [
        ([" A", " d", "og", "."], ["dog"], [1]),
        ([" dogs", " Dog", "'s", " under", "dog"], ["dog"], [1]),
        ([" hot", " dog", " dog"], ["dog", "hot dog"], [0, 2]),
        ([" hot", "\n", "dog"], ["hot dog"], [0]),
        ([" I", " don", "'", "t"], ["don't", "t"], [1]),
        (["一", "", "", "只", "", "狗", "dog"], ["狗", "只", "dog"], [1, 4, 6]),
        (["", "dog"], ["dog"], [1]),  # a special token ahead of it
        (["Ä", "pfel", " STRASSE"], ["äpfel", "strasse"], [0, 2]),
        ([" T", "-", "shirt", " shirt"], ["t-shirt"], [0]),
        ([], ["dog"], []),
    ],
)
def test_words_begin_at_their_first_piece(pieces, words, expected):
    found = list(Vocabulary(["one", "two"], dict.fromkeys(words, 0)).find(pieces))
    assert found == [(place, 0) for place in expected]


def test_a_single_group_is_compared_with_all_other_words(tmp_path):
    vocabulary = read_vocabulary(write_words(tmp_path / "words.json", {"animals": ["dog"]}))
    assert list(vocabulary.groups) == ["animals", OTHER]
    assert list(vocabulary.find([" the", " dog", ".", " end"])) == [(0, 1), (1, 0), (3, 1)]


def test_a_part_of_speech_for_each_word(tmp_path):
    vocabulary = read_vocabulary(
        write_words(tmp_path / "words.json", {"Dog": "noun", "red": "adjective", "cat": "noun"})
    )
    assert list(vocabulary.groups) == ["noun", "adjective"]
    assert vocabulary.of_word == {"dog": 0, "cat": 0, "red": 1}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is not JSON in UTF-8"),
        ("[1]", "holds no JSON object"),
        ({}, "has not the form"),
        ({"a": 1}, "has not the form"),
        ({"a": ["x"], "b": "y"}, "has not the form"),
        ({"a": ["x", 2]}, "has not the form"),
        ({"a": ["x"], "b": []}, "has no word in 'b'"),
        ({"a": ["x", " "]}, "has an empty word in 'a'"),
        ({"a": ["x", "Y"], "b": ["z", "y"]}, "has 'y' in two groups, 'a' and 'b'"),
        ('{"a": ["x"], "a": ["y"]}', "it has 'a' twice"),
        ({OTHER: ["x"], "b": ["y"]}, "which is what a single group is compared with"),
        ({"a": ["elephant"]}, "no text has a word of any group; see --words"),
    ],
)
def test_a_file_that_is_none(run, tmp_path, capsys, content, says):
    path = write_words(tmp_path / "words.json", content)
    if says.startswith("no text"):
        path = write_words(path, {"a": ["elephant"], "b": ["tiger"]})
    assert main(["words", str(run), "--words", str(path)]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_a_missing_file(run, tmp_path):
    with pytest.raises(HeadflowError, match=r"none.json cannot be read: No such file or directory$"):
        read_vocabulary(tmp_path / "none.json")


def masses(run):
    """Of each text, by its id: the pieces, and mean image mass by step."""
    tokens, steps = (pd.read_parquet(run / name).astype({"sample_id": str}) for name in (TOKENS, STEPS))
    mass = steps.groupby(["sample_id", "step"])["g2v"].mean()
    return {name: (rows.sort_values("step")["text"].tolist(), mass[name]) for name, rows in tokens.groupby("sample_id")}


def words_of(run, every=1, prompt=None):
    """A row for each word of `CONTENT`, whose pieces are whole words here but for `flower`."""
    group = {word.lower(): name for name, words in CONTENT.items() for word in words}
    rows, images = (
        [],
        pd.read_parquet(run / "samples").astype({"sample_id": str}).set_index("sample_id")["image_sha256"],
    )
    for name, (pieces, mass) in masses(run).items():
        if prompt and not name.endswith(f"@{prompt}"):
            continue
        for step, piece in enumerate(pieces):
            word = piece.strip() + ("ower" if piece == " fl" and pieces[step + 1 : step + 2] == ["ower"] else "")
            alone = "".join(pieces[step + 1 : step + 2]) != "ower" or piece == " fl"
            before = step and piece == "ower"
            if word in group and alone and not before and step % every == 0:
                rows.append((images[name], group[word], step, mass[step]))
    return pd.DataFrame(rows, columns=["image", "group", "step", "g2v"])


@pytest.mark.parametrize(("every", "prompt"), [(1, None), (2, None), (1, "two")])
def test_groups_are_those_of_pandas(run, tmp_path, every, prompt):
    if every == 2 or prompt:
        options = {"images": 24, "longest": 9, "every": every, "wordings": prompt is not None}
        run = write_writing(tmp_path / "run", **options)
    vocabulary = read_vocabulary(write_words(tmp_path / "words.json", CONTENT))
    found = observe_writing(open_heads(run, prompt)[0], vocabulary).groups
    words = words_of(run, every, prompt)
    assert (found.left_out > 0) == (every == 2)
    for row in found.table.to_dict("records"):
        own = words[(words["group"] == row["group"]) & words["step"].between(row["first"], row["last"])]
        assert (row["words"], row["images"]) == (len(own), own["image"].nunique())
        assert row["g2v"] == pytest.approx(own["g2v"].mean(), abs=1e-6)
    whole = found.table[found.table["steps"] == "all"].set_index("group")
    assert whole.index.tolist() == list(CONTENT)
    estimate = fitted(words["step"], words["group"] == "content", words["g2v"])
    assert found.differences["content"].mean == pytest.approx(estimate, abs=1e-6)
    assert whole["difference"].tolist() == pytest.approx([estimate, -estimate], abs=1e-6)


def fitted(step, own, mass):
    """The coefficient of a group, with an effect for each step, by least squares."""
    columns = np.column_stack([np.asarray(own, float), pd.get_dummies(np.asarray(step)).to_numpy(float)])
    return np.linalg.lstsq(columns, np.asarray(mass, float), rcond=None)[0][0]


def drawn(random, *, images=30, effect=0.0, words=6):
    """Words of images with a mass of their own; content words come later, where mass is less."""
    image = np.repeat(np.arange(images), words)
    step = random.integers(0, 8, len(image))
    own = random.random(len(image)) < 0.2 + 0.08 * step
    mass = 0.5 - 0.03 * step + random.gamma(1.0, 0.1, images)[image] + effect * own + random.normal(0, 0.02, len(image))
    return image, step, own, mass


def test_the_interval_leaves_each_image_out():
    image, step, own, mass = drawn(np.random.default_rng(2))
    found = difference(image, step, own, mass)
    assert found.mean == pytest.approx(fitted(step, own, mass))
    without = [fitted(step[image != each], own[image != each], mass[image != each]) for each in range(30)]
    error = np.sqrt(29 / 30 * ((without - np.mean(without)) ** 2).sum())
    assert (found.high - found.mean) / error == pytest.approx(stats.t.ppf(0.975, found.images - 1))


def test_what_comes_later_is_not_said_to_have_less():
    random, claims, runs = np.random.default_rng(4), 0, 300
    naive = 0
    for _ in range(runs):
        image, step, own, mass = drawn(random)
        claims += difference(image, step, own, mass).direction != 0
        naive += difference(image, np.zeros_like(step), own, mass).direction != 0
    assert claims <= 0.05 * runs + 2 * np.sqrt(0.05 * 0.95 * runs)
    assert naive > runs / 2
    assert difference(*drawn(random, effect=0.2)).direction == 1


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("content", "images", "says"),
    [
        (CONTENT, 4, "words of 'content' and of 'function': cannot be told on fewer than 20 images"),
        ({"a": ["a"], "b": ["the"], "c": ["dog"]}, 40, "intervals hold for all 3 groups at once"),
        ({"a": ["a"], "b": ["elephant"]}, 4, "no text has a word of 'b'"),
        ({"a": ["zebra"]}, 4, "no text has a word of 'a'"),
    ],
)
def test_words_of_the_command(tmp_path, capsys, content, images, says):
    run, path = write_writing(tmp_path / "run", images=images), write_words(tmp_path / "words.json", content)
    assert main(["words", str(run), "--words", str(path)]) == 0
    out = capsys.readouterr().out
    assert says in out
    assert "cannot be compared" not in out
    assert "the mass of a word is that of its first piece, at the step that chose it" in out
    pd.testing.assert_frame_equal(
        pd.read_csv(run / "words" / "groups.csv"),
        observe_writing(open_heads(run)[0], read_vocabulary(path)).groups.table, check_dtype=False,
    )  # fmt: skip
