"""`diagnose`: where and how a model fails."""

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

from analyze.commands.answers.image import about_pairs, opened_pair, warnings_of_pairs
from analyze.commands.shared_settings import (
    Flows,
    FlowSettings,
    PictureSettings,
    PromptSettings,
    ResampleSettings,
    RunSettings,
    WorkerSettings,
)
from analyze.opening import opened, output_folder, with_flows
from analyze.results import Result, Shown
from schemas.commands.settings import Flag
from schemas.errors import HeadflowError
from schemas.files.locations import Location

if TYPE_CHECKING:
    from analyze.diagnose import Diagnosis
    from analyze.image.failures import Failures
    from analyze.results import Figures
    from analyze.tables.frames import Heads

_SHOWN = 10  # heads and samples on the terminal


@dataclass(frozen=True)
class DiagnoseSettings(ResampleSettings, PictureSettings, FlowSettings, WorkerSettings, PromptSettings, RunSettings):
    """Settings of `diagnose`."""

    _: KW_ONLY
    metrics: Flows = ("q2v", "a2v")
    without: Annotated[
        Location | None,
        "a run of the same model and questions with counterfactual images",
        Flag(metavar="RUN_B"),
    ] = None

    def check(self) -> None:
        """Refuse columns that cannot tell the questions on an image apart."""
        super().check()
        if same := [flow for flow in self.metrics if flow.startswith("v")]:
            raise HeadflowError(
                f"{', '.join(same)}: image tokens see nothing of the question, so both questions on an image have the "
                "same values, and they cannot tell which is answered wrong; ask for t2v, q2* and a2*",
                setting="metrics",
            )


def diagnose_run(settings: DiagnoseSettings) -> Result:
    """`diagnose`: the verdict, tables and pictures."""
    from analyze.diagnose import diagnose
    from analyze.image.failures import find_failures

    with settings.open_workers() as workers, settings.load_beside() as loaded:
        heads = opened(settings.run, settings.prompt, workers=workers)
        heads, flows = with_flows(heads, settings.metrics, settings.step)
        pairs = None
        if settings.without is not None:
            pairs = opened_pair(
                settings.run, settings.without, settings.prompt, resamples=settings.resamples, seed=settings.seed
            )
        failures = find_failures(pairs) if pairs else None
        folder = output_folder(settings.output_dir, heads, "diagnosis")
        scope = heads.scope(settings.text_scope)
        try:
            found = diagnose(heads, flows, scope, resamples=settings.resamples, seed=settings.seed, workers=workers)
        except ValueError as error:
            raise HeadflowError(f"{settings.run}: {error}") from None
        loaded()
    tables = {"states.csv": found.states, "worst.csv": found.worst}
    if found.positions is None:
        tables["contrasts.csv"] = found.contrasts
    else:
        tables |= {"positions.csv": found.positions.letters, "confusions.csv": found.positions.confusions}
    tables |= {"difficulty.csv": found.difficulty} if len(found.difficulty) else {}
    tables |= {"calibration.csv": found.calibration.curve} if found.calibration else {}
    tables |= {"causes.csv": failures.counts, "failures.csv": failures.samples} if failures else {}
    return Result(
        heads.run.path,
        folder,
        about=[f"{heads.run.path}, {heads.run.manifest.model}", *(about_pairs(pairs) if pairs else [])],
        warnings=warnings_of_pairs(pairs) if pairs else [],
        statements=[*found.verdict(), *(failures.verdict() if failures else [])],
        shown=list(_shown(found, failures, settings)),
        tables=tables,
        figures=_figures(found, heads),
    )


def _shown(found: "Diagnosis", failures: "Failures | None", settings: DiagnoseSettings) -> Iterator[Shown]:
    of = "questions" if found.positions else "pairs: images with exactly one question of each right answer"
    title = f"{of}; 95% intervals, {settings.resamples} resamples of {found.units}, seed {settings.seed}"
    yield Shown(title, found.states.drop(columns="bias_note", errors="ignore"), 1)
    if found.positions is not None and len(found.positions.letters):
        title = "letters over all, in % of the answers that could have been them; expected: without a position bias"
        yield Shown(title, found.positions.over_all.drop(columns="note"), 1)
    if len(found.difficulty):
        yield Shown("by difficulty, as the question file says", found.difficulty, 1)
    if failures is not None:
        title = f"wrong answers by cause; shares of them in %, ignored: moved by up to {failures.threshold:.3g} logits"
        yield Shown(title, failures.counts, 1)
    if len(found.contrasts):
        title = "heads with the smallest p; expected: where nothing is told; adjusted_p: false discovery rate"
        yield Shown(title, found.contrasts.sort_values("p").head(_SHOWN), 3)
    if len(found.worst):
        sure = "whose first tokens were surest" if found.written else "of which it was surest"
        title = f"wrong answers {sure}, {min(_SHOWN, len(found.worst))} of {len(found.worst)}"
        yield Shown(title, found.worst.head(_SHOWN).drop(columns="image"), 2)


def _figures(found: "Diagnosis", heads: "Heads") -> "Figures":
    from analyze.drawing.results.diagnosis import answers_figure, contrasts_figure, positions_figure
    from analyze.pictures.of_run import subject

    of = subject(heads)
    if found.positions is None:
        yield "answers", partial(answers_figure, found.states, found.calibration, found.task.first, of)
    elif len(found.positions.letters):
        yield "positions", partial(positions_figure, found.positions.over_all, found.calibration, of)
    for flow, rows in found.contrasts.groupby("flow", sort=False):
        values = (rows["contrast"] - rows["expected"]).to_numpy().reshape(heads.shape)
        significant = (rows["adjusted_p"] <= 0.05).to_numpy().reshape(heads.shape)
        yield (
            f"contrast_{flow}",
            partial(contrasts_figure, values, significant, str(flow), of, layers=heads.run.manifest.attending),
        )
