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
        # The layers that read the image by cross-attention, and how many tokens they have of a tile
        self.crossing = getattr(self.config.get_text_config(), "cross_attention_layers", None) or []
        vision = getattr(self.config, "vision_config", None)
        self.of_tile = (vision.image_size // vision.patch_size) ** 2 + 1 if self.crossing else 0
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

    def tokens(self, read):
        """The ids that a processor wrote; with those of the image after its token, where they are in no sequence."""
        ids = read["input_ids"][0].tolist()
        if not self.crossing:
            return ids
        place, image = ids.index(self.config.image_token_id), self.config.image_token_id
        return [*ids[: place + 1], *[image] * int(read["aspect_ratio_mask"].sum()) * self.of_tile, *ids[place + 1 :]]

    def codes(self, ids):
        """The roles of tokens as their places in `SHORT`."""
        return [SHORT.index(role) for role in self.roles(ids)]

    def roles(self, ids):
        first = ids.index(self.config.image_token_id) + bool(self.crossing)  # after the one that stands for it
        roles = []
        for position, token in enumerate(ids):
            read = self.tokenizer.decode(ids[: position + 1])
            before = "bos" if position == 0 else "sys" if self.recipe.system.startswith(read) else "user"
            image = token == self.config.image_token_id and position >= first
            roles.append("v" if image else "q" if position > first else before)
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
        attending = [each for each in output.attentions if each is not None]
        roles = self.roles(self.tokens(read))
        return reduce(across(attending, roles, self.crossing).double().numpy(), roles)


def across(attentions, roles, crossing):
    """Attention of layers [1, heads, queries, keys] on one axis of tokens, [layers, heads, tokens, tokens].

    Rows of image tokens that are in no sequence are NaN; keys of tiles that are padding are left out.
    """
    whole = torch.stack([each[0] for each in attentions]) if not crossing else None
    if whole is not None:
        return whole
    image = np.array(roles) == "v"
    found = torch.zeros(len(attentions), attentions[0].shape[1], len(roles), len(roles)).to(attentions[0])
    found[:, :, image] = torch.nan
    text, keys = np.flatnonzero(~image), np.flatnonzero(image)
    for layer, each in enumerate(attentions):
        columns = keys if layer in crossing else text
        found[layer][:, text[:, None], columns] = each[0][..., : len(columns)]
    return found


def hf(path):
    model = load_model(str(path), device=CPU, dtype="float32")
    return model, model.prompt_format.prompt_builder(model.prompt_format.find_template("hf", str(path)))
