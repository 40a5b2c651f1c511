"""Whatever is read may be anything: each command ends by itself, with one line where it fails, and no traceback.

`HEADFLOW_EXAMPLES=5000 python -m pytest tests/test_fuzzing.py` tries more, and other ones each time.
"""

import contextlib
import io
import os
import shutil
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from analyze import results
from analyze.__main__ import main as analyze
from analyze.published.reference import LLAVA_MME
from extract.__main__ import main as extract_main
from extract.images.decoding import load_image
from extract.images.loading import open_images
from extract.questions.question_set import read_questions
from extract.questions.samples import Unusable
from schemas.cli import run_command
from schemas.columns import EXTRAS, OF_LAST, REASONS
from schemas.manifest import PACKED
from schemas.validation.run import validate
from tests.support import tiny_originals
from tests.support.mutations import HOSTILE, LETTERS, altered, as_json, changed, damaged, values
from tests.support.pictures import draw_nothing, encoded
from tests.support.prunable import World, measure, singles
from tests.support.runs import LEDGER, OF_TEXT, PART, start, write_run
from tests.support.tiny_families import make_family
from tests.support.tiny_llava import make_checkpoint

EXAMPLES = int(os.environ.get("HEADFLOW_EXAMPLES", "4"))
FEW = max(2, EXAMPLES // 5)  # where each takes a while
TABLES = ("heads", "samples", *EXTRAS)
JOB = "single"
OF_JOB = tuple(f"jobs/{JOB}/{name}" for name in ("run.json", LEDGER, f"knockouts/{PART}"))
FEW_PICTURES = ("--dpi", "10", "--layers", "0")
PICTURED = ("category", "layer", "head", "t2v", "v2t", "v2sys")  # columns that pictures are drawn of
ENDS = (0, 1, 2)  # done, done and something was found, refused


def tried(examples: int = EXAMPLES):
    """Settings of a test: the same examples each time, unless more are asked for."""
    return settings(
        max_examples=examples,
        derandomize="HEADFLOW_EXAMPLES" not in os.environ,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def ends(command: Callable[[], int]) -> int:
    """The exit code of a command, which is to be one of `ENDS`, with one short line where it is refused."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = command()
        except SystemExit as stop:  # of argparse
            return int(stop.code)
    said = [line for line in err.getvalue().splitlines() if not line.startswith("warning: ")]
    assert code in ENDS
    if code == 2 and said:  # `verify` tells on stdout why it cannot compare
        last = said[-1].rpartition("\r")[2]  # after a progress bar
        assert last.startswith("error: "), err.getvalue()
        assert len(last) < 1500, last
    return code


class Broken:
    """A run in which one file becomes another, and what every command makes of it."""

    def __init__(self, folder: Path) -> None:
        self.whole = write_run(folder / "whole", tables=EXTRAS)
        world = World.of(2, 3)
        measure(self.whole, world, JOB, singles(world))
        self.run = folder / "run"

    def try_some(self, name: str, content: bytes, data: st.DataObject) -> None:
        """Let `validate` and two of the other commands that read a file, which are drawn, make something of it."""
        shutil.rmtree(self.run, ignore_errors=True)
        shutil.copytree(self.whole, self.run)
        (self.run / name).write_bytes(content)
        if name in OF_JOB:  # which few commands read
            ends(lambda: analyze(["validate", str(self.run)]))
            ends(lambda: analyze(["prune", str(self.run), "--resamples", "100", "--random", "3"]))
            return
        run, out = str(self.run), str(self.run.with_name("out"))
        commands = [
            ["subset", run, out, "--heads-query", "layer == 0", "--overwrite"],
            ["merge", run, out, "--overwrite"],
        ]
        commands.append(["resume"])
        if not name.startswith(tuple(EXTRAS)):  # which few commands read
            drawn = (["plots", run, *FEW_PICTURES], ["verify", run, "--dpi", "10"])
            commands += [["summary", run], ["export-pt", run], *drawn]
        some = st.lists(st.sampled_from(commands), min_size=2, max_size=2, unique_by=tuple)
        for words in [["validate", run], *data.draw(some)]:
            ends(self.resume if words == ["resume"] else lambda words=words: analyze(words))

    def resume(self) -> int:
        def body() -> int:
            fields = {"tables": list(EXTRAS), "maps_of": OF_LAST, **OF_TEXT}
            start(self.run, 10, fields=fields, retry_skipped=True).close()
            return 0

        return run_command(body)


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    return Broken(tmp_path_factory.mktemp("broken"))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzzing")


@pytest.mark.parametrize("name", ["run.json", LEDGER, *(f"{table}/{PART}" for table in TABLES), *OF_JOB])
def test_runs(broken, name, monkeypatch):
    if name != "run.json":  # other values and names are drawn in `test_columns`
        monkeypatch.setattr(results, "_draw", draw_nothing)

    @tried()
    @given(changed(broken.whole / name), st.data())
    def test(content, data):
        broken.try_some(name, content, data)

    test()


@pytest.mark.parametrize("name", [*(f"{table}/{PART}" for table in TABLES), OF_JOB[-1]])
def test_columns(broken, name, monkeypatch):
    """Parquet that is whole, but with other values or types in one column."""
    whole = pq.read_table(broken.whole / name)
    draw = results._draw

    @tried()
    @given(st.sampled_from(whole.column_names), st.data())
    def test(column, data):
        index = whole.schema.get_field_index(column)
        kind = data.draw(st.sampled_from((None, whole.schema.field(index).type)))
        items = data.draw(st.lists(values, min_size=1, max_size=3))
        cells = (items * whole.num_rows)[: whole.num_rows]
        buffer = io.BytesIO()
        try:
            pq.write_table(whole.set_column(index, column, pa.array(cells, kind)), buffer)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            assume(False)
        monkeypatch.setattr(results, "_draw", draw if column.startswith(("n_", *PICTURED)) else draw_nothing)
        broken.try_some(name, buffer.getvalue(), data)

    test()


def test_records(place):
    masses = dict.fromkeys(range(3), 0.1)
    layer = {"text_to_visual": masses, "visual_to_text": masses, "total": masses}
    records = [{"id": str(n), "image_file": f"{n}.png", "category": "a", "per_layer": [layer] * 2} for n in range(3)]

    def saved(value, **options) -> bytes:
        buffer = io.BytesIO()
        torch.save(value, buffer, **options)
        return buffer.getvalue()

    @tried()
    @given(
        (altered(records) | values).map(saved)
        | damaged(saved(records))
        | damaged(saved(records, _use_new_zipfile_serialization=False))
    )
    def test(content):
        file, run = place / "records.pt", place / "imported"
        shutil.rmtree(run, ignore_errors=True)
        file.write_bytes(content)
        if ends(lambda: analyze(["import-pt", str(file), str(run)])) == 0:
            assert list(validate(run)) == []

    test()


def test_references(broken, place):
    @tried()
    @given(changed(LLAVA_MME))
    def test(content):
        (place / "reference.json").write_bytes(content)
        flags = ["--reference", str(place / "reference.json"), "--output-dir", str(place), "--dpi", "10"]
        ends(lambda: analyze(["verify", str(broken.whole), *flags]))

    test()


ROWS = [
    {"question_id": "a", "image_file": "a.png", "question": "Is it?", "answer": "Yes", "category": "OCR"},
    {"question_id": "b", "image": "a.png", "text": "Is it?", "label": "Yes", "category": "OCR"},
    {
        "id": "c",
        "image": "x.png",
        "conversations": [{"from": "human", "value": "<image>\nWhich?"}, {"from": "gpt", "value": "A"}],
    },
]


def read(path: Path) -> int:
    """What `extract` does with a question file before it needs a model; images that are in it are read."""

    def body() -> int:
        questions = read_questions(path, image_folder=path.parent)
        samples = questions.samples
        for column in ("sample_id", "category", "question", "image", "answer"):
            pa.array([getattr(sample, column) for sample in samples], pa.string())
        if path.suffix == ".parquet":
            images = open_images(questions, samples, lambda image: image.size)
            assert all(
                image.reason is None or image.reason in REASONS
                for image in map(images.__getitem__, range(len(samples)))
            )
        return 0

    return run_command(body)


@pytest.mark.parametrize(
    ("name", "contents"),
    [
        ("q.json", (altered(ROWS) | values).map(as_json) | damaged(as_json(ROWS)) | st.binary()),
        ("q.jsonl", st.lists(altered(ROWS[1]) | values, max_size=4).map(lambda rows: b"\n".join(map(as_json, rows)))),
        ("release/OCR/a.txt", damaged(b"Is it red?\tYes\nIs it blue?\tNo\n") | st.binary()),
    ],
    ids=["json", "jsonl", "released"],
)
def test_question_files(place, name, contents):
    file = place / name
    file.parent.mkdir(parents=True, exist_ok=True)

    @tried(8 * EXAMPLES)
    @given(contents)
    def test(content):
        file.write_bytes(content)
        ends(lambda: read(file if file.parent == place else place / "release"))

    test()


def test_shards(place):
    file = place / "q.parquet"
    red = encoded(Image.new("RGB", (20, 20), "red"))
    rows = [{**ROWS[0], "image": {"bytes": red, "path": "a.png"}} for _ in range(6)]
    pq.write_table(pa.Table.from_pylist(rows), file, row_group_size=4)
    whole = file.read_bytes()
    cells = values | st.just({"bytes": red}) | st.just({"bytes": None, "path": 3}) | st.binary()

    @tried(4 * EXAMPLES)
    @given(damaged(whole) | st.tuples(st.sampled_from(sorted(rows[0])), cells))
    def test(content):
        if isinstance(content, tuple):
            name, cell = content
            try:
                pq.write_table(pa.Table.from_pylist([{**row, name: cell} for row in rows]), file)
            except (pa.ArrowException, TypeError, ValueError, OverflowError):
                assume(False)
        else:
            file.write_bytes(content)
        ends(lambda: read(file))

    test()


def test_images(place):
    noise = Image.effect_noise((40, 30), 90)
    modes = {"png": ("1", "L", "P", "I;16", "RGBA"), "tiff": ("CMYK", "I;16"), "jpeg": ("L", "CMYK")}
    others = ("gif", "bmp", "webp", "ppm", "ico", "tga", "pcx", "dds", "sgi", "blp", "avif", "jpeg2000")
    files = [encoded(noise.convert(mode), kind) for kind, each in modes.items() for mode in each]
    files += [encoded(noise.convert("P" if kind == "blp" else "RGB"), kind) for kind in others]

    @tried(16 * EXAMPLES)
    @given(st.sampled_from(files).flatmap(damaged))
    def test(content):
        (place / "image").write_bytes(content)
        with contextlib.suppress(Unusable):
            assert load_image(place / "image")[0].mode == "RGB"

    test()


def test_flags(broken, place):
    number = st.sampled_from(
        ["0", "1", "-1", "nan", "inf", "1e308", "1e-308", "0.05", "1e9", "100000", "２", "²", "x", ""]
    )
    word = st.sampled_from(["", ".", "..", "a/b", "../x", "a\0b", "a" * 300, "OCR", "t2v", "\udcff", "0-1", "0-", "-"])
    takes = {
        "--bins": (number, 3), "--range": (number, 2), "--figsize": (number, 2), "--dpi": (number, 1),
        "--layers": (word | number, 2), "--categories": (word, 2), "--metrics": (word, 2), "--prefix": (word, 1),
    }  # fmt: skip
    pairs = ("--range", "--figsize")
    flag = st.sampled_from(sorted(takes)).flatmap(
        lambda name: st.lists(takes[name][0], min_size=1, max_size=takes[name][1]).map(
            lambda given: [name, *(given if name in pairs else [",".join(given)])]
        )
    )

    @tried()
    @given(st.lists(flag, max_size=3))
    def test(flags):
        argv = ["plots", str(broken.whole), "--output-dir", str(place / "plots" / "in"), *FEW_PICTURES, *chain(*flags)]
        ends(lambda: analyze(argv))
        assert {file.name for file in (place / "plots").glob("*")} <= {"in"}

    test()


@pytest.fixture(scope="module")
def hostile(place, questions):
    """Rows of a question file, as far as possible from what MME asks."""
    images = sorted(file.relative_to(questions / "images").as_posix() for file in (questions / "images").rglob("*.png"))
    text = st.lists(st.sampled_from(HOSTILE) | st.text(LETTERS, max_size=8), max_size=5).map("".join)
    image = st.sampled_from(images[:4]) | text
    optional = {"category": text, "question_id": text, "answer": text}
    row = st.fixed_dictionaries({"question": text, "image_file": image}, optional=optional)
    plain = [{"question": "Is it red?", "image_file": images[0]}] * 5  # so that not nearly all are skipped
    return st.lists(row, min_size=5, max_size=15).map(lambda rows: rows + plain)


@pytest.mark.parametrize(("family", "mode"), [("llava", "vicuna_v1"), ("llava_onevision", "plain"), ("gemma3", "hf")])
def test_questions_that_are_asked(place, questions, hostile, family, mode, monkeypatch):
    """Each sample has a row, with its flows or with its reason; what is drawn of the names lies where it should."""
    if family != "llava":  # one family shows what names look like in pictures
        monkeypatch.setattr(results, "_draw", draw_nothing)
    model = place / family
    if not model.exists():
        make_family(model, family)

    @tried(FEW)
    @given(hostile, st.sampled_from((PACKED, "separate")))
    def test(rows, sequences):
        run, out = place / "asked", place / "pictures"
        for folder in (run, out):
            shutil.rmtree(folder, ignore_errors=True)
        (place / "asked.json").write_bytes(as_json(rows))
        flags = {
            "model-path": model, "question-file": place / "asked.json", "image-folder": questions / "images",
            "output-dir": run, "num-workers": 0, "batch-size": 4, "sequences": sequences, "conv-mode": mode,
            "device": "cpu",
        }  # fmt: skip
        argv = [text for name, value in flags.items() for text in (f"--{name}", str(value))]
        assert ends(lambda: extract_main(argv)) == 0
        assert list(validate(run)) == []
        for command in ("summary", "export-pt", "plots"):
            more = [*FEW_PICTURES, "--metrics", "t2v"] if command == "plots" else []
            to = ["--output-dir", str(out / "in")]
            ends(lambda command=command, more=more, to=to: analyze([command, str(run), *to, *more]))
        assert {file.name for file in out.glob("*")} <= {"in"}

    test()


@pytest.fixture(scope="module", params=["transformers", "released", "lora"])
def checkpoint(request, tmp_path_factory, texts):
    """A folder, and the flags that name a checkpoint in it."""
    folder = tmp_path_factory.mktemp("checkpoint")
    if request.param == "transformers":
        make_checkpoint(folder, texts, layers=1, heads=2, kv_heads=2, image_size=28)
        return folder, ["--model-path", str(folder)]
    form = tiny_originals.FORMS["lora"] if request.param == "lora" else {}
    flags = tiny_originals.Original(folder, tiny_originals.make_corpus(texts), **form).flags()
    return folder, [text for name, path in flags.items() for text in (f"--{name.replace('_', '-')}", str(path))]


def test_checkpoints(checkpoint, place, questions):
    folder, named = checkpoint
    files = {file: file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}
    fixed = ["--image-folder", str(questions / "images"), "--question-file", str(questions / "MME_test.json")]
    fixed += ["--device", "cpu"]
    run = place / "run"

    @tried(2 * FEW)
    @given(st.sampled_from(list(files)), st.data())
    def test(file, data):
        content = data.draw(changed(file))
        shutil.rmtree(run, ignore_errors=True)
        file.write_bytes(content)
        try:
            flags = ["--num-samples", "2", "--num-workers", "0", "--batch-size", "1", "--output-dir", str(run)]
            ends(lambda: extract_main([*named, *fixed, *flags]))
            ends(lambda: extract_main([*named, *fixed, "--show-prompt", "1"]))
        finally:
            file.write_bytes(files[file])

    test()
