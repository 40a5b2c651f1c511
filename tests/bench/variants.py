"""What `tests.bench.observing` measures: models with random weights, and the variants of running them.

plain       the model as it is: sdpa, right-padded batch, logits of the last position
observed    the same batch through headflow: logits and flows
contributions, profile   observed, with direct contributions to the margin, or with the layer profile
maps, maps_of_question   observed, with maps of the last token, or of the question
knock_outs  each head knocked out by itself, in one growing pass; knock_outs_of_two: of two questions on the image
usual       eager attention, `output_attentions=True`, then a reduction to masses
separate    two questions an image, each in a sequence of its own, observed
packed      the same questions after one prefix, observed
runs        five wordings of the two questions, packed by two, as five runs would
wordings    all of them after one prefix, observed
bare        a loop of packed passes over prepared tensors, not observed
extract     all of the extract stage: images read and preprocessed, prompts tokenised, rows written
host        the same with passes that are there already: what the host does while a device computes
"""

import contextlib
import io
import itertools
import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from PIL import Image
from torch import Tensor
from transformers import (
    AttentionInterface,
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
)
from transformers.masking_utils import AttentionMaskInterface

from data.demo_model import IMAGE_TOKEN, train_tokenizer
from extract.attention.masses import softmax_attention
from extract.attention.packing import Batch, pack
from extract.attention.readers import PassReader, read_pass
from extract.attention.transformers_interface import NAME
from extract.batched_knockouts.changes import Change
from extract.batched_knockouts.growth import Growth
from extract.batched_knockouts.prefill import run_prefill
from extract.images.preprocessing import Pixels
from extract.knockouts.sets import ALL_HEADS, single_heads
from extract.knockouts.settings import KnockOut
from extract.models.answers import AnswerReader
from extract.models.transformers_model import TransformersModel
from extract.passes.batching import ImageQuestions, Question
from extract.passes.forward import Passes
from extract.prompts.conversation_templates import find_template
from extract.prompts.prompt_builder import Prompt, Prompts
from extract.prompts.prompt_format import AnswerTokens
from extract.questions.question_set import QuestionSet
from extract.questions.samples import Sample
from extract.runner import Extractor
from extract.tables.maps import MapMaker
from extract.tables.residual import ResidualMaker
from schemas.columns import CONTRIBUTIONS, EDGE, LAYERS, OF_LAST, OF_QUESTION
from schemas.manifest import Manifest
from schemas.roles import BOS, IMAGE, QUESTION, SYSTEM, USER
from schemas.store.writer import RunWriter
from tests.support.tiny_llava import observe_llava

QUESTIONS = ("Is there a {} in this image?", "Is the {} in this image on the left of the other one?")
WORDINGS = 5
THINGS = ("dog", "cat", "red car", "bottle", "chair", "person", "yellow bus", "pizza")


@dataclass(frozen=True)
class Shape:
    """A LLaVA, and the batch it is measured at."""

    name: str
    image_size: int
    batch: int
    vision: dict[str, int]
    text: dict[str, int]


CPU_TEXT = {"hidden_size": 1024, "intermediate_size": 2752, "num_hidden_layers": 8, "num_attention_heads": 16}
CPU_VISION = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
TEXT_7B = {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32}
VISION_7B = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}
SHAPES = {
    "cpu": (
        Shape("8 layers x 16 heads, width 1024", 336, 1, CPU_VISION, CPU_TEXT),
        Shape("8 layers x 16 heads, width 1024", 742, 1, CPU_VISION, CPU_TEXT),
    ),
    "cuda": (
        Shape("LLaVA-1.5-7B", 336, 8, VISION_7B, TEXT_7B),
        Shape("LLaVA-1.5-7B, 53 x 53 patches", 742, 2, VISION_7B, TEXT_7B),
    ),
}


def build(shape: Shape, device: torch.device, dtype: torch.dtype) -> TransformersModel:
    """A checkpoint with random weights, never on the disk."""
    words = [question.format(thing) for question in QUESTIONS for thing in THINGS]
    tokenizer = train_tokenizer(words)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(image_size=shape.image_size, patch_size=14, **shape.vision),
        text_config=LlamaConfig(vocab_size=32064, max_position_embeddings=4096, **shape.text),
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE_TOKEN),
        image_seq_length=(shape.image_size // 14) ** 2,
    )
    torch.manual_seed(0)
    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    with device:
        model = LlavaForConditionalGeneration(config).eval()
    torch.set_default_dtype(default)
    edge = {"height": shape.image_size, "width": shape.image_size}
    processor = CLIPImageProcessorPil(size={"shortest_edge": shape.image_size}, crop_size=edge)
    return observe_llava(model.to(device, dtype), tokenizer, processor, device)


def prompt(checkpoint: TransformersModel, question: int, seed: int) -> Prompt:
    """A prompt as long as those of MME: 35 tokens, the image, and a question of so many."""
    words, image = random.Random(seed), checkpoint.prompt_format.image_ids
    asked = [words.randrange(300, 400) for _ in range(question)]
    ids = [1, *range(300, 334), *image, *asked]
    return Prompt(ids, [BOS, *[SYSTEM] * 31, *[USER] * 3, *[IMAGE] * len(image), *[QUESTION] * question])


class Variants:
    """The variants of running a model that are compared; each is called with nothing and returns when it is done."""

    def __init__(self, checkpoint: TransformersModel, images: int) -> None:
        self.checkpoint = checkpoint
        self.device = checkpoint.device
        size = checkpoint.model.config.vision_config.image_size
        pixels = torch.randn(images, 3, size, size)
        self.inputs = {"pixel_values": pixels.to(self.device, checkpoint.dtype)}
        ids = checkpoint.prompt_format.image_ids
        self.pixels = [Pixels({"pixel_values": self.inputs["pixel_values"][:1]}, [ids], [(size, size)])] * images
        prompts = [[prompt(checkpoint, 34, seed), prompt(checkpoint, 36, images + seed)] for seed in range(images)]
        self.one = pack([pair[:1] for pair in prompts]).to(self.device)
        self.other = pack([pair[1:] for pair in prompts]).to(self.device)
        self.both = pack(prompts).to(self.device)
        asked = [[prompt(checkpoint, 28 + 2 * place, seed) for place in range(2 * WORDINGS)] for seed in range(images)]
        self.each = [
            pack([each[first : first + 2] for each in asked]).to(self.device) for first in range(0, 2 * WORDINGS, 2)
        ]
        self.all = pack(asked).to(self.device)
        tokens = AnswerTokens([300, 301], ["Yes", "No"], ["Yes", "No"])
        self.answers = AnswerReader.of(checkpoint, tokens)
        self.makers = {name: ResidualMaker(checkpoint, self.answers, [name]) for name in (CONTRIBUTIONS, LAYERS)}
        self.map_makers = {of: MapMaker(checkpoint, of, []) for of in (OF_LAST, OF_QUESTION)}
        AttentionInterface.register("bare", bare_attention)
        AttentionMaskInterface.register("bare", lambda *_, **__: None)

    def run(self, variant: str) -> None:
        """Run one of the variants to its end."""
        with torch.inference_mode():
            getattr(self, variant)()
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def warm_up(self) -> None:
        """Run something once."""
        self.run("plain")

    def plain(self) -> Tensor:
        with self._attention("sdpa"):
            return self._model(self.one, logits_to_keep=1).logits

    def observed(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.checkpoint.forward(self.one, self.inputs)

    def contributions(self) -> None:
        self._read(self.makers[CONTRIBUTIONS].begin(self.one, self.pixels))

    def profile(self) -> None:
        self._read(self.makers[LAYERS].begin(self.one, self.pixels))

    def maps(self) -> None:
        self._read(self.map_makers[OF_LAST].begin(self.one, self.pixels))

    def maps_of_question(self) -> None:
        self._read(self.map_makers[OF_QUESTION].begin(self.one, self.pixels))

    def _read(self, reader: PassReader) -> None:
        read_pass(self.checkpoint.forward, self.one, self.inputs, [reader])

    def knock_outs(self) -> None:
        self._knock_out(1)

    def knock_outs_of_two(self) -> None:
        self._knock_out(2)

    def _knock_out(self, questions: int) -> None:
        model = self.checkpoint
        asked = [Question(None, prompt(model, 34, seed)) for seed in range(questions)]  # type: ignore[arg-type]
        heads = single_heads([ALL_HEADS], model)
        growth = Growth(model, Change.of(EDGE, None, None), heads, KnockOut.tokens)
        _, grown = growth.run(run_prefill(model, ImageQuestions("", self.pixels[0], asked)))
        for each in grown:
            self.answers.margin(each.hidden)

    def usual(self) -> Tensor:
        with self._attention("eager"):
            attentions = self._model(self.one, output_attentions=True, logits_to_keep=1).attentions
        text = (self.one.roles != IMAGE).float()
        roles = torch.stack([text, 1 - text], dim=-1)[:, None].to(attentions[0].dtype)
        return torch.stack([(attention @ roles).float().sum(dim=2) for attention in attentions])

    def separate(self) -> None:
        self.checkpoint.forward(self.one, self.inputs)
        self.checkpoint.forward(self.other, self.inputs)

    def packed(self) -> None:
        self.checkpoint.forward(self.both, self.inputs)

    def runs(self) -> None:
        for batch in self.each:
            self.checkpoint.forward(batch, self.inputs)

    def wordings(self) -> None:
        self.checkpoint.forward(self.all, self.inputs)

    def bare(self, prepared: list[tuple[Batch, dict[str, Tensor]]]) -> None:
        """Packed passes that observe nothing, one after the other."""
        model, kernel = self.checkpoint.model, self.checkpoint.kernel
        with self._attention("bare"), torch.inference_mode():
            for batch, inputs in prepared:
                hidden = model.model(
                    input_ids=batch.input_ids,
                    position_ids=batch.position_ids,
                    batch=batch,
                    kernel=kernel,
                    use_cache=False,
                    **inputs,
                ).last_hidden_state
                model.lm_head(hidden[batch.owner, batch.last])
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def _model(self, batch: Batch, **options: Any) -> Any:
        return self.checkpoint.model(input_ids=batch.input_ids, use_cache=False, **self.inputs, **options)

    @contextlib.contextmanager
    def _attention(self, name: str) -> Iterator[None]:
        self.checkpoint.model.set_attn_implementation({"text_config": name})
        try:
            yield
        finally:
            self.checkpoint.model.set_attn_implementation({"text_config": NAME})


def bare_attention(module, query, key, value, mask, *, batch, kernel, scaling, **_):
    output, some = torch.empty_like(query), slice(0, batch.layout.causal)
    output[:, :, some], _ = kernel.attend(query[:, :, some], key[:, :, some], value[:, :, some], scaling)
    if batch.further is not None:
        rows = batch.further.rows
        output[:, :, rows], _ = softmax_attention(query[:, :, rows], key, value, batch.further, scale=scaling)
    return output.transpose(1, 2), None


def make_images(folder: Path, number: int) -> QuestionSet:
    """Photographs' worth of work: 640 x 480 JPEG files, no two alike, and two questions about each."""
    kinds = []
    for seed in range(min(number, 16)):
        noise = Image.effect_noise((160, 120), 60 + seed).resize((640, 480), Image.Resampling.BICUBIC)
        path = folder / f"kind{seed}.jpg"
        Image.merge("RGB", (noise, noise.rotate(90), noise.rotate(180))).save(path, quality=90)
        kinds.append(path.read_bytes())
    samples = []
    for index in range(number):
        name = f"{index:04d}.jpg"
        (folder / name).write_bytes(kinds[index % len(kinds)] + index.to_bytes(4, "big"))  # after the end of the JPEG
        for each, question in enumerate(QUESTIONS):
            text = question.format(THINGS[index % len(THINGS)])
            samples.append(Sample(f"{index}#{each}", "existence", str(index), (name,), text, "Yes", row=len(samples)))
    return QuestionSet("made up", "", samples, folder)


@dataclass
class EndToEnd:
    """The extract stage, and the batches that it makes, on the device, for a bare loop over them."""

    variants: Variants
    questions: QuestionSet
    batch_size: int
    workers: int

    def __post_init__(self) -> None:
        checkpoint = self.variants.checkpoint
        prompts = Prompts({None: checkpoint.prompt_format.prompt_builder(find_template("vicuna_v1"))})
        tokens = checkpoint.prompt_format.answer_tokens(prompts, ["Yes", "No"])
        passes = Passes(checkpoint, AnswerReader.of(checkpoint, tokens))
        self.extractor = Extractor(
            checkpoint=checkpoint,
            prompts=prompts,
            passes=passes,
            packed=True,
            batch_size=self.batch_size,
            workers=self.workers,
        )
        self.prepared: list[tuple[Batch, dict[str, Tensor]]] = []
        self._found: list[tuple[Tensor, Tensor, Tensor]] = []
        forward = TransformersModel.forward

        def kept(
            checkpoint: TransformersModel, batch: Batch, inputs: dict[str, Tensor], **options: Any
        ) -> tuple[Tensor, Tensor, Tensor]:
            self.prepared.append((batch, inputs))
            self._found.append(forward(checkpoint, batch, inputs, **options))
            return self._found[-1]

        with mock.patch.object(TransformersModel, "forward", kept):
            self.extract()

    def host(self) -> list[float]:
        """CPU seconds from each pass to the next in `extract`, with what the passes of its first time brought."""
        found, begun = iter(self._found), []

        def forward(*_: Any, **__: Any) -> tuple[Tensor, Tensor, Tensor]:
            begun.append(time.process_time())
            return next(found)

        with mock.patch.object(TransformersModel, "forward", forward):
            self.extract()
        return [after - before for before, after in itertools.pairwise(begun)]

    def extract(self) -> None:
        """Run all samples into a run."""
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
            run, manifest = Path(folder) / "run", Manifest(**self.extractor.describe())
            writer = RunWriter(run, manifest, self.extractor.session(), samples=len(self.questions.samples))
            skipped, _ = self.extractor.run(self.questions, writer)
        if skipped:
            raise SystemExit(f"samples were skipped: {skipped}")
