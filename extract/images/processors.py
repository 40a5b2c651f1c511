"""A checkpoint's own processor: an image -> what its model reads, as tiles or patches by the image's size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import transformers
from PIL import Image
from transformers import PreTrainedConfig, PreTrainedTokenizerBase
from transformers.image_processing_base import ImageProcessingMixin
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

from extract.images.preprocessing import Pixels, blank_image
from extract.questions.samples import Unusable
from schemas.errors import HeadflowError
from schemas.text import one_line

TOKEN_TYPES = ("mm_token_type_ids", "token_type_ids")


def load_processor(model_path: str, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase) -> Any:
    """A checkpoint's processor, with an image processor that needs nothing but Pillow.

    Raises:
        HeadflowError: transformers knows no processor for this kind of model.
    """
    if type(config) not in PROCESSOR_MAPPING:
        raise HeadflowError(f"{model_path} is a {config.model_type}, for which transformers has no processor")
    kind = PROCESSOR_MAPPING[type(config)]
    parts = {
        "image_processor": _load_image_processor(model_path),
        "tokenizer": tokenizer,
        "video_processor": None,  # transformers' own need torchvision, and no videos are read
    }
    values, _ = kind.get_processor_dict(model_path)
    processor = _unchecked(kind).from_args_and_dict([parts[name] for name in kind.get_attributes()], values)
    processor.__class__ = kind  # of which there can be copies in other processes
    return processor


def _load_image_processor(model_path: str) -> Any:
    """The image processor that a checkpoint names, of the kind that needs nothing but Pillow."""
    values, _ = ImageProcessingMixin.get_image_processor_dict(model_path)
    name = str(values.get("image_processor_type"))
    kind = getattr(transformers, name.removesuffix("Fast").removesuffix("Pil") + "Pil", None)
    if kind is None:
        raise HeadflowError(f"{model_path} has an image processor {name}; transformers has none like it for Pillow")
    return kind.from_pretrained(model_path)


def _unchecked(kind: Any) -> Any:
    """The class of a processor that takes null for what reads videos."""

    class Unchecked(kind):
        def check_argument_for_proper_class(self, name: str, argument: Any) -> Any:
            return None if argument is None else super().check_argument_for_proper_class(name, argument)

    return Unchecked


@dataclass(frozen=True)
class ProcessorPreprocessor:
    """What the checkpoint's own processor makes of an image.

    Attributes:
        placeholder: the text in whose place it puts the tokens that stand for an image.
        image_token_id: the token that stands for image content.
        bare: whether it writes the prompt around the image too, so that only the image tokens are of the image.
    """

    processor: Any
    placeholder: str
    image_token_id: int
    bare: bool = False

    def __call__(self, image: Image.Image) -> Pixels:
        """What the model reads of an image.

        Raises:
            Unusable: `image_refused`.
        """
        try:
            read = read_image(self.processor, self.placeholder, image)
        except Exception as error:  # third-party processors raise anything
            raise Unusable("image_refused", one_line(error)[:300]) from None
        names = [name for name in self.processor.image_processor.model_input_names if name in read]
        ids = read["input_ids"][0].tolist()
        if self.bare:
            ids = [token for token in ids if token == self.image_token_id]
        return Pixels({name: read[name] for name in names}, ids)

    @property
    def description(self) -> str:
        """How images are resized and cropped, in words."""
        return f"the checkpoint's own ({type(self.processor.image_processor).__name__})"


def read_image(processor: Any, text: str, image: Image.Image, *, special: bool = False) -> Any:
    """What a processor makes of a text with one image; `special`: with the tokens that its tokenizer adds by itself."""
    return processor(images=[image], text=[text], return_tensors="pt", add_special_tokens=special)


def find_token_types(processor: Any, placeholder: str) -> tuple[str, set[int]] | None:
    """The name of the token types that a processor gives, and the tokens that they say are of an image."""
    read = processor(images=[blank_image()], text=[placeholder], return_tensors="pt", return_mm_token_type_ids=True)
    for name in TOKEN_TYPES:
        if name in read:
            return name, set(read["input_ids"][read[name] == 1].tolist())
    return None


def find_placeholder(processor: Any, tokenizer: PreTrainedTokenizerBase) -> str | None:
    """The text in whose place a processor puts the tokens that stand for an image; null where it has none."""
    names: Sequence[Any] = (processor, tokenizer)
    return next((owner.image_token for owner in names if isinstance(getattr(owner, "image_token", None), str)), None)
