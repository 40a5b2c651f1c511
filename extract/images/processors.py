"""A checkpoint's own processor: an image -> what its model reads, as tiles or patches by the image's size."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import transformers
from PIL import Image
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedTokenizerBase, ProcessorMixin
from transformers.image_processing_base import ImageProcessingMixin
from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
from transformers.utils import is_torchvision_available

from extract.images.patch_positions import Places
from extract.images.preprocessing import Pixels, Preprocessor, blank_image, describe_processor
from extract.images.tiling import PicturesOf
from schemas.errors import HeadflowError
from schemas.files.json_objects import read_object
from schemas.text import one_line

_IDS, MASK = "input_ids", "attention_mask"
LABELS = "labels"  # of training, which PaliGemma's processor always writes
CROSSING_MASK = "cross_attention_mask"  # which tiles a token reads: made of the prompt, see `transformers_model`
_NOT_READ = ("video_processor", "feature_extractor", "audio_processor")  # parts of processors: of videos and sound
_NAMING_PROCESSORS = ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json", "config.json")
# Settings of image processors that decide which tiles they cut, or how large a picture becomes
TILE_SETTINGS = (
    "image_grid_pinpoints", "do_image_splitting", "max_image_size", "crop_to_patches", "min_patches", "max_patches",
    "min_tiles", "max_tiles", "tile_size", "use_thumbnail", "min_image_tokens", "max_image_tokens", "max_num_patches",
    "max_soft_tokens",
)  # fmt: skip


class _ImagesOnly(ProcessorMixin):
    """A processor of transformers that accepts None as its processor of videos or sound."""

    def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
        """See `ProcessorMixin`."""
        return None if argument is None else super().check_argument_for_proper_class(argument_name, argument)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _restore, (type(self).__bases__[1], self.__dict__)


@cache
def _images_only(kind: Any) -> Any:
    """A class of processors, of the same name, that accepts None as its processor of videos or sound."""
    bases: tuple[Any, ...] = (_ImagesOnly, kind)
    return type(kind.__name__, bases, {})


def _restore(kind: Any, attributes: dict[str, Any]) -> Any:
    """A processor in another process."""
    accepting = _images_only(kind)
    processor = accepting.__new__(accepting)
    processor.__dict__.update(attributes)
    return processor


def load_processor(
    folder: Path, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, *, pixels: dict[str, int] | None = None
) -> Any:
    """A checkpoint's processor, with an image processor that needs nothing but Pillow where there is one.

    Args:
        pixels: `min_pixels` and `max_pixels` of resized images, in place of the checkpoint's.

    Raises:
        HeadflowError: transformers has no processor for this kind of model, one that needs more than an image
            processor and a tokenizer, or one that needs torchvision, which is not installed.
    """
    with _torchvision_named(folder, config, "processor"):
        kind = _kind_of_processor(Path(folder), config)
        names = kind.get_attributes() if kind is not None else ()
    if kind is None:
        raise HeadflowError(f"{folder} is a {config.model_type}, for which transformers has no processor")
    if unknown := [name for name in names if name not in ("image_processor", "tokenizer", *_NOT_READ)]:
        raise HeadflowError(
            f"{folder} is a {config.model_type}, which is not supported: its processor needs a {', '.join(unknown)}"
        )
    parts = {"image_processor": _load_image_processor(folder, config, pixels or {}), "tokenizer": tokenizer}
    # Video processors of transformers need torchvision, and neither videos nor sound are read: None
    values, _ = kind.get_processor_dict(folder)
    processor = _images_only(kind).from_args_and_dict([parts.get(name) for name in names], values)
    _complete(processor, values, config)
    return processor


def _kind_of_processor(folder: Path, config: PreTrainedConfig) -> Any:
    """The class of a checkpoint's processor, as its files name it, else by the kind of model; None if there is none.

    The files are read in the order in which `AutoProcessor` reads them.
    """
    for name in _NAMING_PROCESSORS:
        path = folder / name
        named = read_object(path, name).get("processor_class") if path.is_file() else None
        if named is not None:
            found = getattr(transformers, str(named), None)
            if isinstance(found, type) and issubclass(found, ProcessorMixin):
                return found
            break
    return PROCESSOR_MAPPING.get(type(config), None)


def _load_image_processor(folder: Path, config: PreTrainedConfig, pixels: dict[str, int]) -> Any:
    """The image processor that a checkpoint names, of the kind that needs nothing but Pillow where there is one.

    Raises:
        HeadflowError: transformers has none, or one that needs torchvision, which is not installed.
    """
    values, _ = ImageProcessingMixin.get_image_processor_dict(folder)
    old = str(values.get("feature_extractor_type")).replace("FeatureExtractor", "ImageProcessor")
    name = str(values.get("image_processor_type", old)).removesuffix("Fast").removesuffix("Pil")
    known = (getattr(transformers, each, None) for each in (f"{name}Pil", name))
    kind = next((each for each in known if each is not None), None)
    if kind is None and type(config) in IMAGE_PROCESSOR_MAPPING:
        kinds = IMAGE_PROCESSOR_MAPPING[type(config)]
        kind = kinds.get("pil") or kinds.get("torchvision")
    if kind is None:
        raise HeadflowError(f"{folder} has an image processor {name}, which transformers does not have")
    with _torchvision_named(folder, config, "image processor"):
        processor = kind.from_pretrained(folder, **pixels)
    if pixels and processor.size["shortest_edge"] > processor.size["longest_edge"]:
        least, most = processor.size["shortest_edge"], processor.size["longest_edge"]
        raise HeadflowError(f"min_pixels is {least} and max_pixels {most}", setting=next(iter(pixels)))
    return processor


@contextmanager
def _torchvision_named(folder: Path, config: PreTrainedConfig, what: str) -> Iterator[None]:
    """Around the use of a class that may stand for one whose packages are missing: the error says which one is."""
    try:
        yield
    except ImportError as error:
        causes: list[BaseException] = [error]
        while (before := causes[-1].__cause__ or causes[-1].__context__) is not None:
            causes.append(before)
        if is_torchvision_available() or not any("torchvision" in str(each).lower() for each in causes):
            raise
        raise HeadflowError(
            f"{folder} is a {config.model_type}: its {what} needs torchvision: pip install torchvision"
        ) from error


@contextmanager
def asking(processor: Any, placeholder: str, name: str, config: PreTrainedConfig) -> Iterator[None]:
    """Around first calls of a processor with a placeholder in the image's place; `name` is the checkpoint's.

    Raises:
        HeadflowError: it fails, as one that puts the image before any text by itself.
    """
    try:
        yield
    except (HeadflowError, ImportError):
        raise
    except Exception as error:  # a processor raises anything
        raise HeadflowError(
            f"{name} is a {config.model_type}, whose {type(processor).__name__} fails on a black picture and a prompt "
            f"with {placeholder} in the image's place ({one_line(error)[:300].rstrip('.')}); it is not supported"
        ) from error


def _complete(processor: Any, values: dict[str, Any], config: PreTrainedConfig) -> None:
    """Take from config.json what the processor_config.json of an old LLaVA-NeXT leaves out."""
    for name, value in settings_of_tokens(processor, config).items():
        if values.get(name) is None:
            setattr(processor, name, value)


def settings_of_tokens(processor: Any, config: PreTrainedConfig) -> dict[str, Any]:
    """What a processor's settings must be by config.json, for as many image tokens as there are features; LLaVA's."""
    vision = getattr(config, "vision_config", None)
    if vision is None or not hasattr(processor, "num_additional_image_tokens"):
        return {}
    return {
        "patch_size": vision.patch_size,
        "vision_feature_select_strategy": getattr(config, "vision_feature_select_strategy", None),
        "num_additional_image_tokens": int(vision.model_type == "clip_vision_model"),  # its class token
    }


@dataclass(frozen=True)
class ProcessorPreprocessor(Preprocessor):
    """What the checkpoint's own processor makes of an image.

    Attributes:
        placeholder: the text in whose place it puts the tokens that stand for an image.
        image_token_id: the token that stands for image content.
        taken: the names of the arguments that the model takes.
        types: see `Preprocessor.token_types`.
        settings: see `settings_of_tokens`.
        bare: whether it writes the prompt around the image too, so that only the image tokens are of the image.
        pictures: which pictures it makes of an image, and where these lie; None: that is not known.
        separator: a token that stands between the images of a text, to tell their tokens apart; None: the model takes
            one image.
        ending: the tokens that it writes after any text.
        crossing: tokens of a tile, where the image is read by cross-attention: they stand after the token that the
            prompt has in the image's place, and in no sequence of the model's; 0: they stand in the sequence.
    """

    processor: Any
    placeholder: str
    image_token_id: int
    taken: frozenset[str]
    types: dict[str, dict[int, int]]
    settings: dict[str, Any]
    bare: bool = False
    pictures: PicturesOf | None = None
    separator: str | None = None
    ending: Sequence[int] = ()
    crossing: int = 0

    @property
    def several(self) -> bool:
        """See `Preprocessor.several`."""
        return self.separator is not None

    def _preprocess(self, images: Sequence[Image.Image]) -> Pixels:
        read = self._read((self.separator or "").join([self.placeholder] * len(images)), images, special=False)
        written = read[_IDS][0].tolist()
        ids = self._divided(written[: len(written) - len(self.ending)])
        if self.bare:
            ids = [[token for token in own if token == self.image_token_id] for own in ids]
        of_tokens = {_IDS, MASK, CROSSING_MASK, *self.types}
        inputs = {name: value for name, value in read.items() if name not in of_tokens}
        if self.crossing:
            tiles = int(inputs["aspect_ratio_mask"].sum())
            ids = [[self.image_token_id] * (1 + tiles * self.crossing)]
        return Pixels(inputs, ids, [image.size for image in images])

    def _divided(self, ids: list[int]) -> list[list[int]]:
        """Tokens, divided at the separator."""
        if self.separator is None:
            return [ids]
        separator = self.processor.tokenizer.convert_tokens_to_ids(self.separator)
        return [list(own) for between, own in groupby(ids, lambda token: token == separator) if not between]

    def _places(self, pixels: Pixels, number: int) -> Places:
        if self.pictures is None:
            raise ValueError(f"what {type(self.processor).__name__} makes of an image is not in the table of families")
        tokens = pixels.image_ids[number].count(self.image_token_id) - bool(self.crossing)
        return self.pictures(self.processor, pixels, number, tokens)

    def _read(self, text: str, images: Sequence[Image.Image], *, special: bool = True) -> dict[str, Tensor]:
        """What the processor makes of a text with images, as far as the model takes it; `special` as `whole_prompt`."""
        given = [list(images)] if self.several else list(images)  # GOT-OCR's takes those of pages so, which are several
        options = {} if special else {"add_special_tokens": False}
        read = self.processor(images=given, text=[text], return_tensors="pt", **options)
        return {name: value for name, value in read.items() if name in self.taken and name != LABELS}

    def describe(self) -> dict[str, Any]:
        """What decides the pixels, as plain values for the manifest."""
        processor = self.processor.image_processor
        described = describe_processor(processor)
        if hasattr(processor, "merge_size"):  # Qwen's, whose edges are numbers of pixels
            for edge, name in (("shortest_edge", "min_pixels"), ("longest_edge", "max_pixels")):
                described[name] = described.pop(edge)
        for name in TILE_SETTINGS:
            if (value := getattr(processor, name, None)) is not None:
                described[name] = _plain(value)
        return described

    @property
    def token_types(self) -> dict[str, dict[int, int]]:
        """See `Preprocessor.token_types`."""
        return self.types

    def contradictions(self) -> list[str]:
        """See `Preprocessor.contradictions`."""
        return [
            f"processor_config.json has {name} {found}, and config.json {value}"
            for name, value in self.settings.items()
            if (found := getattr(self.processor, name)) != value
        ]

    def whole_prompt(self, text: str, *images: Image.Image, special: bool) -> dict[str, Tensor]:
        """See `Preprocessor.whole_prompt`."""
        if self.bare:
            question = text.partition(self.processor.tokenizer.bos_token)[2].removesuffix("\n")
            return self._read(self.placeholder + question, images, special=False)
        ending = str(self.processor.tokenizer.decode(list(self.ending)))
        return self._read(text.removesuffix(ending), images, special=special)


def _plain(value: Any) -> Any:
    """A number, a size, or a list of these, as plain values."""
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value if isinstance(value, int) else {name: edge for name, edge in dict(value).items() if edge is not None}


def find_token_types(processor: Any, placeholder: str, text: str, taken: frozenset[str]) -> dict[str, dict[int, int]]:
    """What a processor writes of each token for the model to read beside its id; see `Preprocessor.token_types`.

    Args:
        placeholder: stands for an image in `text`, a prompt.
        taken: the names of the arguments that the model takes.

    Raises:
        HeadflowError: it writes something that grows with the text and does not follow from a token's id.
    """
    alone, whole = (processor(images=[blank_image()], text=[each], return_tensors="pt") for each in (placeholder, text))
    return {
        name: _types(name, whole[_IDS], value)
        for name, value in whole.items()
        if name in taken - {_IDS, MASK, LABELS, CROSSING_MASK}
        and (value.shape != alone[name].shape or value.shape == whole[_IDS].shape)
    }


def _types(name: str, ids: Tensor, values: Tensor) -> dict[int, int]:
    """The value of each token that is not 0; `ids` is [1, tokens]."""
    pairs = set(zip(ids[0].tolist(), values[0].tolist(), strict=True)) if values.shape == ids.shape else set()
    types = dict(pairs)
    if len(types) != len(pairs) or not pairs:
        raise HeadflowError(
            f"the checkpoint's processor writes {name} for the model, which does not follow from the tokens' ids; that "
            "is not supported"
        )
    return {token: kind for token, kind in types.items() if kind}


def find_ending(processor: Any, placeholder: str, mark: str) -> list[int]:
    """The tokens that a processor writes after any text, as Chameleon's its separator of turns.

    Args:
        placeholder: stands for an image.
        mark: a special token that no processor writes for an image.
    """
    read = processor(images=[blank_image()], text=[placeholder + mark], return_tensors="pt", add_special_tokens=False)
    ids, token = read[_IDS][0].tolist(), processor.tokenizer.convert_tokens_to_ids(mark)
    return ids[ids.index(token) + 1 :] if token in ids else []


def find_placeholder(processor: Any, tokenizer: PreTrainedTokenizerBase, token: int | None) -> str | None:
    """The text in whose place a processor puts the tokens that stand for an image; None if it has none.

    Args:
        token: the one that stands for image content, whose text it is where neither has an `image_token`; None: it is
            not known.
    """
    texts = (
        getattr(processor, "image_placeholder_token", None),  # of Qianfan-OCR, whose image_token stands for content
        getattr(processor, "image_token", None),
        getattr(tokenizer, "image_token", None),
    )
    named = [text for text in texts if isinstance(text, str)]
    if not named and token is not None and token < len(tokenizer):
        named = [str(tokenizer.convert_ids_to_tokens(token))]
    return named[0] if named else None


def most_written(processor: Any, placeholder: str) -> int:
    """The token that a processor writes most often for an image, of a model that does not name the one of images.

    What the model replaces tells before a run whether it is that one.
    """
    written = processor(images=[blank_image()], text=[placeholder], return_tensors="pt")[_IDS][0].tolist()
    return int(Counter(written).most_common(1)[0][0])
