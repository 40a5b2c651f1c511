"""Queries, keys and values of random layers, their attention in float64, and how far an observation is off."""

import numpy as np
import torch

from extract.attention.causal import Observation
from extract.attention.packing import pack
from schemas.columns import FLOW_NAMES
from schemas.roles import IMAGE, QUESTION, ROLES
from tests.support.eager_reference import reduce
from tests.support.prompts import columns, image_first, prompt, tiles

SHORT = ("bos", "sys", "user", "v", "q")
CPU = torch.device("cpu")
HEADS, WIDTH, SCALE = 4, 16, 0.25
BATCHES = {f"{number} questions": [[prompt(9 + k, seed=k) for k in range(number)]] for number in range(1, 6)} | {
    "batch of 8": [[prompt(9 + k), prompt(12 - k)] for k in range(8)],
    "uneven": [[prompt(9), prompt(5)], [prompt(3)], [prompt(4), prompt(6), prompt(1)]],
    "prefixes of several lengths": [[prompt(9), prompt(5)], [prompt(3, image=31)], [prompt(4, image=7)]],
    "long": [[prompt(90, image=500), prompt(40, image=500)], [prompt(41, image=500)]],
    "tiles": [[tiles()], [prompt(9)]],
    "questions on tiles": [[tiles(), tiles(1), tiles(2)], [prompt(9), prompt(4)]],
    "image first": [[image_first(9), image_first(5, 1)], [image_first(7)]],
}


def layers(images, number=2, *, kv_heads=HEADS, dtype=torch.float32, logit_std=3.0):
    """Queries, keys and values of some layers; padding holds other numbers than tokens do."""
    random = torch.Generator().manual_seed(0)
    rows, length = pack(images).input_ids.shape
    made = []
    for _ in range(number):
        heads = (HEADS, kv_heads, kv_heads)
        made.append([torch.randn(rows, length, each, WIDTH, generator=random) * logit_std**0.5 for each in heads])
        for tensor in made[-1]:
            for row in range(rows):
                used = {column for owner, own in columns(images) if owner == row for column in own}
                tensor[row, [column for column in range(length) if column not in used]] = 9.0
    return [[tensor.to(dtype).transpose(1, 2) for tensor in layer] for layer in made]


def by_hand(layer, row, own):
    """One question's attention [heads, sequence, sequence] and output [heads, sequence, head_dim], in float64."""
    query, key, value = (tensor[row, :, own].double() for tensor in layer)
    key, value = (tensor.repeat_interleave(HEADS // tensor.shape[0], dim=0) for tensor in (key, value))
    later = torch.ones(len(own), len(own)).triu(1).bool()
    attention = (query @ key.transpose(-1, -2) * SCALE).masked_fill(later, -torch.inf).softmax(dim=-1)
    return attention, attention @ value


def reference_masses(attention: torch.Tensor, roles: torch.Tensor) -> dict[str, torch.Tensor]:
    """The definitions of the masses, word for word.

    Args:
        attention: float64 [heads, sequence, sequence], rows are queries, each sums to 1.
        roles: int [sequence], codes of `schemas.roles`.

    Returns:
        float64 [heads] for each column.
    """
    keys = {role.short: roles == code for code, role in enumerate(ROLES)}
    queries = {"v": roles == IMAGE, "q": roles == QUESTION, "a": torch.arange(len(roles)) == len(roles) - 1}
    text = roles != IMAGE

    def mean_mass(rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        return attention[:, rows][:, :, columns].sum(dim=-1).mean(dim=-1)

    masses = {"t2v": mean_mass(text, ~text), "v2t": mean_mass(~text, text)}
    masses |= {f"{group}2{role}": mean_mass(queries[group], keys[role]) for group in queries for role in keys}
    return {name: masses[name] for name in FLOW_NAMES}


def written_out(images, made) -> list[list[tuple[dict[str, torch.Tensor], torch.Tensor]]]:
    """Flows and outputs of each question in each layer, in float64: what `largest_errors` compares with."""
    found = []
    prompts = [each for group in images for each in group]
    for each, (row, own) in zip(prompts, columns(images), strict=True):
        found.append([])
        for layer in made:
            attention, output = by_hand(layer, row, own)
            expected = reference_masses(attention, torch.tensor(each.roles))
            reference = reduce(attention.numpy(), [SHORT[code] for code in each.roles])
            for name in FLOW_NAMES:
                assert np.abs(expected[name].numpy() - reference[name]).max() < 1e-12
            found[-1].append((expected, output))
    return found


def largest_errors(images, made, kernel, right, *, device=CPU, hold=0) -> tuple[float, float]:
    """Of flows, and of outputs, where those of `written_out` are right."""
    observation = Observation(pack(images).to(device), kernel, hold=hold)
    outputs = [observation.attend(*(tensor.to(device) for tensor in layer), SCALE).cpu() for layer in made]
    found = observation.masses().cpu()
    assert found.shape == (len(right), len(made), HEADS, len(FLOW_NAMES))
    assert found.dtype == torch.float32
    worst, worst_output = 0.0, 0.0
    for number, (row, own) in enumerate(columns(images)):
        for index, (expected, output) in enumerate(right[number]):
            for position, name in enumerate(FLOW_NAMES):
                worst = max(worst, float((found[number, index, :, position] - expected[name]).abs().max()))
            worst_output = max(worst_output, float((outputs[index][row, :, own] - output).abs().max()))
    return worst, worst_output
