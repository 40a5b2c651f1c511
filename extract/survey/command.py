"""`python -m extract families`: the table of families, or what would happen to a model, by its config files."""

from extract.backends import packages
from extract.settings import TRANSFORMERS
from extract.survey.settings import Families


def families(settings: Families) -> int:
    """Print the table, or a model's place in it; returns the exit code.

    Raises:
        HeadflowError: the model would be refused, in the line with which a run would be.
    """
    with packages(TRANSFORMERS):
        from transformers.utils import logging

        from extract.models.loading import describe_model
        from extract.survey.table import lines, lines_of
    logging.set_verbosity_error()
    if settings.model is not None:
        print(*lines_of(settings.model, describe_model(settings.model, settings.model_base)), sep="\n")
    else:
        print(*lines(), sep="\n")
    return 0
