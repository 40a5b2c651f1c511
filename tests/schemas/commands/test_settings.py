"""Oracle: the values that each kind of setting takes, written out; and the words of a command line, as a user
types them.
"""

import re
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated

import pytest

from schemas.commands.command_line import Command, run_program
from schemas.commands.headflow import main as headflow
from schemas.commands.settings import Between, Checked, Flag, Needs, OneOf, Settings, in_utf8
from schemas.errors import HeadflowError
from schemas.files.locations import Location, ObjectPath


def capital(text: str) -> str:
    if not text.lstrip("-")[:1].isupper():
        raise ValueError(f"{text} begins with no capital")
    return text


@dataclass(frozen=True)
class Drawing(Settings):
    """Settings of every kind."""

    run: Annotated[Location, "directory of a run"]
    _: KW_ONLY
    file: Annotated[Path, "a file on this machine"] = Path("a.json")
    metrics: Annotated[tuple[str, ...], "mass columns", Flag(metavar="FLOW")] = ("t2v", "v2t")
    bins: Annotated[tuple[float, ...], "edges", Between(0, 1)] = (0.05,)
    range: Annotated[tuple[float, float] | None, "of the bins"] = None
    dpi: Annotated[int, "dots per inch", Between(10, 1200)] = 300
    batch_size: Annotated[int | str, "images at once", Between(1, 64), OneOf(("auto",))] = "auto"
    format: Annotated[str, "of the pictures", OneOf(("png", "pdf"))] = "png"
    title: Annotated[
        str, "of the picture", Checked(capital), Checked(in_utf8), Flag(typed=lambda text: text.replace("_", " "))
    ] = "None"
    sets: Annotated[tuple[str, ...], "sets", OneOf(("each", "all")), Flag(bare="each")] = ()
    ray: Annotated[str | None, "address", Flag(bare="local")] = None
    gpus: Annotated[int, "of the cluster", Needs("ray")] = 1
    quality: Annotated[int, "of bitmaps", Needs("format", ("png",))] = 90
    step: Annotated[int, "of a set", Needs("sets", ("each", "all"))] = 1
    colour: Annotated[str | None, "of what has no title", Needs("ray", (None,))] = None
    overwrite: Annotated[bool, "replace what is there"] = False
    resume: Annotated[bool, "go on"] = False

    def check(self) -> None:
        if self.overwrite and self.resume:
            raise HeadflowError("the run is either resumed or replaced", setting="overwrite")


made: list[Drawing] = []


def draw(settings: Drawing) -> int:
    made.append(settings)
    return 0


COMMANDS = {
    "draw": Command("draw a run", f"{__name__}:draw"),
    "other": Command("is not imported", "no.such.module:function"),
}


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.setattr("schemas.commands.command_line.import_module", lambda name: __import__("sys").modules[__name__])
    made.clear()


def typed(*words: str) -> Drawing:
    assert run_program("headflow", "Doc.", COMMANDS, ["draw", *words]) == 0
    return made.pop()


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("run", "s3://bucket/run", ObjectPath("s3://bucket", "run")),
        ("file", "a b.json", Path("a b.json")),
        ("metrics", ["a2v"], ("a2v",)),
        ("metrics", "a2v", ("a2v",)),
        ("bins", 0.5, (0.5,)),
        ("ray", 6379, "6379"),
        ("bins", [0, "0.5", 1.0], (0.0, 0.5, 1.0)),
        ("range", ("-1", 2), (-1.0, 2.0)),
        ("dpi", "10", 10),
        ("batch_size", "auto", "auto"),
        ("batch_size", 64, 64),
        ("format", "pdf", "pdf"),
        ("ray", None, None),
        ("overwrite", True, True),
    ],
)
def test_a_value_is_read(name, value, found):
    assert getattr(Drawing(**({"run": "runs/a"} | {name: value})), name) == found


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("run", "", "the path is empty"),
        ("run", "ftp://a", "ftp:// is not a store that can be read"),
        ("run", 3, "3 is not a path"),
        ("file", "s3://a/b", "is not a path on this machine"),
        ("file", "a\0b", "a path has no zero byte"),
        ("bins", None, "None is one value, where a list is needed"),
        ("range", "01", "01 is one value, where a list is needed"),
        ("metrics", [1.0], "1.0 is not text"),
        ("metrics", True, "True is not text"),
        ("bins", [0.5, 2], "2 is not a number from 0 to 1"),
        ("bins", ["nan"], "nan is not a number from 0 to 1"),
        ("range", [1], r"\[1\] has 1 values, not 2"),
        ("dpi", "3.5", "3.5 is not a whole number from 10 to 1200"),
        ("dpi", True, "True is not a whole number"),
        ("dpi", 10.5, "10.5 is not a whole number"),
        ("batch_size", "all", "all is neither auto nor a whole number from 1 to 64"),
        ("format", "gif", "gif is not one of png, pdf"),
        ("sets", ["all", "none"], "none is not one of each, all"),
        ("title", "small", "small begins with no capital"),
        ("title", "A\udcff", "it is not text in UTF-8"),
        ("overwrite", "yes", "yes is not True or False"),
    ],
)
def test_another_value_is_refused_and_the_setting_named(name, value, says):
    with pytest.raises(HeadflowError, match=says) as error:
        Drawing(**({"run": "runs/a"} | {name: value}))
    assert error.value.setting == name


@pytest.mark.parametrize(
    ("values", "needed", "says"),
    [
        ({"gpus": 2}, {"ray": "auto"}, "without `ray` it does nothing"),
        ({"quality": 1, "format": "pdf"}, {"format": "png"}, "unless `format` is png it does nothing"),
        ({"step": 2}, {"sets": ["all"]}, "unless `sets` has one of each, all it does nothing"),
        ({"colour": "red", "ray": "auto"}, {"ray": None}, "beside `ray` it does nothing"),
    ],
)
def test_a_setting_that_does_nothing_is_refused(values, needed, says):
    with pytest.raises(HeadflowError, match=says) as error:
        Drawing("runs/a", **values)
    assert error.value.setting == next(iter(values))
    Drawing("runs/a", **values | needed)


def test_settings_that_contradict_each_other():
    with pytest.raises(HeadflowError, match="either resumed or replaced"):
        Drawing("runs/a", overwrite=True, resume=True)


def test_a_record_gives_the_same_settings():
    settings = Drawing("s3://bucket/run", range=(0, 1), metrics=["a2v"], overwrite=True)
    record = settings.recorded()
    assert (record["run"], record["range"], record["metrics"]) == ("s3://bucket/run", [0.0, 1.0], ["a2v"])
    assert Drawing.of(record | {"of_another_tool": 1}) == settings
    with pytest.raises(HeadflowError, match="there is no value for run"):
        Drawing.of({})
    with pytest.raises(HeadflowError, match="there is no setting color; there are batch_size, bins"):
        Drawing.of_keywords({"run": "runs/a", "color": "red"})


@pytest.mark.parametrize(
    "words",
    [
        ["runs/a", "--metrics", "a2v,q2v", "--range", "-1", "1", "--ray"],
        ["--metrics", "a2v", "runs/a", "--metrics", "q2v", "--ray", "--range", "-1", "1"],
        ["--ray", "--metrics=a2v,q2v", "--range", "-1", "1", "runs/a"],
        ["--ray", "--metrics", "a2v, q2v", "--range", "-1", "1", "--", "runs/a"],
    ],
)
def test_run_stands_anywhere(words):
    assert typed(*words) == Drawing("runs/a", metrics=["a2v", "q2v"], range=(-1, 1), ray="local")


def test_what_is_typed():
    assert typed("runs/a,b", "--metrics", '"a, b",c', "--title", "A_b", "--ray=auto") == Drawing(
        "runs/a,b", metrics=["a, b", "c"], title="A b", ray="auto"
    )
    assert typed("--sets", "runs/a").sets == ("each",)
    assert typed("--sets", "all,each", "runs/a").sets == ("all", "each")
    assert typed("--dpi", "10", "runs/a", "--dpi", "20").dpi == 20
    assert typed("runs/a", "--title", "-A_b", "--metrics", "-x").metrics == ("-x",)
    assert typed("--range", "-1", "-.5", "runs/a").range == (-1, -0.5)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["draw", "runs/a", "--dpi", "9"], "9 is not a whole number from 10 to 1200; see --dpi"),
        (["draw", ""], "the path is empty; see RUN"),
        (["draw"], "RUN is required"),
        (["draw", "runs/a", "stray"], "there is no place for 'stray'$"),
        (["draw", "--metrics", "a2v", "q2v", "runs/a"], "no place for 'runs/a'; a list has commas: --metrics A,B"),
        (["draw", "runs/a", "--ray", "auto"], "no place for 'auto'; --ray=VALUE takes one"),
        (["draw", "runs/a", "--range", "1"], "--range needs two values, with a space between them"),
        (["draw", "--dpi", "--ray", "runs/a"], "--dpi needs a value"),
        (["draw", "runs/a", "--metrics", '"a'], "is no list"),
        (["draw", "runs/a", "--batch-sise", "1"], "there is no option --batch-sise; did you mean --batch-size?"),
        (["draw", "--batch-sise=1", "runs/a"], "there is no option --batch-sise; did you mean --batch-size?"),
        (["draw", "runs/a", "--xyz"], "there is no option --xyz; --help shows all"),
        (["draw", "runs/a", "--run", "b"], "there is no option --run; --help shows all"),
        (["draw", "runs/a", "--resume=no"], "--resume takes no value"),
        (["draw", "runs/a", "--range=0", "1"], "--range needs two values"),
        (["draw", "runs/a", "--dpi"], "--dpi needs a value"),
        (["draw", "runs/a", "--bins", ""], "'' is not a number from 0 to 1; see --bins"),
        (["draw", "runs/a", "--metrics", "a\nb"], "is no list: new-line character"),
        (["drew", "runs/a"], "there is no command drew; did you mean draw"),
        (["xyz"], "there is no command xyz; give one of draw, other"),
        ([], "there is no command; give one of draw, other"),
    ],
)
def test_a_wrong_command_line_is_one_line(words, says):
    with pytest.raises(HeadflowError, match=says):
        run_program("headflow", "Doc.", COMMANDS, words)


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["--help"], []),
        (["extract", "--help"], ["--question-file", "--model-path", "--image-folder"]),  # required ones are first
        (["plots", "--help"], ["--metrics", "--bins", "--range"]),  # then those of this command only
    ],
)
def test_headflow_has_the_commands_of_both_stages(words, options, capsys, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr("schemas.commands.headflow.begin", lambda: None)  # the tests keep their Ctrl-C
    monkeypatch.setattr("sys.argv", ["headflow", *words])
    assert headflow() == 0
    text = capsys.readouterr().out
    assert text.startswith(f"Usage: {' '.join(['headflow', *words[:-1]])} ")
    for line in () if options else ("  extract: run", "  knock-out: run", "  plots: draw"):
        assert line in text
    assert re.findall(r"^  (--[\w-]+)", text, re.MULTILINE)[:3] == options


def test_help(capsys):
    assert run_program("headflow", "Doc.", COMMANDS, ["--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for line in ("Doc.", "draw: draw a run", "other: is not imported"):
        assert line in text
    assert run_program("headflow", "Doc.", COMMANDS, ["draw", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for line in (
        "RUN: directory of a run [required]",
        "--metrics FLOW,...: mass columns [default: t2v,v2t]",
        "--dpi N: dots per inch [default: 300]",
        "--format NAME: of the pictures [choices: png, pdf; default: png]",
        "--overwrite: replace what is there",
        "--ray[=NAME]: address",
    ):
        assert line in text
