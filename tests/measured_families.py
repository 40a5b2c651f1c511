"""What the numbers of each family of `extract.models.families` are off by, on tiny checkpoints.

python -m tests.measured_families            # all families; or the names of some

The oracle is the family's model in eager attention and float64, fed by its own processor (`tests.support.measured`).
The errors are the largest of the 17 masses, logits, margin, contributions, layer profile, maps, and of two knock-outs:
of a head that is removed, and of the question that does not see the image.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import transformers

from tests.support.measured import CUT, REMOVED, FamilyCase, Measured
from tests.support.tiny_families import OF_TABLE, make_family

MEASURES = ("masses", "logits", "margin", "contributions", "layers", "maps", REMOVED, CUT)


def row(name: str, found: Measured) -> list[str]:
    """The cells of a family."""
    errors = [f"{found.errors[each]:.1e}" if each in found.errors else "refused" for each in MEASURES]
    kernel = "under its mask" if found.attention.startswith("softmax") else "fused kernel"
    return [name, "packed" if found.packs else "separate", kernel, *errors]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=f"any of {', '.join(OF_TABLE)}")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    names = parser.parse_args().families or [*OF_TABLE]
    print(f"transformers {transformers.__version__}\n")
    head = ["family", "questions", "attention", *MEASURES]
    print("| " + " | ".join(head) + " |\n|" + " --- |" * len(head))
    said = []
    for name in names:
        with TemporaryDirectory() as folder:
            try:
                make_family(Path(folder), name)
            except (ImportError, AttributeError) as error:
                print(f"| {name} | not in this environment: {str(error).strip().splitlines()[0]} |")
                continue
            found = FamilyCase(Path(folder), name).measure()
        print("| " + " | ".join(row(name, found)) + " |", flush=True)
        said += [f"{name}, {what}: {why}" for what, why in found.refused.items()]
    print(*["", *said], sep="\n")


if __name__ == "__main__":
    main()
