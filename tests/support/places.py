"""Where a token lies: the image with one patch painted, whose embedding changes most there."""

from contextlib import suppress

import numpy as np
import torch

from extract.attention.packing import pack
from extract.models.transfer import Uploader
from extract.tables.maps import MapMaker
from schemas.columns import OF_LAST
from schemas.roles import IMAGE
from tests.support.maps import lay
from tests.support.witness import CPU, QUESTIONS


class Enough(Exception):
    """Ends a pass whose rest is not needed."""


def embeddings(model, prompts, *images, question=QUESTIONS[0]):
    """What the first layer reads for each image token of a question, float64 [tokens, width]."""
    pixels = model.preprocessor(*images)
    prompt = prompts.build(question, pixels.image_ids)
    seen = []

    def keep(_, given, named):
        across = named.get("cross_attention_states")  # of all tiles
        seen.append((given[0] if given else named["hidden_states"]) if across is None else across.flatten(0, 1)[None])
        raise Enough

    hook = model.stack.layers[0].register_forward_pre_hook(keep, with_kwargs=True)
    with suppress(Enough):
        model.forward(*Uploader(CPU, torch.float32).send(pack([[prompt]]), [pixels]))
    hook.remove()
    of_image = np.flatnonzero(np.array(prompt.roles) == IMAGE)
    if prompt.crossing:
        of_image -= of_image[0]
    return seen[0][0, of_image].double().numpy(), pixels


def painted(image, box):
    """The image with a bright rectangle."""
    copy = image.copy()
    copy.paste((255, 255, 255), tuple(round(edge) for edge in box))
    return copy


def find_patches(model, prompts, image, *, some=False):
    """Paint the patches of the grid one by one, and find each; `some`: the first and last ones, and one between."""
    before, pixels = embeddings(model, prompts, image)
    (places,) = MapMaker(model, OF_LAST, ()).places(pixels)
    x0, y0, x1, y1 = places.box
    width, height = (x1 - x0) / places.columns, (y1 - y0) / places.rows
    inside = []
    for row in range(places.rows):
        for column in range(places.columns):
            box = x0 + column * width, y0 + row * height, x0 + (column + 1) * width, y0 + (row + 1) * height
            padding = box[0] < -0.5 or box[1] < -0.5 or box[2] > image.width + 0.5 or box[3] > image.height + 0.5
            if not padding:
                inside.append((row, column, box))
    assert len(inside) > 2
    for row, column, box in inside[:: (len(inside) - 1) // 2] if some else inside:
        after, _ = embeddings(model, prompts, painted(image, box))
        change, _ = lay(np.linalg.norm(after - before, axis=-1), places)
        assert np.unravel_index(change.argmax(), change.shape) == (row, column), (image.size, row, column)
    return places
