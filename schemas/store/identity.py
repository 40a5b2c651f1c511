"""Whether the run in a directory is the one that a command asks for, so that it can go on."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from schemas.columns import OK
from schemas.errors import HeadflowError
from schemas.manifest import DESCRIPTIVE, SCHEMA_VERSION, Manifest
from schemas.store.ledger import Ledger, changed_images
from schemas.store.run import Run
from schemas.text import short

IDENTITY = tuple(field.name for field in fields(Manifest) if field.name not in DESCRIPTIVE)


def check_same(found: Manifest, asked: Mapping[str, Any], path: Path) -> None:
    """Compare the run in `path` with the one asked for.

    Args:
        asked: fields of the manifest, all or some; those of `DESCRIPTIVE` are not compared.

    Raises:
        HeadflowError: they differ, and the message names the first difference; or the run is of an older version.
    """
    if found.schema_version != SCHEMA_VERSION:
        raise HeadflowError(
            f"{path} holds a run of version {found.schema_version}, which can be read, but not resumed; choose "
            "another directory",
            setting="output_dir",
        )
    for name in IDENTITY:
        if name in asked and getattr(found, name) != asked[name]:
            raise HeadflowError(
                f"{path} holds another run: its {name} is {short(getattr(found, name))}, this command's is "
                f"{short(asked[name])}; choose another directory, or overwrite it",
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
            f"{run.path} divides {before} samples into {run.manifest.num_chunks} chunks, and {samples} samples would "
            "make other chunks; choose another directory",
            setting="num_samples",
        )


def check_fingerprints(run: Run, weights: str | None, images: Mapping[str, str]) -> None:
    """Check that a run would go on with the weights and the images that its samples were observed on.

    Weights and images may change while no sample was observed with them, as may the images of skipped samples.

    Args:
        weights: fingerprint of the weights; `None`: not known, and not compared.
        images: fingerprints of images by name; others are not compared.

    Raises:
        HeadflowError: the weights, or an image that was observed, are not the same.
    """
    for chunk, ledger in run.ledgers.items():
        if not ledger.rows("heads"):
            continue
        before = f"chunk {chunk} of {run.path} was computed with"
        if None not in (weights, ledger.weights) and weights != ledger.weights:
            raise HeadflowError(
                f"the weights are not those that {before}; choose another directory, or overwrite it",
                setting="overwrite",
            )
        changed = set(changed_images(ledger.images, images))
        if changed and (names := sorted(changed & _observed_images(run, ledger))):
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise HeadflowError(
                f"{short(names[0])}{more} is not the image that {before}; give the same images, choose another "
                "directory, or overwrite it",
                setting="overwrite",
            )


def _observed_images(run: Run, ledger: Ledger) -> set[str]:
    """Names of the images that a chunk observed."""
    parts = [run.read_part(run.path / "samples" / part.name) for part in ledger.parts]
    rows = [zip(part["image"].to_pylist(), part["status"].to_pylist(), strict=True) for part in parts]
    return {image for each in rows for image, status in each if status == OK}
