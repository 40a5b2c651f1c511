"""The dataset card of a run: `README.md`, in Markdown."""

from collections.abc import Mapping, Sequence

from analyze.card import words
from analyze.card.markdown import escaped, plain_text
from analyze.card.sections import lacking, origin, samples_section, score_section, settings_section
from analyze.card.withheld import last_name, model_name, withheld_columns
from analyze.tables.frames import Heads
from schemas.columns import KNOCKOUTS, TABLES
from schemas.contract import columns_table, markdown, roles_table
from schemas.errors import HeadflowError
from schemas.store.jobs import Job, job_names, open_job
from schemas.store.ledger import JOBS
from schemas.store.run import Run
from schemas.tasks import COGNITION, PERCEPTION
from schemas.text import counted

TAGS = ("attention", "attention-heads", "interpretability", "vision-language-model", "headflow")
SIZES = (
    *("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M"),
    *("100M<n<1B", "1B<n<10B", "10B<n<100B", "100B<n<1T", "n>1T"),
)
DEFAULT = "heads"  # the table that `load_dataset` reads if none is named


def card(heads: Heads, pictures: Sequence[str], *, with_texts: bool) -> str:
    """The card of a run, samples of all wordings included.

    Args:
        pictures: their paths from the card.

    Raises:
        HeadflowError: a job on the run cannot be read, or huggingface_hub is not installed.
    """
    run = heads.run
    jobs = [open_job(run, name) for name in job_names(run)]
    rows = _rows(run, jobs)
    unfinished = [*lacking(heads), *(f"The job {job.name} is not complete." for job in jobs if not job.complete)]
    categories = [str(name) for name in heads.samples["category"].astype(str).unique()]
    score, title = score_section(heads), heads.task.title
    sections = {
        "The run": settings_section(run),
        "Samples": samples_section(heads),
        "Before reading the numbers": f"{_about_order(run)}\n{words.IMPORTANCE}",
        "Tables": _tables(run, rows, with_texts=with_texts),
        "How to read them": words.READING,
        "What is left out": "\n\n".join([_about_texts(run, with_texts=with_texts), words.PRIVATE]),
        title[0].upper() + title[1:]: score and f"{words.score(heads.task)}\n\n{score}",
        "Pictures": "\n\n".join(f"![{escaped(last_name(name))}]({name})" for name in pictures),
        "Licence": words.LICENCE,
        "How it was made": origin(run),
    }
    parts = [front_matter(_title(run), rows, categories, with_texts=with_texts), f"# {escaped(_title(run))}"]
    parts += [f"> **{escaped(sentence)}**" for sentence in unfinished]
    parts += [words.ABOUT, *(f"## {name}\n\n{text}" for name, text in sections.items() if text)]
    return "\n\n".join(parts) + "\n"


def _title(run: Run) -> str:
    model, file = model_name(run), run.manifest.question_file
    return f"Attention heads of {model or 'a model'}" + (f" on {last_name(file)}" if file else "")


def _rows(run: Run, jobs: Sequence[Job]) -> dict[str, int]:
    """Numbers of rows by table, of those that have a file."""
    rows = {}
    for table in ("heads", "samples", *run.manifest.tables):
        if parts := [part for part in run.parts if table in part.rows]:
            rows[table] = sum(part.rows[table] for part in parts)
    if parts := [part for job in jobs for part in job.own.parts]:
        rows[KNOCKOUTS] = sum(part.rows[KNOCKOUTS] for part in parts)
    return rows


def _about_order(run: Run) -> str:
    causal = run.manifest.causal
    return words.UNKNOWN_TEXT if causal is None else words.CAUSAL if causal else words.BOTH_WAYS


def _about_texts(run: Run, *, with_texts: bool) -> str:
    if with_texts:
        return words.WITH_TEXTS
    return words.WITHOUT_TEXTS + (f"\n\n{words.WITHOUT_GIVEN}" if run.manifest.texts_sha256 else "")


def _tables(run: Run, rows: dict[str, int], *, with_texts: bool) -> str:
    """The tables with their columns, in the words of the contract."""
    null = ", ".join(f"`{name}`" for name in withheld_columns(run, with_texts=with_texts))
    parts = [f"Roles of tokens:\n\n{markdown(*roles_table())}"]
    for table, number in rows.items():
        grid = " x ".join(("sample", *TABLES[table].axes))
        what = "one for each sample and knock-out" if table == KNOCKOUTS else f"one for each {grid}"
        note = f" {null} are null here." if table == "samples" else ""
        columns = markdown(*columns_table(run.columns(table)))
        parts.append(f"### {table}\n\n{counted(number, 'row')}, {what}.{note}\n\n{columns}")
    return "\n\n".join(parts)


def front_matter(title: str, rows: Mapping[str, int], categories: Sequence[str], *, with_texts: bool) -> str:
    """The YAML that the hub reads, between lines of dashes. It has no licence: whoever publishes chooses one.

    Args:
        title: the card's, of any text.
        rows: numbers of rows, by table.
        categories: those of the run.
        with_texts: the questions are there, so that the data can also be asked.

    Raises:
        HeadflowError: huggingface_hub is not installed.
    """
    try:
        from huggingface_hub import DatasetCardData
    except ModuleNotFoundError:
        raise HeadflowError("the card needs huggingface_hub: pip install -e '.[card]'") from None
    fields = DatasetCardData(
        pretty_name=plain_text(title),
        tags=[*TAGS, *(["mme"] if {*PERCEPTION, *COGNITION} <= set(categories) else [])],
        size_categories=[size_category(sum(rows.values()))],
        task_categories=["visual-question-answering"] if with_texts else None,
        configs=[
            {"config_name": table, "data_files": _files(table)} | ({"default": True} if table == DEFAULT else {})
            for table in rows
        ],
    )
    return f"---\n# license:  (not chosen yet: take one of {words.LICENCES})\n{fields.to_yaml()}\n---"


def _files(table: str) -> str:
    """The files of a table, in the folder of the card; `KNOCKOUTS` has those of all jobs."""
    return f"{JOBS}/*/{table}/*.parquet" if table == KNOCKOUTS else f"{table}/*.parquet"


def size_category(rows: int) -> str:
    """The hub's name for a number of rows."""
    return SIZES[sum(rows >= 1000 * 10**power for power in range(len(SIZES) - 1))]
