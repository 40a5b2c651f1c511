"""What can be asked of knock-outs on a run."""

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from extract.knockouts.sets import ALL_HEADS, EACH, LAYER_SETS, WINDOWS
from extract.settings import Chunk, Machine
from schemas.columns import EDGE, KEY_ROLES, KINDS, MEAN, OF_KEYS, OF_OTHERS, OF_TOKENS, QUERY_ROLES
from schemas.commands.settings import Between, Checked, Flag, Needs, OneOf
from schemas.errors import HeadflowError
from schemas.files.locations import Location
from schemas.manifest import ROWS
from schemas.store.ledger import check_job_name


@dataclass(frozen=True)
class KnockOut(Machine, Chunk):
    """A job on a run: its model over its samples again, with parts of it knocked out."""

    COMMAND: ClassVar[str] = "knock-out"

    run: Annotated[Location, "the run; its model, questions, prompts and images are taken"]
    _: KW_ONLY
    heads: Annotated[
        tuple[str, ...], f"single heads, each by itself: {ALL_HEADS}, or names such as L3H5", Flag(metavar="HEAD")
    ] = ()
    layers: Annotated[
        tuple[str, ...],
        "layers with all of their heads: each one, which the flag by itself means, windows of them, or all from each "
        "one onward",
        Flag(metavar="SETS", bare=EACH),
        OneOf(LAYER_SETS, "layers are named by number in a file of `sets`"),
    ] = ()
    sets: Annotated[
        Path | None,
        'named sets, a JSON file of `{"NAME": {"heads": [[layer, head], ...], "layers": [...]}}`, or a plan',
        Flag(metavar="FILE"),
    ] = None
    window: Annotated[int, "layers of a window", Between(1, ROWS), Needs("layers", (WINDOWS,))] = 9
    kind: Annotated[
        str,
        "edge: some queries do not see some keys; swap: they see those of another image; mean, zero: a head's output "
        "on some tokens is its mean over other images, or 0; remove: 0 for all tokens, and layers return their input; "
        "skip: layers return their input",
        OneOf(KINDS),
    ] = EDGE
    query: Annotated[
        str | None,
        "role of the tokens that are changed (default: question)",
        OneOf(QUERY_ROLES),
        Needs("kind", OF_TOKENS),
    ] = None
    key: Annotated[
        str | None, "role of the tokens that they do not see (default: image)", OneOf(KEY_ROLES), Needs("kind", OF_KEYS)
    ] = None
    samples: Annotated[
        Path | None, "the samples, a text file of one sample_id a line (default: all)", Flag(metavar="FILE")
    ] = None
    num_samples: Annotated[int | None, "the first N of them (default: all)", Between(1, ROWS)] = None
    job: Annotated[
        str | None, "name of the job in the run (default: of what is knocked out, and how)", Checked(check_job_name)
    ] = None
    overwrite: Annotated[bool, "remove the job of that name, and start anew"] = False
    seed: Annotated[int, "seed of the images that are drawn", Between(0, ROWS), Needs("kind", OF_OTHERS)] = 0
    reference_images: Annotated[
        int, "images that mean averages over, at most", Between(2, ROWS), Needs("kind", (MEAN,))
    ] = 64
    tokens: Annotated[
        int, "tokens that go through a layer at once, about; fewer take less memory", Between(1, ROWS)
    ] = 32768  # of a model of 7B, 34 tokens of a question each: about 5 GB in half precision
    model_path: Annotated[str | None, "where the run's model is now"] = None
    model_base: Annotated[str | None, "where its base is now"] = None
    question_file: Annotated[str | None, "where its question file is now"] = None
    image_folder: Annotated[Location | None, "where its images are now"] = None

    def check(self) -> None:
        """Raise `HeadflowError` if not exactly one kind of sets is asked for."""
        super().check()
        asked = [name for name in ("heads", "layers", "sets") if getattr(self, name)]
        if len(asked) != 1:
            what = f"{' and '.join(asked)} are named together" if asked else "nothing is named that is knocked out"
            raise HeadflowError(
                f"{what}: name heads, or layers, or a file of sets", setting=asked[-1] if asked else "heads"
            )
        if self.overwrite and self.num_chunks > 1:
            raise HeadflowError("overwriting would remove what other chunks have written", setting="overwrite")

    @property
    def moved(self) -> dict[str, object]:
        """Where what the run was made with is now, by name, as far as it is said."""
        places = {name: getattr(self, name) for name in ("model_path", "model_base", "question_file", "image_folder")}
        return {name: place for name, place in places.items() if place is not None}

    @property
    def job_name(self) -> str:
        """The name of the job; where the user names none, it says all but which heads or sets."""
        if self.job is not None:
            return self.job
        layers = [f"{each}{self.window}" if each == WINDOWS else each for each in self.layers if each != EACH]
        what = "heads" if self.heads else "sets" if self.sets else "_".join(["layers", *layers])
        roles = [role for role in (self.query, self.key) if role is not None]
        return "_".join([what, self.kind, *roles])
