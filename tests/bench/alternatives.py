"""The work of `Variants.usual` by public packages that are installed beside headflow, which needs none of them.

Each has a model of its own, as a package may change what it is given, and computes the masses of text and image, summed
over all queries: float32 [layers, images, heads, 2].
"""

import tempfile
from collections.abc import Callable
from importlib.util import find_spec

import torch
from torch import Tensor
from transformers import AutoTokenizer

from schemas.roles import IMAGE
from tests.bench.variants import Variants

Pass = Callable[[], Tensor]


def text_and_image(variants: Variants) -> Tensor:
    """Which keys are text, and which are image tokens: [images, 1, length, 2] in the model's dtype."""
    text = (variants.one.roles != IMAGE).float()
    return torch.stack([text, 1 - text], dim=-1)[:, None].to(variants.checkpoint.dtype)


def of_nnsight(variants: Variants) -> Pass:
    """A trace of nnsight, in which attention weights are reduced layer by layer."""
    import nnsight  # type: ignore[import-not-found, unused-ignore]

    model, roles = variants.checkpoint.model, text_and_image(variants)
    model.set_attn_implementation({"text_config": "eager"})
    wrapped = nnsight.NNsight(model)

    def run() -> Tensor:
        with wrapped.trace(input_ids=variants.one.input_ids, use_cache=False, logits_to_keep=1, **variants.inputs):
            found = []
            for layer in wrapped.model.language_model.layers:
                found.append((layer.self_attn.output[1] @ roles).float().sum(dim=2))
            masses = torch.stack(found).save()
        return masses  # noqa: RET504 - it is there once the trace has ended

    return run


def of_transformer_lens(variants: Variants) -> Pass:
    """A pass of TransformerLens's bridge, which keeps the attention patterns of all layers."""
    from transformer_lens.model_bridge import (  # type: ignore[import-not-found, unused-ignore]
        TransformerBridge,
    )

    model, roles = variants.checkpoint.model, text_and_image(variants)
    model.set_attn_implementation({"text_config": "eager"})
    model.config.architectures = [type(model).__name__]
    with tempfile.TemporaryDirectory() as folder:  # it reads the tokenizer again
        variants.checkpoint.prompt_format.tokenizer.save_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        bridge = TransformerBridge.boot_transformers(
            folder, hf_model=model, tokenizer=tokenizer, device=str(variants.device), dtype=variants.checkpoint.dtype
        )
    patterns = [f"blocks.{layer}.attn.hook_pattern" for layer in range(variants.checkpoint.layers)]

    def run() -> Tensor:
        inputs = {"pixel_values": variants.inputs["pixel_values"]}
        _, kept = bridge.run_with_cache(variants.one.input_ids, names_filter=patterns, **inputs)
        return torch.stack([(kept[name] @ roles).float().sum(dim=2) for name in patterns])

    return run


ALTERNATIVES: dict[str, Callable[[Variants], Pass]] = {"nnsight": of_nnsight, "transformer_lens": of_transformer_lens}


class Alternative:
    """One of `ALTERNATIVES`, to be run as the variants are."""

    def __init__(self, name: str, variants: Variants) -> None:
        self._variants = variants
        self._run = ALTERNATIVES[name](variants)

    def run(self, _: str = "") -> Tensor:
        """One pass, to its end."""
        with torch.inference_mode():
            masses = self._run()
        if self._variants.device.type == "cuda":
            torch.cuda.synchronize()
        return masses

    def warm_up(self) -> None:
        """Run it once."""
        self.run()


def installed() -> dict[str, bool]:
    """Which of `ALTERNATIVES` can be imported."""
    return {name: find_spec(name) is not None for name in ALTERNATIVES}
