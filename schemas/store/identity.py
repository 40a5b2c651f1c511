"""Whether the run in a directory is the one that a command asks for, so that it can be resumed."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from schemas.columns import OK, PICTURES
from schemas.errors import HeadflowError
from schemas.files.locations import Location
from schemas.files.pictures import names_of
from schemas.jobs.settings import JobSettings
from schemas.manifest import DESCRIPTIVE, SWAPPED, Manifest
from schemas.store.ledger import Ledger, changed_images
from schemas.store.run import Run
from schemas.text import counted, short

IDENTITY = tuple(field.name for field in fields(Manifest) if field.name not in DESCRIPTIVE)


def check_same(found: Manifest, asked: Mapping[str, Any], path: Location) -> None:
    """Compare the run in `path` with the one asked for.

    Args:
        asked: fields of the manifest, all or some. Those of `DESCRIPTIVE` are not compared, and names of models
            only if one has a revision: others are paths, which have many spellings; see `check_same_model`.

    Raises:
        HeadflowError: they differ, and the message names the first difference.
    """
    paths = found.revision is None and "revision" in asked and asked["revision"] is None
    for name in IDENTITY:
        if name in asked and (before := getattr(found, name)) != asked[name] and not (paths and name == "model"):
            if isinstance(before, dict) and isinstance(asked[name], dict):
                key = next(key for key in before | asked[name] if before.get(key) != asked[name].get(key))
                raise _another_run(path, f"{name}, {key},", before.get(key), asked[name].get(key))
            if isinstance(before, JobSettings) and isinstance(asked[name], JobSettings):
                raise HeadflowError(
                    f"{path.parent.parent} has another job of the name {path.name}: "
                    f"{before.difference(asked[name])}; choose another name",
                    setting="job",
                )
            raise _another_run(path, name, before, asked[name])


def check_same_model(run: Run, model: str | None, weights: str | None, settings: str | None) -> None:
    """Check that a model in a directory is the run's model, if its path is spelt in another way.

    Args:
        weights: fingerprint of its weights; `None`: not known yet, and not compared.
        settings: fingerprint of its settings and its tokenizer.

    Raises:
        HeadflowError: no chunk was computed with a model that has these fingerprints.
    """
    if model == run.manifest.model:
        return
    for ledger in run.ledgers.values():
        if settings is not None and settings == ledger.settings and weights in (None, ledger.weights):
            return
    raise _another_run(run.path, "model", run.manifest.model, model)


def _another_run(path: Location, name: str, found: Any, asked: Any) -> HeadflowError:
    # Words are written out: paths may differ at their ends only
    before, now = (repr(value) if isinstance(value, str) else short(value) for value in (found, asked))
    return HeadflowError(
        f"{path} holds another run: its {name} is {before}, this command's is {now}; choose another directory, or "
        "overwrite it",
        setting="overwrite",
    )


def check_division(run: Run, samples: int) -> None:
    """Check that all chunks divide the same samples.

    Args:
        samples: how many all chunks together are asked for.

    Raises:
        HeadflowError: another number was divided before, so that chunks would overlap or leave gaps.
    """
    before = run.samples_asked
    if run.manifest.num_chunks > 1 and before not in (None, samples):
        raise HeadflowError(
            f"{run.path} divides {counted(before, 'sample')} into {counted(run.manifest.num_chunks, 'chunk')}, and "
            f"{counted(samples, 'sample')} would make other chunks; choose another directory",
            setting="num_samples",
        )


def check_fingerprints(run: Run, weights: str | None, settings: str | None, images: Mapping[str, str]) -> None:
    """Check that a run would be resumed with the model and the images that its samples were observed on.

    They may change while no sample was observed with them, as may the images of skipped samples.

    Args:
        weights: fingerprint of the weights; `None`: not known, and not compared.
        settings: fingerprint of the model's settings and tokenizer.
        images: fingerprints of images by name; others are not compared.

    Raises:
        HeadflowError: the weights, the settings, or an image that was observed, are not the same.
    """
    for chunk, ledger in run.ledgers.items():
        if not run.observed_in(ledger):
            continue
        before = f"chunk {chunk} of {run.path} was computed with"
        for what, found, now in (
            ("weights", ledger.weights, weights),
            ("model's settings or tokenizer", ledger.settings, settings),
        ):
            if None not in (found, now) and found != now:
                raise HeadflowError(
                    f"the {what} are not those that {before}; choose another {_place(run)}, or overwrite it",
                    setting="overwrite",
                )
        if names := changed_observed(run, ledger, images):
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise HeadflowError(
                f"{short(names[0])}{more} is not the image that {before}; give the same images, choose another "
                "directory, or overwrite it",
                setting="overwrite",
            )


def _place(run: Run) -> str:
    """What the user gives to say where a run lies."""
    return "directory" if run.manifest.job is None else "name"


def changed_observed(run: Run, ledger: Ledger, images: Mapping[str, str]) -> list[str]:
    """Names of the images that a chunk observed and that are not what they were, by their fingerprints now."""
    changed = set(changed_images(ledger.images, images))
    if run.manifest.images == SWAPPED:  # each is shown in place of another
        return sorted(changed)
    return sorted(changed & _observed_images(run, ledger)) if changed else []


def _observed_images(run: Run, ledger: Ledger) -> set[str]:
    """Names of the images that a chunk observed."""
    columns = ["image", "status", PICTURES]
    parts = [run.read_part(run.path / "samples" / part.name, columns) for part in ledger.parts]
    return {name for part in parts for row in part.to_pylist() if row["status"] == OK for name in names_of(row)}
