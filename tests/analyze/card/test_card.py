"""Oracle: the run that is copied, read by pandas, and PyYAML for what the hub reads of the card."""

import json
import re
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from huggingface_hub import DatasetCard

from analyze.__main__ import main
from analyze.card import publishing
from analyze.card.page import size_category
from schemas.files.locations import location
from schemas.jobs.settings import JobSettings
from schemas.manifest import Session
from schemas.store import writer as writer_module
from schemas.store.directory import record_outputs
from schemas.store.jobs import job_manifest, job_path, open_job
from schemas.store.run import open_run
from schemas.text import storable
from schemas.validation.run import validate
from tests.support.runs import (
    MME,
    edit_json,
    edit_manifest,
    extras,
    flows,
    read_tables,
    rewrite,
    sample,
    start,
    write_run,
)

SECRET = "is-it-a-secret"
HOME = "/home/someone"
WITHHELD = ["question", "answer", "boxes", "detail"]
TABLES = ("contributions", "layers", "maps")
SETTINGS = JobSettings(kind="edge", query="last", key="image", knock_outs={"L0H1": {"heads": [[0, 1]], "layers": []}})


def write(path, *, samples=10, finish=True, **fields):
    """A run in several parts, with texts, a skipped sample, thumbnails, a job, and paths in its ledgers."""
    session = Session(device="cpu", git_commit="abc", versions={"torch": "2"}, arguments={"image_folder": HOME})
    writer = start(path, samples + 1, fields={"question_file": f"{HOME}/MME.json", **fields})
    writer.session.arguments = session.arguments
    writer.session.git_commit, writer.session.versions = "abc", session.versions
    tables = fields.get("tables", [])
    for number in range(samples):
        random = np.random.default_rng(number)
        grids, more = extras(random, 2, 3, tables) if tables else ({}, {})
        row = sample(number, "OCR" if number < 4 else "color") | {"row": number} | more
        row |= {"question": f"{SECRET} {number}?", "boxes": [[number, 1, number + 2, 3]]}
        writer.add(row, {"heads": flows(random, 2, 3), **grids}, {row["image_sha256"]: f"{SECRET} picture".encode()})
    writer.skip({"sample_id": "lost", "category": "color", "row": samples}, "image_missing", f"{HOME}/lost.png")
    writer.finish() if finish else (writer.flush(), writer.close())
    return path


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(writer_module, "ROWS_PER_PART", 24)
    path = write(tmp_path / "run", tables=list(TABLES), maps_of="a")
    manifest, session = job_manifest(open_run(path), SETTINGS), Session(arguments={"run": HOME})
    job = writer_module.RunWriter(job_path(path, "edge"), manifest, session, samples=10)
    for row in open_run(path).samples().to_pylist()[:10]:
        job.add_rows(row["sample_id"], row["category"], {name: [0.5] for name in VALUES} | {"prediction": ["Yes"]})
    job.finish()
    return path


VALUES = ("margin", "margin_untouched", "lead", "lead_untouched", "p_yes", "p_no")


def card(run, out, *flags):
    return main(["card", str(run), str(out), *flags])


def front_matter(out):
    opening, text, body = (out / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert opening == ""
    return yaml.safe_load(text), body


def everything(folder) -> str:
    """The bytes of all files, and the values and the metadata of all tables, as text."""
    found = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        found += [str(file.relative_to(folder)), file.read_bytes().decode("latin-1")]
        if file.suffix == ".parquet":
            found += [str(pq.read_table(file).to_pylist()), str(pq.read_schema(file).metadata)]
    return "\n".join(found)


def plain(table: pd.DataFrame) -> pd.DataFrame:
    return table.astype({name: str for name in table if isinstance(table[name].dtype, pd.CategoricalDtype)})


def test_the_rows_are_those_of_the_run_but_for_what_is_withheld(run, tmp_path):
    assert card(run, tmp_path / "out") == 0
    assert list(validate(tmp_path / "out")) == []
    for table in ("heads", "samples", *TABLES, "jobs/edge/knockouts"):
        expected, found = (plain(pd.read_parquet(path / table)) for path in (run, tmp_path / "out"))
        if table == "samples":
            assert expected[WITHHELD].notna().any().all()
            assert found[WITHHELD].isna().all(axis=None)
            expected, found = expected.drop(columns=WITHHELD), found.drop(columns=WITHHELD)
        pd.testing.assert_frame_equal(found, expected, check_exact=True)
    copied = open_run(tmp_path / "out")
    assert len(copied.parts) == len(open_run(run).parts) > 1
    assert open_job(copied, "edge").settings.knock_outs == SETTINGS.knock_outs


def test_no_text_of_the_benchmark_and_no_path_is_in_it(run, tmp_path):
    part = next((run / "heads").iterdir())
    table = pq.read_table(part)
    table = table.append_column("note", pa.array([SECRET] * len(table))).replace_schema_metadata({"note": SECRET})
    pq.write_table(table, part)  # as another tool may
    (run / "report.html").write_text(SECRET)
    assert card(run, tmp_path / "out") == 0
    text = everything(tmp_path / "out")
    assert SECRET not in text
    assert HOME not in text
    assert not (tmp_path / "out" / "thumbnails").exists()
    assert "OCR/0.png" in text  # the search finds what is there, and names of images stay


def test_texts_stay_where_they_are_asked_for_and_paths_do_not(run, tmp_path, capsys):
    assert card(run, tmp_path / "out", "--with-texts") == 0
    assert "which have licences of their own" in capsys.readouterr().err
    assert list(validate(tmp_path / "out")) == []
    expected, found = (read_tables(path)[1] for path in (run, tmp_path / "out"))
    pd.testing.assert_frame_equal(plain(found).drop(columns="detail"), plain(expected).drop(columns="detail"))
    thumbnails = [sorted(file.name for file in (path / "thumbnails").iterdir()) for path in (run, tmp_path / "out")]
    assert thumbnails[0] == thumbnails[1] != []
    assert HOME not in everything(tmp_path / "out")
    assert SECRET not in (tmp_path / "out" / "README.md").read_text()
    assert front_matter(tmp_path / "out")[0]["task_categories"] == ["visual-question-answering"]


def test_the_hub_can_read_the_front_matter(run, tmp_path):
    assert card(run, tmp_path / "out") == 0
    assert DatasetCard.load(tmp_path / "out" / "README.md").data.configs  # as the hub's own client reads it
    fields, body = front_matter(tmp_path / "out")
    assert fields.keys() == {"pretty_name", "tags", "size_categories", "configs"}  # neither a licence nor a language
    assert fields["pretty_name"] == "Attention heads of made/up on MME.json"
    assert "mme" not in fields["tags"]
    assert [each["config_name"] for each in fields["configs"]] == ["heads", "samples", *TABLES, "knockouts"]
    assert [each["config_name"] for each in fields["configs"] if each.get("default")] == ["heads"]
    rows = 0
    for each in fields["configs"]:
        files = set((tmp_path / "out").glob(each["data_files"]))
        name = each["config_name"]
        folder = tmp_path / "out" / ("jobs/edge" if name == "knockouts" else "") / name
        assert files == set(folder.iterdir()) != set()
        rows += sum(pq.read_metadata(file).num_rows for file in files)
    assert fields["size_categories"] == [size_category(rows)]
    assert "- 10 samples observed\n- 1 sample skipped: image\\_missing\n" in body
    assert "| color | 6 | 1 |" in body
    assert "not complete" not in body


def test_a_missing_hub_client_is_one_line(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert card(run, tmp_path / "out") == 2
    assert capsys.readouterr().err == "error: the card needs huggingface_hub: pip install -e '.[card]'\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("rows", "name"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (2_431_000, "1M<n<10M"), (10**12, "n>1T"), (10**15, "n>1T")],
)
def test_size_categories(rows, name):
    assert size_category(rows) == name


def test_all_categories_of_mme_make_it_mme(tmp_path):
    write_run(tmp_path / "run", categories=dict.fromkeys(MME, 2))
    assert card(tmp_path / "run", tmp_path / "out") == 0
    assert "mme" in front_matter(tmp_path / "out")[0]["tags"]


def test_the_score_is_that_of_summary(run, tmp_path, capsys):
    assert card(run, tmp_path / "out") == 0
    assert main(["summary", str(run)]) == 0
    section = front_matter(tmp_path / "out")[1].partition("## MME score")[2]
    for row in pd.read_csv(run / "scores.csv").to_dict("records"):
        line = next(line for line in section.splitlines() if line.startswith(f"| {row['category']} |"))
        shown = [cell.strip() for cell in line.split("|")[1:-1]]
        expected = [row[name] for name in ("score", "low", "high")]
        assert [float(shown[place]) for place in (5, 9, 10)] == pytest.approx(expected, abs=0.006)


def test_pictures_of_the_whole_run_go_with_it(run, tmp_path):
    assert main(["plots", str(run), "--dpi", "20", "--metrics", "t2v", "--layers", "0", "--categories", "OCR"]) == 0
    (run / "sample_head_map_secret.png").write_text(SECRET)
    assert card(run, tmp_path / "out") == 0
    links = re.findall(r"!\[.*\]\((.*)\)", front_matter(tmp_path / "out")[1])
    found = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out" / "figures").iterdir())
    assert sorted(links) == found
    assert "figures/mme_head_map_t2v.png" in found
    assert not any("layer0" in name or "secret" in name for name in found)
    assert (tmp_path / "out" / found[0]).read_bytes() == (run / found[0].removeprefix("figures/")).read_bytes()


HOSTILE = 'a|b`c`\n---\n"quoted" \\ <script>alert(1)</script> [x](http://y) ![z](w) *bold* \u202e\ud800'


def test_hostile_names_are_shown_as_they_are(tmp_path):
    name = storable(HOSTILE)
    write_run(tmp_path / "run", categories={name: 4})
    edit_manifest(
        tmp_path / "run",
        model=f"{name}/model",
        question_file=name,
        dtype=name,
        image_preprocessing={name: name},
        prompts={name: {"template": name}},
    )
    assert card(tmp_path / "run", tmp_path / "out") == 0
    fields, body = front_matter(tmp_path / "out")
    assert '"quoted" \\' in fields["pretty_name"]
    assert "\n" not in fields["pretty_name"]
    assert len(fields["configs"]) == 2
    assert "<script" not in body
    assert body.count("&lt;script&gt;") >= 5
    assert "---\n" not in body.replace("| --- |", "")
    for line in body.splitlines():
        if "alert" in line and line.startswith("|"):
            cells = re.split(r"(?<!\\)(?:\\\\)*\|", line)[1:-1]
            assert len(cells) in (3, 4, 11), line  # no cell more than the headers have
            assert not re.search(r"(?<!\\)[`*\[]", cells[0])


def test_a_run_that_is_not_complete_says_so(tmp_path, capsys):
    write(tmp_path / "run", samples=4, finish=False)
    assert card(tmp_path / "run", tmp_path / "out") == 0
    assert "is not complete" in capsys.readouterr().err
    body = front_matter(tmp_path / "out")[1]
    assert "> **The run is not complete: it covers 5 of 5 samples.**" in body
    assert [line.partition(": ")[2] for line in validate(tmp_path / "out")] == [
        line.partition(": ")[2] for line in validate(tmp_path / "run")
    ]


def test_the_score_of_each_wording(tmp_path):
    write_run(tmp_path / "run")
    names = ["plain", "short|er"]
    edit_manifest(tmp_path / "run", prompts={name: {"template": "{question}"} for name in names}, prompt_suffix=None)

    def name_them(table):
        return table.set_column(
            table.column_names.index("prompt"), "prompt", pa.array([names[row // 5] for row in range(10)])
        )

    rewrite(tmp_path / "run", "samples", name_them)
    assert card(tmp_path / "run", tmp_path / "out") == 0
    body = front_matter(tmp_path / "out")[1]
    assert "Wording plain:\n\n| category |" in body
    assert "Wording short\\|er:\n\n| category |" in body


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda out: write_run(out), "holds a run; choose another directory, or overwrite it; see --overwrite"),
        (lambda out: (out.mkdir(), (out / "notes.txt").write_text("x")), "holds notes.txt, which would be published"),
        (lambda out: out.write_text("x"), "is a file, not a directory"),
    ],
    ids=["run", "files", "file"],
)
def test_what_is_in_the_way(made_up, tmp_path, capsys, make, says):
    make(tmp_path / "out")
    before = everything(tmp_path / "out") if (tmp_path / "out").is_dir() else None
    assert card(made_up, tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert before is None or everything(tmp_path / "out") == before


def test_a_folder_that_holds_the_run_is_refused(made_up, capsys):
    assert card(made_up, made_up.parent) == 2
    assert "would be published with it" in capsys.readouterr().err
    assert card(made_up, made_up / "out") == 2
    assert card(made_up, made_up, "--overwrite") == 2
    assert list(validate(made_up)) == []


def test_overwriting_leaves_no_text_behind_and_keeps_a_card_that_was_edited(run, tmp_path, capsys):
    (tmp_path / "out" / ".git").mkdir(parents=True)
    (tmp_path / "out" / ".git" / "config").write_text("x")  # a clone of the hub's repository
    assert card(run, tmp_path / "out", "--with-texts") == 0
    (tmp_path / "out" / "report.html").write_text(SECRET)
    record_outputs(tmp_path / "out", [tmp_path / "out" / "report.html"])  # as `report` does
    assert card(run, tmp_path / "out", "--overwrite") == 0
    assert SECRET not in everything(tmp_path / "out")
    edited = (tmp_path / "out" / "README.md").read_text().replace("# license:", "license: mit #")
    (tmp_path / "out" / "README.md").write_text(edited)
    before = everything(tmp_path / "out")
    capsys.readouterr()
    assert card(run, tmp_path / "out", "--overwrite") == 2
    assert "holds README.md, which would be published" in capsys.readouterr().err
    assert everything(tmp_path / "out") == before


def test_nothing_is_left_of_a_copy_that_fails(run, tmp_path, monkeypatch, capsys):
    def fail(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr(publishing, "record_outputs", fail)
    assert card(run, tmp_path / "out", "--with-texts") == 2
    assert capsys.readouterr().err.endswith("error: the disk is full\n")
    assert not (tmp_path / "out").exists()


def test_a_name_on_the_hub_stays_and_that_of_a_directory_loses_its_folders(made_up, tmp_path):
    for number, (name, shown) in enumerate(
        [
            ("llava-hf/llava-1.5-7b-hf", "llava-hf/llava-1.5-7b-hf"),
            (f"{HOME}/tiny", "tiny"),
            ("C:\\models\\tiny\\", "tiny"),
        ]
    ):
        edit_manifest(made_up, model=name)
        assert card(made_up, tmp_path / str(number)) == 0
        assert open_run(tmp_path / str(number)).manifest.model == shown
    edit_json(made_up / "chunks/00000.json", settings="a fingerprint")
    edit_manifest(made_up, model="models/tiny")
    assert card(made_up, tmp_path / "relative") == 0
    assert open_run(tmp_path / "relative").manifest.model == "tiny"


def test_on_an_object_store(run, tmp_path, store):
    assert card(store.put_folder(run, "bucket/run"), "s3://bucket/out") == 0
    assert list(validate("s3://bucket/out")) == []
    assert card(run, tmp_path / "out") == 0
    assert location("s3://bucket/out/README.md").read_bytes() == (tmp_path / "out" / "README.md").read_bytes()
    assert card(run, "s3://bucket/out") == 2
    assert card(run, "s3://bucket/out", "--overwrite") == 0
    assert json.loads(location("s3://bucket/out/run.json").read_bytes())["derived"] == "subset"


@pytest.mark.parametrize("flags", [[], ["--with-texts"]])
def test_texts_that_the_model_was_given_are_the_benchmark_s(tmp_path, capsys, flags):
    for name, given in (("own", None), ("given", "0" * 64)):
        run, out = tmp_path / name, tmp_path / f"{name}-out"
        write_run(run, tables=["tokens", "steps", "step_maps"])
        manifest = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(json.dumps(manifest | {"texts_sha256": given}))
        assert card(run, out, *flags) == 0
        assert list(validate(out)) == []
        left_out = given is not None and not flags
        assert ("texts that the model was given; --with-texts" in capsys.readouterr().out) == left_out
        assert ("`token_id` is 0" in (out / "README.md").read_text()) == left_out
        for table, columns in (("samples", ["text"]), ("tokens", ["text", "token_id"])):
            expected, found = (pd.read_parquet(path / table)[columns] for path in (run, out))
            assert found.equals(expected) != left_out
            assert not left_out or set(found["text"].dropna()) == {""}
            assert not left_out or table == "samples" or set(found["token_id"]) == {0}
