"""The independent reference: eager attention with `output_attentions=True`, reduced in float64 by the definitions.

Uses nothing of `extract`: roles are read off the decoded text, flows off the full attention matrices.
"""

import numpy as np
import torch
from transformers import AutoTokenizer, LlavaForConditionalGeneration

SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions. "
)
ROLES = ("bos", "sys", "user", "v", "q")
SUFFIX = "\nAnswer the question using a single word or phrase."


class EagerReference:
    """A second copy of a model, in eager attention and float32."""

    def __init__(self, path):
        self.path = path
        self.model = LlavaForConditionalGeneration.from_pretrained(
            path, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(path)

    def tokens(self, question: str) -> tuple[list[int], list[str]]:
        """Token ids and roles of a prompt of vicuna_v1."""
        before = self.tokenizer(SYSTEM + "USER: ").input_ids
        after = self.tokenizer(f"\n{question}{SUFFIX} ASSISTANT:").input_ids[1:]
        patches = self.model.config.vision_config.image_size // self.model.config.vision_config.patch_size
        roles = ["bos"]
        for end in range(2, len(before) + 1):
            read = self.tokenizer.decode(before[1:end])
            roles.append("sys" if SYSTEM.startswith(read) else "user")
        image = [self.model.config.image_token_id] * patches**2
        return before + image + after, roles + ["v"] * len(image) + ["q"] * len(after)

    def flows(self, question: str, pixels: torch.Tensor) -> dict[str, np.ndarray]:
        """Each flow column as float64 [layers, heads]."""
        ids, roles = self.tokens(question)
        with torch.no_grad():
            output = self.model(input_ids=torch.tensor([ids]), pixel_values=pixels, output_attentions=True)
        attention = torch.stack(output.attentions)[:, 0].double().numpy()
        return reduce(attention, roles)


def reduce(attention: np.ndarray, roles: list[str]) -> dict[str, np.ndarray]:
    """Flows from full attention [..., queries, keys], row by row."""
    at = {role: [i for i, name in enumerate(roles) if name == role] for role in ROLES}
    text = [i for i, name in enumerate(roles) if name != "v"]
    groups = {"v": at["v"], "q": at["q"], "a": [len(roles) - 1]}

    def mean_mass(rows: list[int], keys: list[int]) -> np.ndarray:
        return sum(attention[..., row, keys].sum(-1) for row in rows) / len(rows)

    flows = {"t2v": mean_mass(text, at["v"]), "v2t": mean_mass(at["v"], text)}
    return flows | {f"{group}2{role}": mean_mass(groups[group], at[role]) for group in groups for role in ROLES}
