"""Oracle: made-up answers whose truth is known; see `tests.simulations.answers`, which also runs them at size."""

from tests.simulations.answers import World, simulate


def test_sentences_are_seldom_false_and_intervals_hold():
    """At most 5% are false: of 5 runs more than 2 with a probability of 0.001 then."""
    found = simulate(World(2, 24), 5, resamples=300)
    assert len(found.made) == 8
    assert max(found.false.values()) <= 2, found.false
    shares = {name: found.held[name] / number for name, number in found.given.items() if number >= 10}
    assert len(shares) >= 6
    assert min(shares.values()) >= 0.7, shares
    assert sum(found.held.values()) / sum(found.given.values()) >= 0.9
