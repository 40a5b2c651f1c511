"""Oracle: the definitions by loops, and outcomes drawn from the probabilities themselves."""

import numpy as np
import pytest

from analyze.statistics.calibration import calibrate


def test_by_loops():
    rng = np.random.default_rng(0)
    probability, yes = rng.random(200), rng.random(200) < 0.5
    probability[:3] = (0.0, 0.1, 1.0)
    found = calibrate(probability, yes, bins=10)
    ece = 0.0
    for low in np.arange(10) / 10:
        inside = (probability >= low) & ((probability < low + 0.1 - 1e-12) | (low == 0.9))
        if inside.any():
            ece += inside.sum() / 200 * abs(probability[inside].mean() - yes[inside].mean())
    assert found.ece == pytest.approx(ece)
    assert found.brier == pytest.approx(np.mean([(p - y) ** 2 for p, y in zip(probability, yes, strict=True)]))
    assert found.curve["samples"].sum() == 200


def test_a_calibrated_model_and_a_boastful_one():
    rng = np.random.default_rng(1)
    probability = rng.random(20_000)
    yes = rng.random(20_000) < probability
    assert calibrate(probability, yes).ece < 0.02
    assert calibrate(np.round(probability), yes).ece == pytest.approx(0.25, abs=0.02)
    one = calibrate(np.array([1.0]), np.array([True]))
    assert (one.ece, len(one.curve)) == (0, 1)
    with pytest.raises(ValueError, match="needs a sample"):
        calibrate(np.empty(0), np.empty(0, bool))
