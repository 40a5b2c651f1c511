"""Made-up runs of generated texts: what is written, and where heads look meanwhile."""

import numpy as np
import pandas as pd

from analyze.generated.reading import Texts, Written
from schemas.columns import STEPS, TOKENS
from tests.support.looking import WORDINGS
from tests.support.runs import flows, sample, start

LAYERS, HEADS = 3, 4
VOCABULARY = (" a", " dog", " and", " the", " red", " fl", "ower", ".")  # `flower` is of two tokens


def write_writing(path, *, images=24, longest=7, every=1, step_heads=(), fall=0.0, wordings=False, texts=None, seed=0):
    """A run of two questions on each image, of two categories, whose texts have 1 to `longest` tokens.

    Args:
        step_heads: those that have rows; empty: all.
        fall: of image mass, from one step to the next.
        texts: pieces of each text, in turn; None: drawn from `VOCABULARY`.
    """
    random = np.random.default_rng(seed)
    names = list(WORDINGS) if wordings else [None]
    fields = {
        "layers": LAYERS, "heads": HEADS, "tables": [TOKENS, STEPS], "generate": longest, "every": every,
        "step_heads": [list(each) for each in step_heads], **({"prompts": WORDINGS} if wordings else {}),
    }  # fmt: skip
    writer = start(path, 2 * images * len(names), fields=fields)
    shape = (len(step_heads),) if step_heads else (LAYERS, HEADS)
    for number in range(2 * images):
        for name in names:
            pieces = list(random.choice(VOCABULARY, 1 + (number + (name == "two")) % longest))
            pieces = pieces if texts is None else texts[number % len(texts)]
            masses = random.dirichlet(np.ones(6), (len(pieces), *shape))
            masses[..., 3] += np.maximum(0, 2 - fall * np.arange(len(pieces)).reshape(-1, *[1] * len(shape)))
            masses[0, ..., 5] = 0
            masses /= masses.sum(axis=-1, keepdims=True)
            row = sample(number, "OCR" if number < images else "color")
            row |= {"row": number, "text": "".join(pieces), "n_generated": len(pieces), "ended": "length"}
            row |= {"answer_step": 0} | (
                {} if name is None else {"prompt": name, "sample_id": f"{row['sample_id']}@{name}"}
            )
            tokens = np.tile(np.float32([-1, 1, 1]), (len(pieces), 1))
            grids = {
                "heads": flows(random, LAYERS, HEADS), TOKENS: tokens, "tokens.token_id": np.arange(len(pieces)),
                "tokens.text": pieces, STEPS: masses[::every].astype(np.float32),
            }  # fmt: skip
            writer.add(row, grids)
    writer.finish()
    return path


def made_up_written(random, *, images, steps, noise=0.05, heads=(2, 5), lengths=None):
    """Masses of two texts on each image that share the image's own, as `read_written` returns them; no trend."""
    number = 2 * images
    samples = pd.DataFrame({
        "sample_id": [f"s{each}" for each in range(number)], "category": "OCR",
        "image_sha256": [f"{each // 2}" for each in range(number)], "image": None, "question_id": None,
    })  # fmt: skip
    counts = np.full(number, steps) if lengths is None else np.asarray(lengths)
    texts = Texts(samples, counts, 1, np.ones(heads, bool), np.arange(heads[0]))
    pairs = len(texts.row_text)
    own = random.gamma(2.0, noise, images)[texts.clusters.image]
    along = np.cumsum(random.normal(0, noise / 4, (number, steps)), axis=1)  # one step is like the last one
    mass = 0.3 + own[texts.row_text] + along[texts.row_text, texts.row_step]
    masses = np.zeros((pairs, 6))
    masses[:, 3] = mass
    by_image = 0.3 + random.gamma(2.0, noise, (3, images, *heads))
    empty = np.zeros((steps, *heads))
    return Written(texts, masses, empty, empty, *(2 * by_image), np.full(images, 2.0))
