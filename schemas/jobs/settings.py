"""What a job on a run was asked: the member `job` of its `run.json`."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

from schemas.columns import EDGE, KINDS
from schemas.jobs.head_sets import HeadSet, wrong_set
from schemas.text import short


@dataclass(kw_only=True)
class JobSettings:
    """The fields of the member `job` of `run.json`, in their order; all of them decide numbers."""

    kind: Annotated[str, f"what is done: {', '.join(f'`{kind}`' for kind in KINDS)}"] = EDGE
    query: Annotated[str | None, "role of the tokens that are changed; `last`: the last one; null: all tokens"] = None
    key: Annotated[str | None, "role of the tokens that they do not see, or see of another image"] = None
    knock_outs: Annotated[
        dict[str, Any], "what is knocked out, by name: `heads`, a list of [layer, head], and `layers`"
    ] = field(default_factory=dict)
    seed: Annotated[int, "seed of the images that `mean` and `swap` take"] = 0
    reference_images: Annotated[int | None, "images that `mean` averages over; null in other kinds"] = None
    references: Annotated[
        str | None,
        "SHA-256 of what `mean` and `swap` take from which images of the run, of all that it had; null in other kinds",
    ] = None

    @property
    def sets(self) -> dict[str, HeadSet]:
        """The knock-outs by name."""
        return {name: HeadSet.of(parts) for name, parts in self.knock_outs.items()}

    def wrong(self) -> Iterator[str]:
        """Values that cannot be, though they have the right type."""
        if self.kind not in KINDS:
            yield f"kind is {short(self.kind)}, not one of {', '.join(KINDS)}"
        for name, parts in self.knock_outs.items():
            if wrong := wrong_set(parts):
                yield f"the knock-out {short(name)} {wrong}"

    def difference(self, asked: "JobSettings") -> str:
        """The first difference between the settings of a job on disk and those that are asked for; they differ."""
        found, other = asdict(self), asdict(asked)
        name = next(name for name, value in other.items() if found[name] != value)
        before, now = found[name], other[name]
        if name == "references":
            return "the run has other samples now, so means or swapped images would be others"
        if not isinstance(now, dict):
            return f"its {name} is {short(before)}, this command's is {short(now)}"
        key = next(key for key in before | now if before.get(key) != now.get(key))
        who = [each for each, own in (("that job", before), ("this command", now)) if key in own]
        alone = f"{who[0]} alone knocks out" if len(who) == 1 else "both differ in the heads or layers of"
        return f"{alone} {short(key)}"
