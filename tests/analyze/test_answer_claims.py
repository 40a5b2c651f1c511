"""Oracle: made-up answers whose truth is known; see `tests.simulations`, whose modules also run them at size."""

from tests.simulations.answers import World, simulate
from tests.simulations.shared_images import World as SharedWorld
from tests.simulations.shared_images import right_claims


def test_sentences_are_seldom_false_and_intervals_hold():
    """At most 5% are false: of 5 runs more than 2 with a probability of 0.001 then."""
    found = simulate(World(2, 24), 5, resamples=300)
    assert len(found.made) == 8
    assert max(found.false.values()) <= 2, found.false
    shares = {name: found.held[name] / number for name, number in found.given.items() if number >= 10}
    assert len(shares) >= 6
    assert min(shares.values()) >= 0.7, shares
    assert sum(found.held.values()) / sum(found.given.values()) >= 0.9


def test_an_image_in_several_categories_is_one():
    """Intervals of 95% over all categories, of 100 runs; with an image as three they would hold in some 77."""
    found = right_claims(SharedWorld(25, 0.3), 100)
    assert min(number for name, number in found.items() if name.endswith("holds")) >= 87, found
    assert found["prompts: a wording is better, and is not"] <= 15
    apart = right_claims(SharedWorld(25, 0.3), 100, joined=False)
    assert max(apart["effect of a head: holds"], apart["gain of the image: holds"]) <= 87, apart
