"""What `python -m analyze` takes, prints and writes, as a user at a terminal sees it.

Oracles: the settings of each command; what was printed where the files could be written; the escapes of Python.
"""

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import pandas as pd
import pytest

from analyze.__main__ import main
from analyze.commands import COMMANDS
from analyze.commands.legacy import RECORDS
from schemas.cli import PIPE_CLOSED
from schemas.commands.command_line import flag_of
from schemas.commands.settings import settings_of
from tests.support.forks import start, wait
from tests.support.runs import edit_manifest, put, rewrite, write_run

ROOT = Path(__file__).parents[2]
PLOTS = ["plots", "--dpi", "20", "--layers", "0", "--categories", "OCR", "--metrics", "t2v"]
CAPBSET_DROP, DAC_OVERRIDE = 24, 1  # of prctl: root, too, is then refused what the permissions of a file refuse


EACH = """
import contextlib, io, json, runpy, sys
done = []
for words in json.loads(sys.argv[1]):
    sys.argv[1:] = words
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as error:
        try:
            runpy.run_module("analyze", run_name="__main__", alter_sys=True)
        except SystemExit as stop:
            done.append([stop.code, out.getvalue(), error.getvalue()])
print(json.dumps(done))
"""


def analyze_each(commands: list[list[str]], **environment: str) -> list[tuple[int, str, str]]:
    """`python -m analyze` with each of the command lines, in one process; exit codes and what they print."""
    done = subprocess.run(
        [sys.executable, "-c", EACH, json.dumps(commands)],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: ctypes.CDLL(None).prctl(CAPBSET_DROP, DAC_OVERRIDE) if os.geteuid() == 0 else None,
    )
    return [tuple(each) for each in json.loads(done.stdout)]


@pytest.mark.usefixtures("unsaved")
@pytest.mark.parametrize("command", ["summary", "diagnose --resamples 100", "card", "compare --resamples 100"])
def test_a_first_token_that_is_no_answer_is_said_by_every_reader_of_answers(tmp_path, command, capsys):
    run = write_run(tmp_path / "run", tables=["contributions"])
    command, *flags = command.split()
    others = {"compare": [write_run(tmp_path / "other")], "card": [tmp_path / "card", "--overwrite"]}.get(command, [])
    words = [command, *map(str, [run, *others]), *flags]
    assert main(words) == 0
    assert "no answer" not in capsys.readouterr().err
    rewrite(run, "samples", lambda table: put(put(table, "p_yes", slice(6), [1e-4] * 6), "p_no", slice(6), [0.0] * 6))
    assert main(words) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "no answer" in line]
    assert len(said) == 1
    assert said[0].startswith(f"warning: {run}: `p_yes` and `p_no` together are below 1% in 6 of 10 samples")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("plots --metrics a2v", "RUN is required"),
        ("plots RUN --metrics a2v --dpi 9", "9 is not a whole number from 10 to 1200; see --dpi"),
        ("plots RUN --bins x", "x is not a number from"),
        ("plots RUN OTHER", "there is no place for 'OTHER'"),
        ("plots RUN --categories OCR count", "there is no place for 'count'; a list has commas: --categories A,B"),
        ("summary --metr t2v RUN", "there is no option --metr; did you mean --metrics?"),
        ("plots RUN --column --two-columns", "pictures have one width; see --two-columns"),
        ("compare A B C --resamples 200", "with more than two runs it does nothing; see --resamples"),
        (
            "plots RUN --metrics d2v --bins 0.1",
            "unless `metrics` has one of t2v, v2t, v2bos, v2sys, v2user and ",
        ),
        ("diagnose RUN --text-scope all", "unless `metrics` has one of t2v, v2t it does nothing; see --text-scope"),
        ("report RUN --related", "without `other` it does nothing; see --related"),
        ("maps RUN --heads L0H0 --top 3", "beside `heads` it does nothing; see --top"),
        ("import-pt FILE", "RUN is required"),
        ("compare RUN", "compare takes two runs or more; give another RUN"),
        ("frobnicate RUN", "there is no command frobnicate; give one of plots, summary, "),
        ("", "there is no command; give one of plots, summary, "),
    ],
)
def test_what_is_wrong_is_said(words, says, capsys):
    assert main(words.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert says in line


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help(name, capsys):
    assert main([name, "--help"]) == 0
    settings = COMMANDS[name].settings
    text = capsys.readouterr().out
    assert [flag_of(each) for each in settings_of(settings) if each.keyword and flag_of(each) not in text] == []


@pytest.mark.usefixtures("unsaved")
@pytest.mark.parametrize(("layers", "drawn"), [("2-", [2, 3]), ("3-", [3]), ("0,2-", [0, 2, 3]), ("1-2", [1, 2])])
def test_layers_to_the_last(tmp_path, layers, drawn):
    run = write_run(tmp_path / "run", layers=4)
    assert main(["plots", str(run), "--metrics", "t2v", "--categories", "OCR", "--layers", layers]) == 0
    assert sorted(run.glob("mme_layer[0-9]*")) == [run / f"mme_layer{layer}_stacked_hist.png" for layer in drawn]


@pytest.mark.parametrize("layers", ["4-", "-2", "-", "2--", "²", "٣", "9" * 5000])
def test_layers_that_are_not_there(tmp_path, capsys, layers):
    run = write_run(tmp_path / "run", layers=4)
    assert main(["plots", str(run), f"--layers={layers}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "is no layer: " in error
    assert error.endswith("; see --layers\n")
    assert len(error) < 200


def test_a_run_of_many_categories_names_some(tmp_path, capsys):
    run = write_run(tmp_path / "run", categories={f"c{number}": 1 for number in range(30)})
    assert main(["plots", str(run), "--categories", "x"]) == 2
    assert capsys.readouterr().err.endswith(" c18, c19 and 10 more; see --categories\n")


WITH_PICTURES = [["verify", "--dpi", "20"], PLOTS]
OF_READ_ONLY = [["summary"], ["verify", "--dpi", "20"], PLOTS, ["export-pt"]]


@pytest.fixture(scope="module")
def read_only(tmp_path_factory):
    run = write_run(tmp_path_factory.mktemp("read_only") / "run")
    (run / "file").touch()
    run.chmod(0o555)
    yield run
    run.chmod(0o755)


@pytest.fixture(scope="module")
def elsewhere(read_only, tmp_path_factory):
    """A run and what commands do with it in one more process, and what they do with a run that is read only.

    The process has the backend of a notebook that is not installed here, and LaTeX, which is not installed either.
    """
    folder = tmp_path_factory.mktemp("elsewhere")
    run = write_run(folder / "run")
    (folder / "matplotlibrc").write_bytes(b"text.usetex: True\naxes.facecolor: red\n\xff\n")  # not UTF-8 either
    commands = [*([*each, str(run)] for each in WITH_PICTURES), *([*each, str(read_only)] for each in OF_READ_ONLY)]
    done = analyze_each(commands, MPLBACKEND="not_installed", MATPLOTLIBRC=str(folder / "matplotlibrc"))
    return run, done[: len(WITH_PICTURES)], done[len(WITH_PICTURES) :]


def test_settings_of_matplotlib_change_nothing(elsewhere, tmp_path):
    run, done, _ = elsewhere
    assert "Traceback" not in "".join(each[-1] for each in done)
    codes = [main([*each, str(run), "--output-dir", str(tmp_path)]) for each in WITH_PICTURES]
    assert [code for code, _, _ in done] == codes
    for picture in ("mme_verify.png", "mme_overall_stacked_hist.png"):
        assert (run / picture).read_bytes() == (tmp_path / picture).read_bytes()


def test_nor_do_those_that_a_notebook_has_changed(tmp_path):
    run = write_run(tmp_path / "run")
    picture = run / "mme_overall_stacked_hist.png"
    assert main([*PLOTS, "--", str(run)]) == 0
    expected = picture.read_bytes()
    with matplotlib.rc_context({"text.usetex": True, "axes.facecolor": "red", "font.size": 40}):
        assert main([*PLOTS, str(run)]) == 0
        assert matplotlib.rcParams["font.size"] == 40
    assert picture.read_bytes() == expected


ODD = "a\x1b[31mb\nc\u202ed\x9be"


@pytest.fixture
def odd(tmp_path) -> Path:
    """A run whose texts hold control characters."""
    run = write_run(tmp_path / "run")
    edit_manifest(run, model=f"m/{ODD}", architecture=ODD)
    for table, count in (("heads", 24), ("samples", 4)):
        rewrite(run, table, lambda content, count=count: put(content, "category", slice(count), [ODD] * count))
    return run


@pytest.mark.usefixtures("unsaved")
@pytest.mark.parametrize("command", ["plots --layers 0 --metrics t2v", "summary", "verify", "validate", "export-pt"])
def test_control_characters_never_reach_the_terminal(odd, capsys, command):
    name, *flags = command.split()
    code = main([name, str(odd), *flags])
    printed = "".join(capsys.readouterr())
    assert code == (2 if name == "verify" else 0)
    assert printed.replace("\n", "").replace("\r", "").isprintable()  # the second of the progress bar
    written = "".join(printed.split())  # without the line breaks of a narrow table
    assert (r"a\x1b[31mb\nc\u202ed\x9be" in written) == (name in ("summary", "verify"))


def test_nor_those_of_what_is_wrong(odd, capsys):
    rewrite(odd, "heads", lambda content: put(content, "category", 0, "other\x1b[2J"))
    rewrite(odd, "samples", lambda content: put(content, "sample_id", 0, "\x1b[2J"))
    for command in ("validate", "summary"):
        assert main([command, str(odd)]) > 0
        printed = "".join(capsys.readouterr())
        assert printed.replace("\n", "").isprintable()
    assert main(["plots", str(odd), "--categories", "x"]) == 2
    assert capsys.readouterr().err.replace("\n", "").isprintable()


def test_files_are_there_when_nobody_reads_what_is_printed(tmp_path):
    run = write_run(tmp_path / "run")
    read, written = os.pipe()

    def summarise() -> int:
        os.close(read)
        os.dup2(written, 1)
        sys.stdout = os.fdopen(1, "w")
        return main(["summary", str(run)])

    child = start(summarise)
    os.close(read)
    os.close(written)
    assert wait(child) == PIPE_CLOSED
    assert (run / "summary.csv").is_file()
    assert (run / "scores.csv").is_file()


@pytest.mark.skipif(os.name != "posix", reason="permissions of folders")
def test_the_result_for_a_read_only_run_is_printed_first(read_only, elsewhere, tmp_path, capsys):
    run, (*_, done) = str(read_only), elsewhere
    for command, names, (code, out, error) in zip(
        OF_READ_ONLY, ("summary.csv, scores.csv", "verify.csv"), done, strict=False
    ):
        main([*command, run, "--output-dir", str(tmp_path / "out")])
        lines = [line for line in capsys.readouterr().out.splitlines() if line and not line.startswith("written: ")]
        assert code == 2
        assert [line for line in out.splitlines() if line] == lines
        assert error == f"error: {names} cannot be written to {run}: Permission denied; see --output-dir\n"
    for code, _, error in done[2:]:  # which only write
        assert (code, error) == (2, f"error: cannot write to {run}: Permission denied; see --output-dir\n")


def test_a_file_that_cannot_be_replaced(made_up, capsys):
    """Where a file should be is a folder; what is wrong has a line of its own, after the progress bar."""
    for name, command in ((RECORDS, ["export-pt"]), ("mme_head_map_t2v.png", ["plots", "--dpi", "20"])):
        (made_up / name).mkdir()
        assert main([*command, str(made_up)]) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith("error: ")
        assert "Is a directory" in error
        assert [path.name for path in made_up.glob("*.tmp")] == []


@pytest.mark.parametrize("command", [PLOTS, ["summary"], ["verify"], ["export-pt"]])
def test_the_folders_of_tables_are_for_parts_alone(made_up, capsys, command):
    other = write_run(made_up.parent / "other")
    for folder in ("samples", "heads/more", "../made_up/heads", other / "heads"):
        assert main([*command, str(made_up), "--output-dir", str(made_up / folder)]) == 2
        assert capsys.readouterr().err.endswith(
            " is for parts of a table, and pandas reads all of it; see --output-dir\n"
        )
    for folder in (made_up / "jobs", other / "chunks" / "more", made_up / "thumbnails"):
        assert main([*command, str(made_up), "--output-dir", str(folder)]) == 2
        whose = other if other in folder.parents else made_up
        assert capsys.readouterr().err == f"error: {folder} is a part of {whose}; see --output-dir\n"
    assert main([*command, str(made_up), "--output-dir", str(other)]) == 2
    says = f"error: {other} is another run, with results of its own; choose another directory; see --output-dir\n"
    assert capsys.readouterr().err == says
    assert len(pd.read_parquet(made_up / "heads")) == 60
    assert len(pd.read_parquet(made_up / "samples")) == 10
