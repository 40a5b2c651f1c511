"""Oracle: leads and places worked out by hand."""

import pytest

from schemas.tasks import CHOICES, MME, PLAIN, POPE, lead_of, task_of


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


COLOURS = ["red", "Dark blue", "green"]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        *(("A", 0), (" B", 1), ("(C)", 2), ("B.", 1), ("B. red", 1), ("(C) red", 2), ("C: it is green", 2)),
        *(("The answer is B", 1), ("So the answer is: (A).", 0), ("dark blue.", 1), ("GREEN", 2)),
        # None of the options, or two
        *((text, None) for text in ("D", "a", "A red", "blue", "", None, "answer is A, or the answer is B")),
    ],
)
def test_a_choice_is_read_by_its_letter_or_in_its_own_words(text, place):
    assert CHOICES.read(text, COLOURS) == place


@pytest.mark.parametrize(
    ("answer", "options", "place"),
    [
        *((answer, COLOURS, place) for answer, place in (("A", 0), ("C", 2), ("D", None), ("green", 2), (None, None))),
        ("A", ["B", "A"], 0),  # the letter of an option, before its words
        *(
            (answer, COLOURS, 1)
            for answer in ("b", "B.", "(B)", "b)", "The answer is B.", " B. dark blue", "(b) Dark blue.")
        ),
        *((answer, COLOURS, None) for answer in ("B. red", "BC", "A,B", "d", "D.", "a red one")),
        ("a", ["b", "a"], 1),
        ("2", ["1", "2"], 1),
        ("red", ["red", "red"], None),
        ("A", [], None),
    ],
)
def test_a_right_choice_is_a_letter_or_the_words_of_one_option(answer, options, place):
    assert CHOICES.right(answer, options) == CHOICES.right_of(options, answer) == place


def test_a_task_is_known_by_options_and_by_its_categories():
    assert task_of(["random"], options=True) is CHOICES
    assert task_of(["random", "popular"], options=False) is POPE
    assert task_of(["random", "count"], options=False) is MME
    assert task_of(["unknown", "count"], options=False) is MME
    assert task_of(["unknown"], options=False) is PLAIN
