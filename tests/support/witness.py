"""Questions about pictures, and a family's model in eager attention, as an oracle that its own processor feeds."""

from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image
from transformers import AutoConfig, AutoModelForImageTextToText, AutoTokenizer

from extract.images.processors import load_processor
from extract.models.loading import load_model
from extract.questions.fields import MME_SUFFIX
from tests.support.eager_reference import reduce
from tests.support.tiny_families import OF_TABLE

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
        self.path, self.recipe = path, OF_TABLE[name]
        self.config = AutoConfig.from_pretrained(path)
        self.processor = load_processor(str(path), self.config, AutoTokenizer.from_pretrained(path))
        self.processor.video_processor = SimpleNamespace(num_frames=1, fps=1)
        self.tokenizer = self.processor.tokenizer
        self.loaded = {}

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

    def codes(self, ids):
        """The roles of tokens as their places in `SHORT`."""
        return [SHORT.index(role) for role in self.roles(ids)]

    def roles(self, ids):
        first = ids.index(self.config.image_token_id)
        roles = []
        for position, token in enumerate(ids):
            read = self.tokenizer.decode(ids[: position + 1])
            before = "bos" if position == 0 else "sys" if self.recipe.system.startswith(read) else "user"
            roles.append("v" if token == self.config.image_token_id else "q" if position > first else before)
        return roles

    def model(self, dtype, attention):
        if (dtype, attention) not in self.loaded:
            # float64 has no other
            mixture = any("expert" in name for name in self.config.get_text_config().to_dict())
            experts = {"experts_implementation": "eager"} if mixture else {}
            self.loaded[dtype, attention] = AutoModelForImageTextToText.from_pretrained(
                self.path, dtype=dtype, attn_implementation=attention, **experts
            ).eval()
        return self.loaded[dtype, attention]

    def run(self, read, *, dtype, attention, **options):
        with torch.no_grad():
            return self.model(dtype, attention)(**self.inputs(read, dtype), use_cache=False, **options)

    @staticmethod
    def inputs(read, dtype):
        """What the model takes of what its processor wrote."""
        known = {name: value for name, value in read.items() if name != "labels"}
        return {name: value.to(dtype) if value.is_floating_point() else value for name, value in known.items()}

    def flows(self, read):
        """Each flow column as float64 [layers, heads]."""
        output = self.run(read, dtype=torch.float64, attention="eager", output_attentions=True)
        attending = torch.stack([each for each in output.attentions if each is not None])
        return reduce(attending[:, 0].double().numpy(), self.roles(read["input_ids"][0].tolist()))


def hf(path):
    model = load_model(str(path), device=CPU, dtype="float32")
    return model, model.prompt_format.prompt_builder(model.prompt_format.find_template("hf", str(path)))
