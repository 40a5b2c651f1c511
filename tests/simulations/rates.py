"""How often sentences are false in simulated runs: counting and printing, shared by the simulations."""

import argparse
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import numpy as np

W = TypeVar("W")


def count(false_sentences: Callable[[np.random.Generator], Mapping[str, bool]], runs: int, seed: int) -> Counter[str]:
    """In how many runs each sentence is false."""
    random, found = np.random.default_rng(seed), Counter()
    for _ in range(runs):
        found.update({name: int(wrong) for name, wrong in false_sentences(random).items()})
    return found


def print_rates(description: str, worlds: Iterable[W], simulate: Callable[[W, int], Counter[str]]) -> None:
    """Print the rates of each world, for as many runs as the command line says."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    runs = parser.parse_args().runs
    for world in worlds:
        print(world)
        for name, number in simulate(world, runs).items():
            print(f"  {number / runs:6.1%}  {name}", flush=True)
