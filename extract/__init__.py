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

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # torch is imported where a model is loaded
    from extract.look.looker import Looker


def load_model(model_path: str, **settings: Any) -> "Looker":
    """Load a model that is asked about images, one by one, for notebooks; see `extract.look.looker.Looker.load`.

    Raises:
        HeadflowError: it cannot be loaded, or a setting cannot be.
    """
    from extract.look.looker import Looker

    return Looker.load(model_path, **settings)
