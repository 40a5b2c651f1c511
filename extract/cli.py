"""The flags of `python -m extract`."""

import argparse
import os
from pathlib import Path

from extract.backends import PACKAGE, QUESTION, TRANSFORMERS
from extract.prompts.prompt import SYSTEM_SPANS
from extract.prompts.templates import TEMPLATES
from extract.prompts.wordings import PRESETS
from extract.questions.fields import MME_SUFFIX
from extract.questions.hub import PROTOCOL
from schemas.cli import line_breaks, number, path, place
from schemas.columns import LAST
from schemas.manifest import ASPECTS, IMAGES, ORIGINAL, PACKED, ROWS, SEPARATE
from schemas.text import storable
from schemas.workers.tasks import LOCAL

OUTPUT_DIR = "mme_attention_observation"  # as users of the earlier tool know it
DTYPES = ("auto", "float16", "bfloat16", "float32")


def parser() -> argparse.ArgumentParser:
    """The command's flags."""
    flags = argparse.ArgumentParser(
        prog="python -m extract",
        description="Write one row per (sample, layer, head).",
        epilog="python -m extract knock-out --help: run a run's model again with parts of it knocked out. python -m "
        "extract look --help: one image and one question, with an overlay.",
    )
    flags.add_argument("--model-path", type=_local_or_hub, required=True, help="checkpoint, a directory or a hub id")
    flags.add_argument("--model-base", help="base model of a LoRA or projector-only checkpoint")
    flags.add_argument(
        "--backend",
        choices=(TRANSFORMERS, PACKAGE),
        default=TRANSFORMERS,
        help="llava: the original package itself, one question at a time, in the environment of `make setup-llava`",
    )
    flags.add_argument(
        "--image-folder",
        type=place,
        help="folder that `image_file` is relative to (default: a question folder itself; not used with Parquet)",
    )
    flags.add_argument(
        "--question-file",
        type=_local_or_hub,
        required=True,
        help="MME_test.json, LLaVA's .jsonl or .json, CSV, TSV, the folder of MME's release, or Parquet with the "
        "images: a file, a folder, or hf://datasets/lmms-lab/MME",
    )
    flags.add_argument(
        "--output-dir",
        type=place,
        default=Path(OUTPUT_DIR),
        help=f"directory of the run to write, or s3://BUCKET/RUN (default {OUTPUT_DIR})",
    )
    again = flags.add_mutually_exclusive_group()
    again.add_argument(
        "--resume", action="store_true", help="resume the run in --output-dir, if there is one (the default)"
    )
    again.add_argument(
        "--overwrite", action="store_true", help="remove the run in --output-dir, if there is one, and start anew"
    )
    flags.add_argument(
        "--retry-skipped", action="store_true", help="run the samples of --output-dir again that were skipped"
    )
    flags.add_argument(
        "--num-chunks",
        type=number(int, 1, ROWS),
        default=1,
        help="number of chunks that the images are divided into (default 1)",
    )
    flags.add_argument(
        "--chunk-idx", type=number(int, 0, ROWS), default=0, help="the chunk that this process runs, from 0 (default 0)"
    )
    flags.add_argument(
        "--ray",
        nargs="?",
        const=LOCAL,
        metavar="ADDRESS",
        help="run the chunks on a Ray cluster, as ray.init names it, such as auto; without an address: on one that is "
        "started on this machine",
    )
    flags.add_argument(
        "--gpus",
        type=number(int, 1, ROWS),
        default=1,
        metavar="N",
        help="processes on the Ray cluster, with a GPU each; where it has none, with a CPU each (default 1)",
    )
    flags.add_argument(
        "--conv-mode",
        help="conversation template (default vicuna_v1 for a LLaVA on Vicuna, LLaVA's own choice for a released one on "
        "another model, else hf); hf: the checkpoint's own; "
        f"auto: as LLaVA picks by the name; {', '.join(TEMPLATES)}",
    )
    flags.add_argument(
        "--num-samples",
        type=number(int, -1, ROWS),
        default=-1,
        help="the first N samples of the file; -1 or 0: all (default -1)",
        metavar="N",
    )
    flags.add_argument(
        "--dtype",
        choices=DTYPES,
        default="auto",
        help="auto: on CUDA the checkpoint's own if it is of half precision, else float16; float32 on the CPU",
    )
    flags.add_argument("--device", default="auto", help="auto: CUDA if there is one, else the CPU (default auto)")
    flags.add_argument(
        "--batch-size",
        type=_batch_size,
        default="auto",
        help="images that go through the model at once; auto: as many as fit (default auto)",
    )
    flags.add_argument(
        "--sequences",
        choices=(PACKED, SEPARATE),
        default=PACKED,
        help="packed: questions on one image share one prefix, if the model allows it; separate: each question has a "
        "sequence of its own (default packed)",
    )
    flags.add_argument(
        "--num-workers", type=workers, default="auto", help="processes that read images; 0: none (default auto)"
    )
    asked = flags.add_mutually_exclusive_group()
    asked.add_argument(
        "--prompt-suffix",
        type=_typed,
        default=MME_SUFFIX,
        help=f"appended to each question; \\n is a line break (default {MME_SUFFIX!r})",
    )
    asked.add_argument(
        "--prompts",
        nargs="+",
        type=_name,
        metavar="FILE",
        help="ask each question in several wordings, behind one image: a JSON or TOML file of "
        '{"NAME": {"template": "{question}\\n...", "conv_mode": ..., "system": ...}}, the last two optional; or '
        f"{', '.join(PRESETS)}; or several of these",
    )
    flags.add_argument(
        "--answer-tokens",
        nargs=2,
        type=_answer,
        default=["Yes", "No"],
        metavar=("YES", "NO"),
        help="two answers, whose first tokens behind the prompt `margin` compares (default Yes No)",
    )
    flags.add_argument(
        "--contributions",
        action="store_true",
        help="also write `contributions`: what each head adds directly to `margin`, by the role of what it reads",
    )
    flags.add_argument(
        "--layer-profile",
        action="store_true",
        help="also write `layers`: how much each layer changes the tokens, what it adds directly to `margin`, and the "
        "margin after it",
    )
    flags.add_argument(
        "--maps",
        action="store_true",
        help="also write `maps`: where in the image each head looks, on the patches that the model reads",
    )
    flags.add_argument(
        "--maps-of",
        choices=(LAST, QUESTION),
        help="whose attention the maps are: that of the last token, or the mean over question tokens (default last)",
    )
    flags.add_argument(
        "--maps-heads",
        nargs="+",
        type=_name,
        metavar="HEAD",
        help="heads whose maps are kept, such as L3H5, beside the numbers of all heads; or RUN:K, the K heads of an "
        "earlier run that look most at the image, or RUN:K:COLUMN, by the mean of a column of its `heads` (default: "
        "all)",
    )
    flags.add_argument(
        "--thumbnails",
        action="store_true",
        help="also keep a small picture of each image in the run, so that its maps can be drawn without the images",
    )
    flags.add_argument(
        "--plan",
        type=path,
        help="run the model without the heads and layers of a plan, a JSON file of `heads` and `layers` such as "
        "plan.json of `analyze prune`",
    )
    flags.add_argument(
        "--images",
        choices=IMAGES,
        default=ORIGINAL,
        help="counterfactual images, behind the same questions: the mean colour, another image of the category, noise, "
        "or the image with its patches in another order (default original)",
    )
    flags.add_argument(
        "--image-aspect-ratio",
        choices=ASPECTS,
        help="how non-square images are preprocessed for models that take one square picture (LLaVA-1.5, VipLlava): "
        "cropped, padded as in LLaVA's own evaluation, or as the checkpoint asks for (default crop; checkpoint for a "
        "released LLaVA-1.6, which has tiles)",
    )
    for name, what in (("min", "least"), ("max", "most")):
        flags.add_argument(
            f"--{name}-pixels",
            type=number(int, 1, ROWS),
            help=f"{what} pixels of a resized image, for Qwen's models (default: the checkpoint's)",
        )
    flags.add_argument(
        "--system-span",
        choices=SYSTEM_SPANS,
        default="template",
        help="which tokens are `system`: template: those of the system message; original: the span of the earlier tool "
        "(default template)",
    )
    flags.add_argument(
        "--show-prompt",
        type=number(int, 1, ROWS),
        metavar="N",
        help="print the first N prompts token by token with their roles, and stop; needs no weights and no images",
    )
    return flags


def _text(text: str) -> str:
    """Text for a tokenizer; refuses bytes that are no UTF-8, which Python gives as halves of surrogate pairs."""
    if text != storable(text):
        raise argparse.ArgumentTypeError("it is not text in UTF-8")
    return text


def _typed(text: str) -> str:
    """Text with line breaks as people type them."""
    return line_breaks(_text(text))


def _answer(text: str) -> str:
    """An answer, which is some text."""
    if not text.strip():
        raise argparse.ArgumentTypeError("an answer is empty")
    return _text(text)


def _name(text: str) -> str:
    """A name, which may be a path anywhere."""
    if not text:
        raise argparse.ArgumentTypeError("the name is empty")
    return text


def _local_or_hub(text: str) -> str:
    """A path on this machine, or a name on the hub."""
    if not text.startswith(PROTOCOL):
        path(text)
    return text


def _batch_size(text: str) -> int | None:
    """A value of `--batch-size`; None: auto."""
    return None if text == "auto" else number(int, 1, ROWS, auto=True)(text)


def workers(text: str) -> int:
    """A value of `--num-workers`; auto: one less than the cores that this process may use, 1 to 8."""
    if text != "auto":
        return number(int, 0, ROWS, auto=True)(text)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, max(1, cores - 1))
