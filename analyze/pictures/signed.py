"""Maps of what heads add to the right answer, and of what is lost without them.

mme_head_map_d2{role}          mean contribution of each head, towards the right answer
mme_head_map_effect_{job}      mean effect of knocking out each head
"""

from collections.abc import Iterator, Sequence

from analyze.knockouts.effects import contribution_blocks, effect_blocks, means_of
from analyze.knockouts.jobs import head_cells, job_in_words
from analyze.pictures.kinds import SignedMap
from analyze.pictures.labels import target
from analyze.statistics.clusters import Array
from analyze.tables.frames import Heads
from analyze.tables.values import answered, observed_samples
from schemas.errors import HeadflowError
from schemas.store.jobs import open_job
from schemas.text import counted


def contribution_maps(heads: Heads, columns: Sequence[str], of: Sequence[str], prefix: str) -> Iterator[SignedMap]:
    """A map of each of some columns of `contributions`.

    Raises:
        HeadflowError: see `contribution_blocks`.
    """
    known = len(answered(observed_samples(heads)))
    for name, means in means_of(contribution_blocks(heads, columns)).items() if columns else ():
        title = f"{name.upper()}: what heads add from the {target(name)} to the right answer"
        label = f"{name.upper()} towards the right answer, logits"
        subject = (counted(int(known), "sample"), *of)
        yield SignedMap(f"{prefix}_head_map_{name}", title, subject, _by_layer(heads, means), label)


def effect_maps(heads: Heads, jobs: Sequence[str], of: Sequence[str], prefix: str) -> Iterator[SignedMap]:
    """A map of the effects of each of some jobs.

    Raises:
        HeadflowError: a job is not there, has no rows, is damaged, or did not knock out single heads.
    """
    for name in dict.fromkeys(jobs):
        try:
            job = open_job(heads.run, name)
        except HeadflowError as error:
            raise HeadflowError(str(error), setting="effects") from None
        cells = head_cells(job)
        if cells is None:
            raise HeadflowError(f"job {name} of {heads.run.path} did not knock out single heads", setting="effects")
        found = means_of(effect_blocks(heads, job, cells))
        if not found:
            raise HeadflowError(f"job {name} of {heads.run.path} has none of these samples", setting="effects")
        title, subject = "What is lost of the right answer's lead without each head", (job_in_words(job), *of)
        yield SignedMap(
            f"{prefix}_head_map_effect_{name}", title, subject, _by_layer(heads, found[name]), "Mean effect, logits"
        )


def _by_layer(heads: Heads, means: Array) -> Array:
    return means.reshape(heads.layers, heads.heads)
