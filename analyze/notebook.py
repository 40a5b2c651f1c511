"""A run in a notebook: its tables as pandas, and what the commands find in it.

from analyze import open_run

run = open_run("runs/demo")
run.heads(["a2v"]), run.samples
run.summary(), run.diagnose(), run.compare(open_run("runs/other"))
print(run.diagnose()), run.diagnose().picture("answers"), run.effects()
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

from analyze.commands import COMMANDS
from analyze.results import Result
from schemas.commands.settings import settings_of
from schemas.errors import HeadflowError
from schemas.files.locations import Location, location
from schemas.store.run import Run, open_run
from schemas.text import counted, short

if TYPE_CHECKING:
    import pandas as pd


class OpenedRun:
    """A run, of one wording where it has several. What its commands find shows itself.

    Only `prune` (sets, then a plan) and `report` (the page) write files.

    The settings of a command are those of its flags, by name: `run.diagnose(metrics=["q2v"], seed=1)`.
    """

    def __init__(self, path: str | Location, prompt: str | None = None) -> None:
        """Open a run.

        Args:
            path: its directory, or `s3://BUCKET/RUN`.
            prompt: the wording to read, of a run that asks in several.

        Raises:
            HeadflowError: there is no run, or no such wording in it, or it cannot be read.
        """
        if not isinstance(path, str | Location):
            raise HeadflowError(f"{short(path)} is not a path")
        self.path = location(path) if isinstance(path, str) else path
        self.prompt = prompt
        self._run: Run = open_run(self.path)
        if prompt is not None:
            from analyze.tables.frames import check_wording

            check_wording(prompt, self.path, list(self._run.manifest.prompts))

    @cached_property
    def samples(self) -> "pd.DataFrame":
        """The table `samples`, a row for each sample, in the order of the run."""
        from analyze.tables.frames import open_heads

        return open_heads(self.path, self.prompt, columns=None)[0].samples

    def heads(self, columns: str | Sequence[str] | None = None) -> "pd.DataFrame":
        """The table `heads`: `sample_id`, `category`, `layer`, `head`, and mass columns.

        Args:
            columns: the mass columns; None: all.

        Raises:
            HeadflowError: the run has no such column, or a part cannot be read.
        """
        import pyarrow as pa

        from analyze.tables.frames import check_flows

        columns = [columns] if isinstance(columns, str) else columns
        flows = check_flows(self._run.manifest.flows if columns is None else columns, self._run)
        names = ["sample_id", "category", "layer", "head", *flows]
        parts = [self._run.read_part(path, names) for path in self._run.part_paths("heads")]
        if not parts:
            raise HeadflowError(f"{self.path} has no part yet: nothing to read")
        rows = pa.concat_tables(parts).unify_dictionaries().to_pandas()
        return rows if self.prompt is None else rows[rows["sample_id"].isin(self.samples["sample_id"])]

    def effects(self, job: str | None = None) -> "pd.DataFrame":
        """What is lost without each head, of a job that knocked out single heads, a row for each head.

        Args:
            job: its name; None: the only one, or of several the only one of the kind `edge`.

        Returns:
            `layer`, `head`; `effect`, by how much the lead of the right answer falls, in logits, the mean over samples;
            `low`, `high`, the 95% interval by image of one head that was chosen before; `low_all`, `high_all`, those
            that hold for all heads together.

        Raises:
            HeadflowError: there is no such job, or it cannot be read.
        """
        from analyze.knockouts.effects import effect_table
        from analyze.tables.frames import open_heads

        return effect_table(open_heads(self.path, self.prompt, columns=None)[0], job)

    def plots(self, **settings: Any) -> Result:
        """All pictures of the run; see `analyze.commands.plots`."""
        return self._found("plots", settings)

    def report(self, other: "OpenedRun | str | Location | None" = None, **settings: Any) -> Result:
        """Write the run, and its comparison with another one, as a page; see `analyze.commands.report`."""
        return self._found("report", {"other": other} | settings)

    def summary(self, **settings: Any) -> Result:
        """Means, quantiles and the score; see `analyze.commands.summary`."""
        return self._found("summary", settings)

    def diagnose(self, **settings: Any) -> Result:
        """Where and how the model fails; see `analyze.commands.answers.diagnose`."""
        return self._found("diagnose", settings)

    def prompts(self, **settings: Any) -> Result:
        """The wordings of the run compared; see `analyze.commands.answers.prompts`."""
        return self._found("prompts", settings)

    def prune(self, **settings: Any) -> Result:
        """Which heads or layers can be cut: write sets, then a plan; see `analyze.commands.heads.prune`."""
        return self._found("prune", settings)

    def maps(self, **settings: Any) -> Result:
        """Where in the image heads look; see `analyze.commands.heads.maps`."""
        return self._found("maps", settings)

    def mentions(self, **settings: Any) -> Result:
        """What generated texts name, true or made up; see `analyze.commands.heads.mentions`."""
        return self._found("mentions", settings)

    def words(self, **settings: Any) -> Result:
        """Where heads look while the model writes; see `analyze.commands.heads.words`."""
        return self._found("words", settings)

    def text(self, **settings: Any) -> Result:
        """Generated texts, token by token; see `analyze.commands.heads.text`."""
        return self._found("text", settings)

    def image(self, without: "OpenedRun | str | Location", **settings: Any) -> Result:
        """What answers owe to the image, from a run of counterfactual images; see `analyze.commands.answers.image`."""
        return self._found("image", {"without": without} | settings)

    def compare(self, *others: "OpenedRun | str | Location", **settings: Any) -> Result:
        """The run against another one, or the distances of several; see `analyze.commands.compare`."""
        return self._found("compare", {"runs": [self, *others]} | settings)

    def _found(self, command: str, values: dict[str, Any]) -> Result:
        settings = COMMANDS[command].settings
        known = {each.name for each in settings_of(settings)}
        given = [each for value in values.values() for each in (value if isinstance(value, list) else [value])]
        opened = [self, *(each for each in given if isinstance(each, OpenedRun))]
        prompts = list(dict.fromkeys(run.prompt for run in opened if run.prompt is not None))
        if len(prompts) > 1:
            raise HeadflowError(f"runs are opened in the wordings {', '.join(prompts)}: open them in the same one")
        prompt = prompts[0] if prompts else None
        own = {name: value for name, value in (("run", self.path), ("prompt", prompt)) if name in known}
        if twice := sorted(own.keys() & values.keys()):
            raise HeadflowError(f"{', '.join(twice)}: this run, as it was opened, is read; open another one")
        asked = settings.of_keywords(own | {name: _paths_of(value) for name, value in values.items()})
        return replace(COMMANDS[command].function(asked), asked=asked)

    def __repr__(self) -> str:
        manifest = self._run.manifest
        observed = sum(part.rows["samples"] for part in self._run.parts)
        state = "" if self._run.complete else ", not complete"
        return (
            f"{self.path}: {manifest.model or 'model unknown'}, "
            f"{counted(manifest.layers, 'layer')} of {counted(manifest.heads, 'head')}, "
            f"{manifest.layers_in_words + ', ' if manifest.layers_in_words else ''}{counted(observed, 'sample')}{state}"
        )

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self))}</p>"


def _paths_of(value: object) -> object:
    """The value of a setting, with the path of each run that is opened in the place of the run."""
    if isinstance(value, list):
        return [_paths_of(each) for each in value]
    return value.path if isinstance(value, OpenedRun) else value
