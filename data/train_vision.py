"""First stage of training: the tower and the projector. CLIP's training and LLaVA's alignment, in miniature.

Tower and projector learn to give each patch the embeddings of the words for what it shows.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss
from transformers import LlavaForConditionalGeneration

from data.demo_model import SIDE
from data.scenes import GRID, SHAPES
from data.training_examples import CENTRE, INK, NAME, VOCABULARIES, ExampleMaker, Split, patch_features

STEPS, BATCH, RATE = 2_500, 64, 1.5e-3


def train_vision(
    model: LlavaForConditionalGeneration,
    examples: ExampleMaker,
    split: Split,
    *,
    seed: int,
    device: torch.device,
    say: Callable[[str], None],
) -> None:
    """Teach tower, projector and word embeddings, in place; the head that predicts words starts as a copy of them.

    A patch is classified by its product with the embeddings of words. Two more layers, which are dropped afterwards,
    predict its place and whether a thing has its centre there.
    """
    words = [torch.tensor([examples.answer(word) for word in each], device=device) for each in VOCABULARIES]
    nothing = nn.Parameter(torch.zeros(len(words), device=device))
    centre = nn.Linear(model.config.vision_config.hidden_size, 2).to(device)
    place = nn.Linear(model.config.text_config.hidden_size, 2).to(device)
    embeddings = model.model.language_model.embed_tokens
    parts = (model.model.vision_tower, model.model.multi_modal_projector, embeddings, centre, place)
    weights = [nothing, *(weight for part in parts for weight in part.parameters())]
    optimizer = torch.optim.AdamW(weights, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS, pct_start=0.1)
    # In cells from the middle of the image
    line = ((torch.arange(SIDE) + 0.5) / SIDE - 0.5) * GRID
    places = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1).flatten(0, 1).to(device)
    rng = np.random.default_rng(seed)
    for step in range(1, STEPS + 1):
        chosen = rng.integers(0, len(split.scenes), BATCH).tolist()
        labels = split.labels[chosen].to(device)
        features = patch_features(model, split.pixels(chosen).to(device))
        projected = model.model.multi_modal_projector(features)
        losses = [
            cross_entropy(centre(features).flatten(0, 1), labels[:, CENTRE].flatten()),
            mse_loss(place(projected), places.expand(BATCH, -1, -1)),
        ]
        found = []
        for ids, empty, kind in zip(words, nothing, (NAME, NAME, INK), strict=True):
            match = projected @ embeddings.weight[ids].T
            scores = torch.cat([empty.expand(*match.shape[:2], 1), match], dim=-1)
            truth = labels[:, kind] * (labels[:, kind] <= len(ids))
            losses += [cross_entropy(scores[where], truth[where]) for where in (truth == 0, truth > 0)]
            found.append(scores.argmax(-1))
        loss = torch.stack(losses).sum()
        descend(loss, weights, optimizer, schedule)
        if step % 250 == 0:
            say(f"vision {step}/{STEPS}: loss {loss:.3f}; patches told right: {_shares(labels, found[0], found[2])}")
    with torch.no_grad():
        model.lm_head.weight.copy_(embeddings.weight)


def _shares(labels: Tensor, names: Tensor, inks: Tensor) -> str:
    """Of the patches that show something, those whose name and colour were found."""
    name = labels[:, NAME]
    shape, character = (name > 0) & (name <= len(SHAPES)), name > len(SHAPES)
    right, coloured = names == name, inks == labels[:, INK]
    shares = {"shapes": right[shape], "characters": right[character], "colours": coloured[labels[:, INK] > 0]}
    return ", ".join(f"{kind} {share.float().mean():.0%}" for kind, share in shares.items())


def descend(
    loss: Tensor,
    weights: Sequence[nn.Parameter],
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> None:
    """One step of training."""
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(weights, 1.0)
    optimizer.step()
    schedule.step()
