"""Stage 1, the GPU box: questions and images in, Parquet out. Run by `python -m extract`.

settings, command    what can be asked; a run written, or prompts printed
questions/ images/   question files -> samples; image files -> tensors
prompts/             text -> token ids and roles
attention/ models/   attention, observed -> masses; checkpoints -> observed models
generation/ tables/  tokens that a model writes; what a pass makes: masses, contributions, layers, maps
look/ survey/        one image and one question; the table of model families, and what would happen to a model
batched_knockouts/ knockouts/   parts of a model knocked out, side by side; as a job on a run
chunks/              what is asked of a run, and its chunks, run here or on a cluster
passes/              images and their questions -> batches -> forward passes -> outcomes
loop, runner         the loop over images; what it observes, into a run
backends, provenance what loads a model; versions and commit
checks, stopping     samples that tell that the command is wrong; Ctrl-C
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # torch is imported where a model is loaded
    from extract.look.looker import Looker
    from schemas.files.locations import Location


def load_model(model_path: str | Path, **settings: Any) -> "Looker":
    """Load a model that is asked about images, one by one, for notebooks; see `extract.look.looker.Looker.load`.

    Raises:
        HeadflowError: it cannot be loaded, or a setting cannot be.
    """
    from extract.look.looker import Looker

    return Looker.load(str(model_path), **settings)


def extract_run(
    model_path: str | Path, question_file: str | Path, output_dir: "str | Location", **settings: Any
) -> "Location":
    """Write a run in a notebook, as `python -m extract` does; returns its path.

    Args:
        settings: the others, see `extract.settings.Extract`, such as `image_folder="images", maps=True`.

    Raises:
        HeadflowError: the model, the questions or a setting cannot be used.
        Stopped: a signal asked for it, such as that of a notebook's stop button; what was observed is written.
    """
    named = {"model_path": str(model_path), "question_file": str(question_file), "output_dir": output_dir}
    return _run("extract", named | settings).output_dir


def knock_out_of(run: "str | Location", **settings: Any) -> str:
    """Write a job of knock-outs on a run in a notebook, as `python -m extract knock-out` does; returns its name.

    Args:
        settings: the others, see `extract.knockouts.settings.KnockOut`, such as `heads=["all"]`.

    Raises:
        HeadflowError: the run, its model or its questions cannot be used, or a setting cannot be.
        Stopped: as `extract_run`.
    """
    return _run("knock-out", {"run": run} | settings).job_name


def _run(command: str, values: dict[str, Any]) -> Any:
    """Run a command, which raises where it fails, with settings by name; returns the settings."""
    known = import_module("extract.__main__").STAGE_COMMANDS[command]
    asked = known.settings.of_keywords(values)
    known.function(asked)
    return asked
