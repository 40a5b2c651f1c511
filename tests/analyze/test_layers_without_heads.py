"""Oracle: a run of a model of two layers. The same rows, as those of two layers of a model of five, give the same
numbers, under the numbers of these layers."""

import json
import re

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from analyze.__main__ import main
from analyze.tables.frames import open_heads
from schemas.columns import CONTRIBUTIONS, MAPS, STEP_MAPS, STEPS, TOKENS
from schemas.validation.run import validate
from tests.support.prunable import World, measure, singles, write_world
from tests.support.runs import edit_json, edit_manifest, rewrite, write_run

pytestmark = pytest.mark.usefixtures("unsaved")
ATTENDING = [1, 3]
LAYERS = 5
TABLES = (CONTRIBUTIONS, MAPS, TOKENS, STEPS, STEP_MAPS)


def moved(table):
    """Rows of heads, of the layers `ATTENDING`."""
    place, field = table.schema.get_field_index("layer"), table.schema.field("layer")
    layers = pc.take(pa.array(ATTENDING, field.type), table["layer"].combine_chunks())
    return table.set_column(place, field, layers)


def moved_heads(heads):
    return [[ATTENDING[layer], head] for layer, head in heads]


def move(run, tables):
    """Make a run of two layers one of five, where two attend."""
    manifest = json.loads((run / "run.json").read_text())
    fields = {name: moved_heads(manifest[name]) for name in ("maps_heads", "step_heads", "step_map_heads")}
    edit_manifest(run, layers=LAYERS, attending=ATTENDING, **fields)
    for table in ("heads", *tables):
        if table != TOKENS:
            rewrite(run, table, moved)
    for job in run.glob("jobs/*/run.json"):
        content = json.loads(job.read_text())
        for knock_out in content["job"]["knock_outs"].values():
            knock_out["heads"] = moved_heads(knock_out["heads"])
        edit_json(job, layers=LAYERS, attending=ATTENDING, job=content["job"])
        rewrite(job.parent, "knockouts", moved)
    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of two layers, and the same of five."""
    folder = tmp_path_factory.mktemp("runs")
    one, other = (write_run(folder / name / "run", tables=TABLES, categories={"OCR": 24}) for name in ("two", "five"))
    return one, move(other, TABLES)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    """The same of runs that `prune` can read, with a job of single heads."""
    folder, world = tmp_path_factory.mktemp("worlds"), World.of(2, 4)
    runs = []
    for name in ("two", "five"):
        runs.append(write_world(folder / name / "run", world, categories={"OCR": 12, "color": 12}, tables=()))
        measure(runs[-1], world, "single", singles(world))
    return runs[0], move(runs[1], ())


def test_the_run_is_whole(runs):
    for run in runs:
        assert list(validate(run)) == []
    assert open_heads(runs[1])[0].attending.tolist() == ATTENDING


@pytest.mark.parametrize("table", ["heads", MAPS, STEPS])
def test_rows_of_layers_that_do_not_attend_are_told(runs, tmp_path, table):
    run = write_run(tmp_path / "run", tables=TABLES, categories={"OCR": 24})
    move(run, TABLES)
    one = pa.scalar(1, pa.int16())

    def lower(rows):
        place, field = rows.schema.get_field_index("layer"), rows.schema.field("layer")
        return rows.set_column(place, field, pc.subtract(rows["layer"], one))

    rewrite(run, table, lower)
    assert any("has rows of cells that" in line and f"/{table}/" in line for line in validate(run))


def results(run, command, flags, capsys):
    """The tables of a command by name, and what it prints."""
    out = run.parent / command
    assert main([command, str(run), *flags, "--output-dir", str(out)]) == 0
    files = {path.relative_to(out).as_posix(): path for path in sorted(out.rglob("*")) if path.is_file()}
    return files, capsys.readouterr().out.replace(str(run.parent), "")


def renamed(text):
    """Text about a run of two layers as one about the other."""
    return re.sub(r"L([01])(?=H\d)", lambda found: f"L{ATTENDING[int(found[1])]}", text)


@pytest.mark.parametrize(
    ("which", "command", "flags"),
    [
        ("runs", "summary", []),
        ("runs", "diagnose", []),
        ("runs", "maps", ["--samples-only"]),
        ("runs", "words", []),
        ("runs", "text", []),
        ("worlds", "prune", []),
        ("worlds", "plots", ["--metrics", "a2v", "--effects", "single"]),
    ],
)
def test_a_command_gives_the_same_of_other_layers(request, which, command, flags, capsys):
    one, other = request.getfixturevalue(which)
    (files, said), (others, told) = (results(run, command, flags, capsys) for run in (one, other))
    expected = {re.sub(r"layer([01])(?=_)", lambda at: f"layer{ATTENDING[int(at[1])]}", name) for name in files}
    assert {*others} == {renamed(name) for name in expected}
    for name, path in files.items():
        if path.suffix == ".csv":
            table, own = pd.read_csv(path), pd.read_csv(others[name])
            if "layer" in table:
                table["layer"] = table["layer"].replace(dict(enumerate(ATTENDING)))
            if "group" in table:  # of `summary`
                table["name"] = [
                    str(ATTENDING[int(each)]) if group == "layer" else each
                    for group, each in zip(table["group"], table["name"], strict=True)
                ]
            pd.testing.assert_frame_equal(own.astype(str), table.astype(str), check_dtype=False)
    if command in ("maps", "text"):
        assert [*map(str.rstrip, told.splitlines())] == [*map(str.rstrip, renamed(said).splitlines())]


def test_runs_of_other_layers_are_not_compared_head_by_head(runs, capsys, tmp_path):
    flags = ["--metrics", "a2v", "--related", "--output-dir", str(tmp_path)]
    assert main(["compare", *map(str, runs), *flags]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "5 x 3 in the layers 1, 3" in said
    profiles = pd.read_csv(tmp_path / "profiles.csv")
    own = profiles[profiles["run"] == "b"]
    assert own["layer"].unique().tolist() == ATTENDING
    assert own["depth"].unique() == pytest.approx([0.3, 0.7])
