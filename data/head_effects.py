"""Which heads matter in a checkpoint of the demo: the question's view of the image is hidden in one head after another.

    python -m data.head_effects data/demo/tiny-llava ... --out data/demo/head_effects.csv

writes a row for each checkpoint and (layer, head), by the seed in the checkpoint's record. Unit of the margin: logits;
of resampling: the image. The control `numerical_calculation` is left out.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from data.evaluation import Checkpoint, demo_files, needs_the_image
from data.recipes import RECORD

RESAMPLES, SEED = 2000, 0


def head_effects(folder: Path) -> pd.DataFrame:
    """The effect of each head of a checkpoint on the questions of `data/demo`.

    Returns:
        `model`, `seed`, `layer`, `head`, `drop` (how much lower the margin of the right answer is on average without
        the head, in logits), its 95% interval `low` and `high` (bootstrap by image, percentiles), `accuracy` (without
        the head).
    """
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    checkpoint = Checkpoint(folder)
    questions = checkpoint.questions(demo_files()["demo"])
    untouched = needs_the_image(questions.ask(checkpoint.model))
    text = checkpoint.model.config.text_config
    rows = []
    for layer in range(text.num_hidden_layers):
        for head in range(text.num_attention_heads):
            without = needs_the_image(questions.ask(checkpoint.model, hidden={layer: [head]}))
            drops = (untouched["margin"] - without["margin"]).groupby(untouched["image"]).mean().to_numpy()
            chosen = np.random.default_rng(SEED).integers(0, len(drops), (RESAMPLES, len(drops)))
            low, high = np.percentile(drops[chosen].mean(axis=1), (2.5, 97.5))
            rows.append((layer, head, drops.mean(), low, high, without["right"].mean()))
    table = pd.DataFrame(rows, columns=["layer", "head", "drop", "low", "high", "accuracy"]).round(3)
    table.insert(0, "seed", record["seed"])
    table.insert(0, "model", record["recipe"])
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("folder", type=Path, nargs="+", help="a checkpoint with the record of its training")
    parser.add_argument("--out", type=Path, default=Path("data/demo/head_effects.csv"), help="the table to write")
    arguments = parser.parse_args()
    tables = [head_effects(folder) for folder in arguments.folder]
    pd.concat(tables).to_csv(arguments.out, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
