"""What can be asked of a model: which one, how it is asked, what is written of it, and how it is run.

`Deciding` has what decides numbers: a run that is resumed has the same. What else is said here may change in a resume.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from extract.prompts.conversation_templates import BY_NAME, CHAT, TEMPLATES
from extract.prompts.prompt_builder import SYSTEM_SPANS
from extract.prompts.wordings import LETTER_SUFFIX, PRESETS
from extract.questions.content.columns import FIELDS, read_columns
from extract.questions.fields import MME_SUFFIX
from extract.questions.hub import PROTOCOL
from schemas.commands.settings import Between, Checked, Flag, Needs, OneOf, Settings, in_utf8, line_breaks, path_here
from schemas.errors import HeadflowError
from schemas.files.locations import Location
from schemas.manifest import ASPECTS, IMAGES, INDICES, ORIGINAL, PACKED, ROWS, SEPARATE
from schemas.tasks import OFFERED, TASKS
from schemas.text import counted
from schemas.workers.work import LOCAL

OUTPUT_DIR = "mme_attention_observation"  # as users of the earlier tool know it
TRANSFORMERS, PACKAGE = "transformers", "llava"  # the backends
MAPS_OF_QUESTION = "question"  # whose attention maps are of, beside the last token's
AUTO = "auto"
ALL = "all"
MOST_WORKERS = 8  # processes that read images, unless more are asked for


def local_or_hub(text: str) -> str:
    """A path on this machine, or a name on the hub."""
    if not text.startswith(PROTOCOL):
        path_here(text)
    return text


def _given(text: str, what: str = "an answer") -> str:
    if not text.strip():
        raise ValueError(f"{what} is empty")
    return in_utf8(text)


def _each(read: Callable[[str], str]) -> Checked:
    return Checked(lambda values: tuple(read(value) for value in values))


def _name(text: str) -> str:
    if not text:
        raise ValueError("the name is empty")
    return text


def _as_typed(text: str) -> str:
    """Text as it is typed on a command line; see `line_breaks`."""
    return text.replace("\n", "\\n")


@dataclass(frozen=True, kw_only=True)
class Model(Settings):
    """Which model answers, and how it is asked."""

    model_path: Annotated[
        str,
        "a model of one of the families in transformers' format, a LLaVA as released, or a LoRA adapter of peft; a "
        "directory or a hub id",
        Checked(local_or_hub),
    ]
    model_base: Annotated[
        str | None, "base model of a LoRA or projector-only checkpoint (default: what an adapter of peft names)"
    ] = None
    backend: Annotated[
        str,
        "llava: the original package itself, one question at a time, in the environment of `make setup-llava`",
        OneOf((TRANSFORMERS, PACKAGE)),
    ] = TRANSFORMERS
    dtype: Annotated[
        str,
        "auto: on CUDA the checkpoint's own if it is of half precision, else float16; float32 on the CPU",
        OneOf((AUTO, "float16", "bfloat16", "float32")),
    ] = AUTO
    quantize: Annotated[
        str | None,
        "quantise the weights as they are loaded, by bitsandbytes; 4bit is NF4 (default: as the checkpoint has them)",
        OneOf(("4bit", "8bit")),
        Needs("backend", (TRANSFORMERS,)),
    ] = None
    conv_mode: Annotated[
        str | None,
        "conversation template; hf: the checkpoint's own; auto: as LLaVA picks by the name (default: vicuna_v1 for a "
        "LLaVA on Vicuna, LLaVA's own choice for a released one on another model, else hf)",
        OneOf((CHAT, BY_NAME, *TEMPLATES)),
    ] = None
    system_span: Annotated[
        str,
        "which tokens are `system`: template: those of the system message; original: the span of the earlier tool, to "
        "match its records number for number",
        OneOf(SYSTEM_SPANS),
    ] = "template"
    prompt_suffix: Annotated[
        str | None,
        f"appended to each question, unless it ends with it; `\\n` is a line break, `\\\\n` a backslash and an n "
        f"(default: `{_as_typed(MME_SUFFIX)}`; to questions with options of their own, `{_as_typed(LETTER_SUFFIX)}`)",
        Checked(in_utf8),
        Flag(typed=line_breaks),
    ] = None
    prompts: Annotated[
        tuple[str, ...],
        "ask each question in several wordings about one image: a JSON or TOML file of "
        '`{"NAME": {"template": "{question}\\n...", "conv_mode": ..., "system": ...}}`, the last two optional; or '
        f"{', '.join(PRESETS)}; or several of these; not beside `prompt_suffix`",
        Flag(metavar="FILE"),
        _each(_name),
    ] = ()
    answer_tokens: Annotated[
        tuple[str, str],
        "two answers, whose first tokens after the prompt `margin` compares, and which must differ; questions with "
        "options of their own are answered by letters",
        Flag(metavar="FIRST SECOND"),
        _each(_given),
    ] = OFFERED
    sequences: Annotated[
        str,
        "packed: questions on one image share one prefix, if the model allows it; separate: each question has a "
        "sequence of its own",
        OneOf((PACKED, SEPARATE)),
    ] = PACKED
    plan: Annotated[
        Path | None,
        "run the model without the heads and layers of a plan, a JSON file of `heads` and `layers` such as plan.json "
        "of `analyze prune`",
    ] = None
    images: Annotated[
        str,
        "counterfactual images, with the same questions: the mean colour, another image of the category, noise, or the "
        "image with its patches in another order",
        OneOf(IMAGES),
    ] = ORIGINAL
    image_aspect_ratio: Annotated[
        str | None,
        "how non-square images are preprocessed for models that take one square picture (LLaVA-1.5, VipLlava): "
        "cropped, padded as in LLaVA's own evaluation, or as the checkpoint asks for (default: crop; checkpoint for a "
        "released LLaVA-1.6, which has tiles, and for all other models, which have no other)",
        OneOf(ASPECTS),
    ] = None
    min_pixels: Annotated[
        int | None,
        "least pixels of a resized image, for Qwen's models (default: the checkpoint's)",
        Between(1, ROWS),
    ] = None
    max_pixels: Annotated[
        int | None, "most pixels of a resized image, for Qwen's models (default: the checkpoint's)", Between(1, ROWS)
    ] = None

    def check(self) -> None:
        """Raise `HeadflowError` if both a suffix and wordings are asked for."""
        super().check()
        if self.prompts and self.prompt_suffix is not None:
            raise HeadflowError("wordings have their own suffixes", setting="prompt_suffix")


@dataclass(frozen=True, kw_only=True)
class Deciding(Model):
    """What decides the numbers of a run, beside its questions."""

    task: Annotated[
        str | None,
        "what an answer is and how it is scored: "
        + "; ".join(f"{task.name}: {task.meaning}" for task in TASKS.values())
        + " (default: as the form of the file says: choices where questions have options, a benchmark's own "
        "where its categories or fields are there, yes-no where no question has a category, else mme)",
        OneOf(tuple(TASKS)),
    ] = None
    contributions: Annotated[
        bool,
        "also write `contributions`: what each head adds directly to `margin` or `lead`, by the role of what it reads",
    ] = False
    layer_profile: Annotated[
        bool,
        "also write `layers`: how much each layer changes the tokens, what it adds directly to `margin` or `lead`, and "
        "what that is after it",
    ] = False
    maps: Annotated[
        bool, "also write `maps`: where in the image each head looks, on the patches that the model reads"
    ] = False
    maps_of: Annotated[
        str | None,
        "whose attention the maps are: that of the last token, or the mean over question tokens (default: last)",
        OneOf(("last", MAPS_OF_QUESTION)),
        Needs("maps"),
    ] = None
    maps_heads: Annotated[
        tuple[str, ...],
        "heads whose maps are kept, such as L3H5, beside the numbers of all heads; or RUN:K, the K heads of an earlier "
        "run that look most at the image, or RUN:K:COLUMN, by the mean of a column of its `heads` (default: all)",
        Flag(metavar="HEAD"),
        _each(_name),
        Needs("maps"),
    ] = ()
    generate: Annotated[
        int | None,
        "let the model write its answer, at most N new tokens, and also write `tokens` and `steps`: the text, and "
        "where each head looks as each token is chosen (greedy decoding)",
        Between(1, INDICES - 1),
        Flag(metavar="N"),
        Needs("backend", (TRANSFORMERS,)),
    ] = None
    every: Annotated[
        int | None,
        "keep each K-th step of the new tokens in `steps` and `step_maps`, from the first (default: 1)",
        Between(1, INDICES - 1),
        Flag(metavar="K"),
        Needs("generate"),
    ] = None
    step_heads: Annotated[
        tuple[str, ...],
        "heads that have rows in `steps`, such as L3H5, or RUN:K, or RUN:K:COLUMN (default: all)",
        Flag(metavar="HEAD"),
        _each(_name),
        Needs("generate"),
    ] = ()
    step_maps: Annotated[
        tuple[str, ...],
        "also write `step_maps`: where in the image these heads look at each step; named in the same way, or all",
        Flag(metavar="HEAD"),
        _each(_name),
        Needs("generate"),
    ] = ()
    text: Annotated[
        Path | None,
        "JSON file of texts by `sample_id`, which the model is given instead of writing its own: one pass over each, "
        "of `generate` tokens at most",
        Flag(metavar="FILE"),
        Needs("generate"),
    ] = None
    answer_after: Annotated[
        str | None,
        "the answer is what follows TEXT in what the model writes (default: `</think>` for a model whose prompt opens "
        "a thought, else the whole text is the answer)",
        Flag(metavar="TEXT"),
        Checked(lambda text: _given(text, "what the answer follows")),
        Needs("generate"),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Device(Settings):
    """Where a model is run."""

    device: Annotated[
        str,
        "auto: CUDA if there is one, else the CPU; cuda:1: that GPU; several, such as cuda:0,cuda:1: each has some of "
        "the layers",
    ] = AUTO


@dataclass(frozen=True, kw_only=True)
class Machine(Device):
    """Where a model is run, and by how many processes."""

    num_workers: Annotated[
        int | str,
        f"processes that read images; auto: one less than the cores, 1 to {MOST_WORKERS}; 0: none",
        Between(0, ROWS),
        OneOf((AUTO,)),
    ] = AUTO

    @property
    def readers(self) -> int:
        """Processes that read images; auto: one less than the cores that this process may use, 1 to 8."""
        if self.num_workers != AUTO:
            return int(self.num_workers)
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return min(MOST_WORKERS, max(1, cores - 1))


@dataclass(frozen=True, kw_only=True)
class Chunk(Settings):
    """Which part of the images this process runs."""

    num_chunks: Annotated[int, "number of chunks that the images are divided into", Between(1, ROWS)] = 1
    chunk_idx: Annotated[int, "the chunk that this process runs, from 0", Between(0, ROWS)] = 0

    def check(self) -> None:
        """Raise `HeadflowError` if there is no such chunk."""
        super().check()
        if self.chunk_idx >= self.num_chunks:
            raise HeadflowError(
                f"chunk {self.chunk_idx} is not one of {counted(self.num_chunks, 'chunk')}, from 0", setting="chunk_idx"
            )


@dataclass(frozen=True, kw_only=True)
class Extract(Deciding, Machine, Chunk):
    """A run of a model over a question file."""

    COMMAND: ClassVar[str] = "extract"

    question_file: Annotated[
        str,
        "MME, POPE, AMBER, HallusionBench, or any table of questions with or without options: JSON, .jsonl, CSV, TSV, "
        "the folder of MME's release, or Parquet with the images; a file, a folder, or "
        "hf://datasets/lmms-lab-encoder/MME; several files of text by commas",
        Checked(local_or_hub),
    ]
    image_folder: Annotated[
        Location | None,
        "folder that `image_file` is relative to, or one on an object store (default: a question folder itself; not "
        "used with Parquet)",
    ] = None
    columns: Annotated[
        tuple[str, ...],
        "fields of questions that stand in columns of other names, such as question=query,answer=gt; the fields are "
        + ", ".join(FIELDS),
        Flag(metavar="FIELD=COLUMN"),
        Checked(lambda asked: tuple(asked) if read_columns(asked) else ()),
    ] = ()
    output_dir: Annotated[Location, "directory of the run to write, or s3://BUCKET/RUN; not in that of another run"] = (
        Path(OUTPUT_DIR)
    )
    num_samples: Annotated[int, "the first N samples of the file; -1 or 0: all", Between(-1, ROWS)] = -1
    batch_size: Annotated[
        int | str,
        "images that go through the model at once; auto: as many as fit on a GPU, up to 32; 1 on the CPU, where more "
        "is no faster",
        Between(1, ROWS),
        OneOf((AUTO,)),
        Needs("backend", (TRANSFORMERS,)),
    ] = AUTO
    resume: Annotated[bool, "resume the run in the directory, if there is one (the default)"] = False
    overwrite: Annotated[
        bool,
        "remove the run in the directory, if there is one, with the pictures and CSV files that `analyze` wrote beside "
        "it and nobody changed, and start anew",
    ] = False
    retry_skipped: Annotated[bool, "run the samples again that were skipped"] = False
    thumbnails: Annotated[
        bool,
        "also keep a small picture of each image in the run, about 10 KB, so that its maps can be drawn without the "
        "images; not of samples that are there already",
    ] = False
    ray: Annotated[
        str | None,
        "run the chunks on a Ray cluster, as ray.init names it, such as auto; without an address: on one that is "
        "started on this machine",
        Flag(metavar="ADDRESS", bare=LOCAL),
    ] = None
    gpus: Annotated[
        int,
        "processes on the Ray cluster, with a GPU each; where it has none, with a CPU each",
        Between(1, ROWS),
        Needs("ray"),
    ] = 1
    show_prompt: Annotated[
        int | None,
        "print the first N prompts token by token with their roles, and stop; needs no weights and no images: a black "
        "picture stands for those that a prompt depends on",
        Between(1, ROWS),
    ] = None

    def check(self) -> None:
        """Raise `HeadflowError` if settings contradict each other."""
        super().check()
        if self.overwrite and self.resume:
            raise HeadflowError("a run is either resumed or overwritten", setting="overwrite")
        if self.overwrite and self.num_chunks > 1 and self.ray is None:
            raise HeadflowError(
                "overwriting would remove what other chunks have written: remove the directory yourself",
                setting="overwrite",
            )
        if self.ray is not None and "," in self.device:
            raise HeadflowError("a process on the cluster has one GPU", setting="device")
        if self.ray is not None and self.chunk_idx:
            raise HeadflowError("all chunks run on the cluster: name none", setting="chunk_idx")
