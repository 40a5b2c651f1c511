"""Oracle: the released model by hand: tower, projector and language model apart, in eager attention, float32.

What the package itself makes of the same checkpoints is in `test_package.py`.
"""

import pandas as pd
import pytest
import sentencepiece
import torch
from torch.nn import functional
from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModel

from extract.images.decoding import load_image
from extract.models.loading import load_prompt_format
from schemas.columns import FLOW_NAMES
from schemas.store.run import open_run
from schemas.validation.run import validate
from tests.support import tiny_originals as tiny
from tests.support.eager_reference import SUFFIX, SYSTEM, reduce

ROWS = 4


def tokens(form: tiny.Original, question: str) -> tuple[list[int], list[int], list[str]]:
    """Ids before and after the image, and the roles of those before; by SentencePiece itself."""
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(form.tokenizer / "tokenizer.model"))
    system, user = pieces.encode(SYSTEM), pieces.encode(SYSTEM + "USER: ")
    after = pieces.encode(f"\n{question}{SUFFIX} ASSISTANT:")
    same = next(index for index, pair in enumerate(zip(system, user, strict=False)) if pair[0] != pair[1])
    before, roles = [1, *user], ["bos", *["sys"] * same, *["user"] * (len(user) - same)]
    if form.config()["mm_use_im_start_end"]:
        start = pieces.vocab_size()
        assert pieces.id_to_piece(after[0]) == "▁"  # which only the start of a text has
        before, roles, after = [*before, start], [*roles, "user"], [after[0], start + 1, *after[1:]]
    return before, after, roles


class ByHand:
    """A released checkpoint, run part by part."""

    def __init__(self, form: tiny.Original) -> None:
        self.form, self.config = form, form.config()
        self.tower = CLIPVisionModel(CLIPVisionConfig.from_pretrained(form.tower))
        self.tower.load_state_dict(form.vision)
        config_class, model_class, *_ = tiny.LANGUAGES[form.language]
        state = dict(form.state)
        for name, down in form.adapter.items():
            if "lora_A" in name:
                up = form.adapter[name.replace("lora_A", "lora_B")]
                target = name.removeprefix("base_model.model.").replace("lora_A.", "")
                state[target] = state[target].float() + tiny.ALPHA / tiny.RANK * (up.float() @ down.float())
        self.language = model_class._from_config(
            config_class(**tiny.language_settings(form.words)), dtype=torch.float32
        )
        self.language.load_state_dict(state)
        self.language.set_attn_implementation("eager")
        self.processor = CLIPImageProcessorPil.from_pretrained(form.tower)

    @torch.no_grad()
    def __call__(self, question: str, image) -> tuple[dict, int]:
        """Flows float64 [layers, heads] by name, and the first generated token."""
        pixels = self.processor(images=[image], return_tensors="pt")["pixel_values"]
        hidden = self.tower.float().eval()(pixels, output_hidden_states=True).hidden_states
        features = hidden[self.config["mm_vision_select_layer"]][0]
        if self.config["mm_vision_select_feature"] == "patch":
            features = features[1:]
        weights = [tensor.float() for tensor in self.form.projector.values()]
        for index in range(0, len(weights), 2):
            features = functional.gelu(features) if index else features
            features = functional.linear(features, *weights[index : index + 2])
        before, after, roles = tokens(self.form, question)
        embed = self.language.get_input_embeddings()
        whole = torch.cat([embed(torch.tensor(before)), features, embed(torch.tensor(after))])[None]
        output = self.language.eval()(inputs_embeds=whole, output_attentions=True)
        attention = torch.stack(output.attentions)[:, 0].double().numpy()
        flows = reduce(attention, [*roles, *["v"] * len(features), *["q"] * len(after)])
        return flows, int(output.logits[0, -1].argmax())


@pytest.fixture(scope="module", params=tiny.FORMS)
def form(request, tmp_path_factory, texts):
    return tiny.Original(tmp_path_factory.mktemp("form"), tiny.make_corpus(texts), **tiny.FORMS[request.param])


def test_each_form_equals_the_model_by_hand(form, tmp_path, extract, questions):
    run = tmp_path / "run"
    assert extract(run, num_samples=ROWS, image_aspect_ratio="crop", conv_mode="vicuna_v1", **form.flags()) == 0
    assert list(validate(run)) == []
    assert open_run(run).manifest.architecture == form.config()["architectures"][0]
    heads, samples = (pd.read_parquet(run / table) for table in ("heads", "samples"))
    by_hand = ByHand(form)
    for _, sample in samples.iterrows():
        image, _ = load_image(questions / "images" / sample["image"])
        flows, first = by_hand(sample["question"], image)
        rows = heads[heads["sample_id"] == sample["sample_id"]].sort_values(["layer", "head"])
        for name in FLOW_NAMES:
            assert abs(rows[name].to_numpy() - flows[name].ravel()).max() <= 1e-5, name
        pieces = sentencepiece.SentencePieceProcessor(model_file=str(form.tokenizer / "tokenizer.model"))
        assert sample["prediction"].strip() == pieces.decode([first]).strip()
    assert heads["q2v"].std() > 0.02


@pytest.mark.parametrize(
    ("form", "name", "template"),
    [
        ("released", "llava-v1.5-7b", "vicuna_v1"),
        ("released", "llava-llama-2-13b-chat", "llava_llama_2"),
        ("any resolution", "llava-v1.6-vicuna-7b", "vicuna_v1"),
        ("any resolution", "LLaVA-v1.6-34B", "chatml_direct"),
        ("mistral", "model", "mistral_instruct"),
    ],
)
def test_the_template_of_a_model_on_another_language_model(form, name, template, tmp_path, texts):
    original = tiny.Original(tmp_path, tiny.make_corpus(texts), **tiny.FORMS[form])
    path = original.path.rename(tmp_path / name)
    prompt_format, _ = load_prompt_format(str(path))
    assert prompt_format.default_template == template
