"""Oracles, for each family: the ids of its own processor's `apply_chat_template`; an eager pass of the model in float64
reduced row by row (tests/oracle.py); the unobserved sdpa model, for logits."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoConfig, AutoModelForImageTextToText, AutoTokenizer
from transformers.models.smolvlm import processing_smolvlm

from extract.models import load_model
from extract.packing import pack
from extract.probe import probe
from extract.processors import load_processor
from extract.templates import MME_SUFFIX
from extract.transfer import Uploader
from schemas.columns import FLOW_NAMES, PARTITIONS
from tests.oracle import reduce
from tests.tiny_families import RECIPES, make_family

CPU = torch.device("cpu")
SHORT = ("bos", "sys", "user", "v", "q")
QUESTIONS = ("Is there a red car?", "Yes or No: is this a picture of a word?")


def picture(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(width).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


PICTURES = (picture(40, 70), picture(90, 33))


class FamilyWitness:
    """A family's model in eager attention and float64, fed by its own processor."""

    def __init__(self, path, name):
        self.path, self.recipe = path, RECIPES[name]
        self.config = AutoConfig.from_pretrained(path)
        self.processor = load_processor(str(path), self.config, AutoTokenizer.from_pretrained(path))
        self.processor.video_processor = SimpleNamespace(num_frames=1, fps=1)
        self.tokenizer = self.processor.tokenizer

    def read(self, image, question):
        """What the processor makes of a question about an image."""
        text = question + MME_SUFFIX
        if self.recipe.template is None:
            return self.processor(images=image, text="<image>" + text, return_tensors="pt")
        content = [{"type": "image", "image": image}, {"type": "text", "text": text}]
        return self.processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=True, return_dict=True, add_generation_prompt=True,
            return_tensors="pt",
        )  # fmt: skip

    def roles(self, ids):
        first = ids.index(self.config.image_token_id)
        roles = []
        for position, token in enumerate(ids):
            read = self.tokenizer.decode(ids[: position + 1])
            before = "bos" if position == 0 else "sys" if self.recipe.system.startswith(read) else "user"
            roles.append("v" if token == self.config.image_token_id else "q" if position > first else before)
        return roles

    def run(self, read, *, dtype, attention, **options):
        model = AutoModelForImageTextToText.from_pretrained(self.path, dtype=dtype, attn_implementation=attention)
        known = {name: value for name, value in read.items() if name != "labels"}
        inputs = {name: value.to(dtype) if value.is_floating_point() else value for name, value in known.items()}
        with torch.no_grad():
            return model.eval()(**inputs, use_cache=False, **options)

    def flows(self, read):
        """Each flow column as float64 [layers, heads]."""
        output = self.run(read, dtype=torch.float64, attention="eager", output_attentions=True)
        return reduce(torch.stack(output.attentions)[:, 0].double().numpy(), self.roles(read["input_ids"][0].tolist()))


@pytest.fixture(scope="module", params=RECIPES)
def family(request, tmp_path_factory):
    """A family's name, its checkpoint, and its witness."""
    path = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processing_smolvlm, "num2words", str)  # it spells numbers of frames, of which there are none
        try:
            make_family(path, request.param)
        except ImportError as error:  # transformers 5.17 has no Idefics3 without torchvision
            pytest.skip(str(error).strip())
        yield request.param, path, FamilyWitness(path, request.param)


def hf(path):
    model = load_model(str(path), None, device=CPU, dtype=torch.float32)
    return model, model.tokens.prompts(model.tokens.find_template("hf", str(path)))


def observe(model, asked):
    """Logits and flows of images with their prompts."""
    batch = pack([prompts for _, prompts in asked])
    return model.forward(*Uploader(CPU, torch.float32).send(batch, [pixels for pixels, _ in asked]))


def test_a_family_equals_its_witness(family):
    name, path, witness = family
    model, prompts = hf(path)
    probe(model, prompts)
    pixels = [model.preprocessor(image) for image in PICTURES]
    built = [[prompts.build(question, each.image_ids) for question in QUESTIONS] for each in pixels]
    if model.packs and name not in ("idefics3", "smolvlm"):
        logits, flows = observe(model, list(zip(pixels, built, strict=True)))
    else:
        asked = [(each, [prompt]) for each, group in zip(pixels, built, strict=True) for prompt in group]
        logits, flows = observe(model, asked)
    worst, wrong, spread = 0.0, 0.0, 0.0
    for number, (image, question) in enumerate((image, question) for image in PICTURES for question in QUESTIONS):
        prompt, read = built[number // 2][number % 2], witness.read(image, question)
        ids = read["input_ids"][0].tolist()
        assert prompt.input_ids == ids
        roles = witness.roles(ids)
        assert [SHORT[role] for role in prompt.roles] == roles
        expected = witness.flows(read)
        for column, flow in enumerate(FLOW_NAMES):
            worst = max(worst, np.abs(flows[number, ..., column].numpy() - expected[flow]).max())
        spread = max(spread, expected["a2v"].max() - expected["a2v"].min())
        plain = witness.run(read, dtype=torch.float32, attention=None, logits_to_keep=1).logits[0, -1]
        wrong = max(wrong, float((logits[number] - plain).abs().max()))
    print(f"{name}: flows {worst:.1e}, logits {wrong:.1e}, spread {spread:.2f}")
    assert worst <= 1e-5
    assert wrong <= 1e-5
    assert spread > 0.1
    for columns in PARTITIONS.values():
        total = flows[..., [FLOW_NAMES.index(column.name) for column in columns]].sum(dim=-1)
        assert (total - 1).abs().max() <= 1e-5
