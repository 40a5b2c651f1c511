"""The benchmark runs, on models too small to measure: every row of its table comes out, and lands in its JSON."""

import json
import queue
from dataclasses import replace
from functools import partial

import pytest
import torch

from tests.bench import observing as bench
from tests.bench.variants import SHAPES, Variants, build

TINY = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}


class Usual:
    """Stands for a public package, which the tests do without."""

    def __init__(self, variants):
        self.run = variants.plain


@pytest.fixture
def tiny(monkeypatch):
    short, long = SHAPES["cpu"]
    shapes = replace(short, image_size=56, text=TINY), replace(long, image_size=112, batch=2, text=TINY)
    monkeypatch.setitem(SHAPES, "cpu", shapes)
    return shapes


def test_every_row_is_measured(tiny, tmp_path, monkeypatch, capsys):
    def short_of_memory(self):
        raise torch.OutOfMemoryError("too large")

    monkeypatch.setattr(bench, "memory_of", lambda _, variant, **__: None if variant == "usual" else 100.0)
    monkeypatch.setattr(Variants, "usual", short_of_memory)
    monkeypatch.setattr(bench, "installed", lambda: {"nnsight": True, "transformer_lens": False, "unknown": True})
    monkeypatch.setattr(bench, "Alternative", lambda name, own: Usual(own) if name == "nnsight" else {}[name])
    argv = ["--device=cpu", "--rounds=2", "--end-to-end-rounds=1", "--images=3", "--batch-size=2", "--profile"]
    monkeypatch.setattr("sys.argv", ["bench", *argv, f"--json={tmp_path / 'bench.json'}"])
    bench.main()
    rows = json.loads((tmp_path / "bench.json").read_text())["rows"]
    variants = ["observed / plain", "usual / plain"]
    memory = [f"{variant}, peak memory" for variant in variants]
    assert [row["what"] for row in rows] == [
        variants[0],
        "contributions / plain",
        "profile / plain",
        "maps / plain",
        "maps_of_question / plain",
        "knock_outs / plain",
        "knock_outs_of_two / plain",
        "separate / packed",
        "five runs / five wordings",
        "extract / bare loop",
        "host",
        variants[1],
        "nnsight / plain",
        "nnsight / plain, peak memory",
        *variants,
        *memory,
    ]
    assert [row["tokens"] for row in rows if "tokens" in row] == [85, 85, 133, 133]
    assert [row["value"] for row in rows if row["what"].startswith("usual")] == ["no memory", "no memory", "no value"]
    out = capsys.readouterr().out
    assert all(f"| {row['what']} | {row['value']} |" in out for row in rows)
    assert "| transformer_lens | not installed | no row of it |" in out
    assert "| unknown | not measured | KeyError: 'unknown' |" in out
    assert "6 samples, batch 2" in out
    assert "aten::_scaled_dot_product_flash_attention_for_cpu" in out


def test_memory_of_one_way(tiny):
    out = queue.Queue()
    bench.peak_growth(partial(bench.variants_of, tiny[1], torch.device("cpu"), torch.float32), "usual", False, out)
    assert 0 <= out.get() < 2000


def test_all_ways_compute_the_same(tiny):
    variants = Variants(build(tiny[1], torch.device("cpu"), torch.float32), 2)
    with torch.inference_mode():
        logits, flows, _ = variants.observed()
        assert torch.equal(variants.plain()[:, -1], logits)
        text, image = variants.usual().unbind(dim=-1)
    length = variants.one.input_ids.shape[1]
    assert torch.allclose(text + image, torch.full_like(text, length), atol=1e-3)
    v2t, t2v = flows[..., 1].transpose(0, 1), flows[..., 0].transpose(0, 1)
    assert torch.allclose(image, 64 * (1 - v2t) + (length - 64) * t2v, atol=1e-3)
