"""The tensors of a released LLaVA -> a model of transformers, part by part: tower, projector, language model."""

import re
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    LlavaConfig,
    LlavaNextForConditionalGeneration,
    PreTrainedModel,
)
from transformers.tokenization_utils_sentencepiece import SPIECE_UNDERLINE, SentencePieceBackend

from extract.models.llava.tensors import State, drop
from extract.models.weights.files import find_files
from extract.models.weights.report import check_names, check_report, load_part
from schemas.errors import HeadflowError
from schemas.text import one_line, printable

TOWER, _PROJECTOR, NEWLINE = "model.vision_tower.vision_tower.", "model.mm_projector.", "model.image_newline"
COMPUTED = ("rotary_emb.inv_freq", "embeddings.position_ids")  # buffers that old checkpoints hold


def fill_weights(
    model: Any,
    language_class: type[PreTrainedModel],
    state: State,
    config: dict[str, Any],
    name: str,
    *,
    dtype: torch.dtype,
    device: torch.device,
) -> list[Path]:
    """Put the parts of a checkpoint into a model on the meta device; `state` is used up.

    Tensors are read, converted and moved one by one, so that little of the CPU's memory is needed if the model goes to
    another device.

    Args:
        language_class: the class of the language model with its head.
        config: the checkpoint's config.json; `name` is the checkpoint's, for messages.

    Returns:
        The weight files that were read beside those of the checkpoint: those of a vision tower of its own.

    Raises:
        HeadflowError: a part is missing, left over, of an unknown kind or of another shape.
    """
    drop(state, COMPUTED)
    tower, projector, newline = state.take(TOWER), state.take(_PROJECTOR), state.take(NEWLINE)
    language = _fill_language_model(language_class, model.config.text_config, state, name, dtype, device)
    model.model.vision_tower, files = _tower(config, tower, model.config.vision_config, name, dtype)
    model.model.multi_modal_projector = _projector(config, projector, model.config, name, dtype)
    model.model.language_model, model.lm_head = language.model, language.lm_head
    model.config.text_config = language.config
    if isinstance(model, LlavaNextForConditionalGeneration):  # others have no use for it
        wanted = {NEWLINE: model.model.image_newline.shape}
        check_names(wanted, {NEWLINE + rest: each for rest, each in newline.tensors.items()}, name)
        model.model.image_newline = nn.Parameter(newline.read("", dtype), requires_grad=False)
    released: Tensor = language.get_input_embeddings().weight.data
    rows = torch.cat([released, released.new_zeros(1, released.shape[1])])  # the image token's, never looked at
    model.set_input_embeddings(nn.Embedding.from_pretrained(rows))
    return files


def _tower(
    config: dict[str, Any], state: State, tower: CLIPVisionConfig, name: str, dtype: torch.dtype
) -> tuple[CLIPVisionModel, list[Path]]:
    """The vision tower, and its weight files if they are not those of the checkpoint.

    As in the package, a tower inside the checkpoint is used if it was trained, else the one that the checkpoint names.
    """
    if state.tensors and config.get("unfreeze_mm_vision_tower"):
        return load_part(CLIPVisionModel, tower, state.tensors, name, dtype), []
    named = config["mm_vision_tower"]
    if state.tensors:
        warning = (
            f"warning: the vision tower inside {name} is not used, as its config.json has no unfreeze_mm_vision_tower; "
            f"{named} is, as in the llava package"
        )
        print(printable(warning), file=sys.stderr)
    return _named_tower(named, dtype)


def _fill_language_model(
    kind: type[PreTrainedModel], config: Any, state: State, name: str, dtype: torch.dtype, device: torch.device
) -> Any:
    """A language model with its head; each of its tensors is read only when it is put into the model."""
    with torch.device("meta"):
        model = kind._from_config(config, dtype=dtype, attn_implementation="sdpa")
    model.model.rotary_emb = type(model.model.rotary_emb)(config).to(device)  # its buffers are computed, not stored
    wanted = {key: tensor.shape for key, tensor in model.state_dict().items()}
    check_names(wanted, state.tensors, name)
    for key in wanted:
        owner, _, attribute = key.rpartition(".")
        tensor = state.read(key, dtype).to(device)
        setattr(model.get_submodule(owner), attribute, nn.Parameter(tensor, requires_grad=False))
        del state.tensors[key]
    return model


def _named_tower(name: str, dtype: torch.dtype) -> tuple[CLIPVisionModel, list[Path]]:
    """The vision tower that a checkpoint names, and its weight files; what else a CLIP has is not read."""
    try:
        files = find_files(name)
        files.fetch(files.whole())
        tower, report = CLIPVisionModel.from_pretrained(
            files.folder, dtype=dtype, attn_implementation="sdpa", ignore_mismatched_sizes=True,
            output_loading_info=True,
        )  # fmt: skip
    except Exception as error:  # third-party loaders raise anything
        raise HeadflowError(f"vision tower {name} cannot be loaded: {one_line(error)[:300]}") from error
    check_report(report | {"unexpected_keys": []}, f"vision tower {name}")
    return tower, [files.folder / file for file in files.whole()]


def _projector(config: dict[str, Any], state: State, whole: LlavaConfig, name: str, dtype: torch.dtype) -> nn.Module:
    """The projector of `mm_projector_type`: linear, or mlpNx_gelu (`llava/model/multimodal_projector/builder.py`)."""
    kind = config.get("mm_projector_type", "linear")
    mlp = re.fullmatch(r"mlp(\d+)x_gelu", kind)
    if kind != "linear" and not mlp:
        raise HeadflowError(f"{name}: mm_projector_type {kind!r} is not known; known are linear and mlpNx_gelu")
    width, out = whole.vision_config.hidden_size, whole.text_config.hidden_size
    layers: list[nn.Module] = [nn.Linear(width, out)]
    for _ in range(1, int(mlp[1]) if mlp else 1):
        layers += [nn.GELU(), nn.Linear(out, out)]
    projector = nn.Sequential(*layers) if mlp else layers[0]
    wanted = {_PROJECTOR + key: tensor.shape for key, tensor in projector.state_dict().items()}
    check_names(wanted, {_PROJECTOR + key: tensor for key, tensor in state.tensors.items()}, name)
    projector.load_state_dict({key: state.read(key, torch.float32) for key in state.tensors})
    return projector.to(dtype)


class SentencePieceLlamaTokenizer(SentencePieceBackend):
    """The tokenizer that LLaVA was released with: LLaMA's own, on a SentencePiece model, token for token.

    transformers 4 had it as `LlamaTokenizer`, the slow one. The conversion of `tokenizer.model` by transformers 5
    differs from it if a text begins with a space, or if a space follows a special token.

    With `legacy` each text between special tokens is prefixed by a space; without, only the first one is.
    """

    def tokenize(self, text: str, **options: Any) -> list[str]:
        """Pieces of a text; the first is not a space if the text begins with a special token."""
        if self.legacy or not text:
            return super().tokenize(text, **options)
        tokens = super().tokenize(SPIECE_UNDERLINE + text.replace(SPIECE_UNDERLINE, " "), **options)
        prefixed = len(tokens) > 1 and tokens[0] == SPIECE_UNDERLINE and tokens[1] in self.all_special_tokens
        return tokens[1:] if prefixed else tokens

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """BOS, then the tokens."""
        return [self.bos_token_id, *token_ids_0, *(token_ids_1 or [])]

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """The text that pieces spell, bytes included, without the space that a text begins with."""
        return self.sp_model.decode([tokens[0].removeprefix(SPIECE_UNDERLINE), *tokens[1:]]) if tokens else ""
