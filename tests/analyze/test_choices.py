"""Oracle: pandas on the rows of made-up runs of questions with options of their own, which commands state in leads."""

import re

import numpy as np
import pandas as pd
import pytest

from analyze.__main__ import main
from analyze.knockouts.effects import contribution_blocks, means_of
from analyze.tables.frames import open_heads
from tests.support.asked import write_choices
from tests.support.runs import put, rewrite

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with contributions; the right answer of its first question is no option."""
    path = write_choices(tmp_path_factory.mktemp("choices") / "run", images=24, tables=("contributions", "layers"))
    for name, value in (("answer", "Z"), ("lead", None)):
        rewrite(path, "samples", lambda table, name=name, value=value: put(table, name, 0, value))
    logits = np.sort(pd.read_parquet(path / "samples")["option_logits"][0])
    rest = pd.read_parquet(path / "samples").filter(regex="^d_(?!rest)").iloc[0].sum()
    rewrite(path, "samples", lambda table: put(table, "d_rest", 0, float(logits[-1] - logits[-2] - rest)))
    assert main(["validate", str(path)]) == 0
    return path


def test_contributions_count_as_they_are_written(run):
    """Towards the right option, whichever it is; a sample whose right answer is no option does not count."""
    rows, samples = (pd.read_parquet(run / table).astype({"sample_id": str}) for table in ("contributions", "samples"))
    rows = rows[rows["sample_id"] != samples["sample_id"][0]]
    found = means_of(contribution_blocks(open_heads(run)[0], ["d2v", "d2q"]))
    for name, means in found.items():
        assert means == pytest.approx(rows.groupby(["layer", "head"])[name].mean().to_numpy(), abs=1e-6)


def test_pictures_and_the_page_say_lead(run, tmp_path, capsys):
    assert main(["plots", str(run), "--metrics", "d2v", "--output-dir", str(tmp_path)]) == 0
    assert (tmp_path / "mme_head_map_d2v.png").exists()
    assert main(["report", str(run), "--images", "0", "--output-dir", str(tmp_path)]) == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '"numbers":{"lead":"lead_of_answer","p_options":"p_options"}' in page
    shown = re.sub(r"<script.*?</script>|<style.*?</style>", "", page, flags=re.DOTALL)
    assert "adds straight to the lead" in shown
    assert not re.search(r"\bmargin\b|\byes\b", shown, re.IGNORECASE)
