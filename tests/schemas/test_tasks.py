"""Oracle: leads and places worked out by hand."""

import pytest

from schemas.tasks import MME, lead_of


@pytest.mark.parametrize(
    ("logits", "right", "lead"),
    [
        ([2.0, 5.0], 0, -3.0),
        ([2.0, 5.0], 1, 3.0),
        ([1.0, 4.0, 3.5], 1, 0.5),
        ([1.0, 4.0, 3.5], 0, -3.0),
        ([1.0], None, None),
    ],
)
def test_the_lead_is_of_the_right_option_over_the_strongest_wrong_one(logits, right, lead):
    assert lead_of(logits, right) == lead


def test_a_margin_that_is_known_more_exactly_is_the_lead_of_two_options():
    assert lead_of([20.0, 19.5], 0, 0.4375) == 0.4375
    assert lead_of([20.0, 19.5], 1, 0.4375) == -0.4375


@pytest.mark.parametrize(
    ("options", "answer", "place"),
    [
        *((["Yes", "No"], answer, place) for answer, place in (("yes.", 0), ("No", 1), ("a cat", None), (None, None))),
        *((["No", "Yes"], answer, place) for answer, place in (("yes.", 1), ("No", 0), ("a cat", None))),
        *((["Ja", "Nein"], answer, place) for answer, place in (("Yes", 0), ("No", 1))),
    ],
)
def test_the_right_option_is_found_in_any_order_and_in_other_words(options, answer, place):
    assert MME.right_of(options, answer) == place
