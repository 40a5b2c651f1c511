"""Tiny LLaVA checkpoints with random weights in the released format, in the package's own key names and files."""

import io
import json
import math
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

import sentencepiece
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from tests.support.eager_reference import SUFFIX, SYSTEM

HIDDEN, LAYERS, HEADS, KV_HEADS, TOWER_WIDTH, IMAGE, PATCH = 128, 3, 8, 4, 64, 56, 14
RANK, ALPHA = 4, 16
LORA_TARGETS = ("self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj")
ANY_RESOLUTION = {
    "image_aspect_ratio": "anyres",
    "mm_patch_merge_type": "spatial_unpad",
    "image_grid_pinpoints": [[56, 112], [112, 56], [112, 112], [168, 56], [56, 168]],
}
FORMS: dict[str, dict] = {
    "released": {},
    "safetensors": {"files": "safetensors"},
    "bin shards": {"files": "bin shards"},
    "safetensors shards": {"files": "safetensors shards"},
    "linear projector": {"settings": {"mm_projector_type": "linear"}},
    "deep projector": {"settings": {"mm_projector_type": "mlp3x_gelu"}},
    "last layer, class token": {"settings": {"mm_vision_select_layer": -1, "mm_vision_select_feature": "cls_patch"}},
    "tower inside": {"inside": True, "settings": {"unfreeze_mm_vision_tower": True}},
    "tower inside, not trained": {"inside": True},
    "start and end": {"added": ("<im_start>", "<im_end>"), "settings": {"mm_use_im_start_end": True}},
    "more embeddings": {"added": ("<im_patch>",), "settings": {"mm_use_im_patch_token": True}},
    "legacy tokenizer": {"legacy": True},
    "mistral": {"language": "mistral"},
    "first name of the model type": {"settings": {"model_type": "llava"}},
    "any resolution": {"newline": True, "settings": ANY_RESOLUTION},
    "lora": {"on_base": "lora"},
    "lora in safetensors": {"on_base": "lora", "files": "safetensors"},
    "projector only": {"on_base": "projector"},
}
LANGUAGES = {
    "llama": (LlamaConfig, LlamaForCausalLM, "LlavaLlamaForCausalLM", "llava_llama"),
    "mistral": (MistralConfig, MistralForCausalLM, "LlavaMistralForCausalLM", "llava_mistral"),
}


class Original:
    """A checkpoint of one form, written to a folder, and what is in it.

    Attributes:
        path: what --model-path names; its name says what the package must know.
        base: what --model-base names, if anything.
        tokenizer: the folder that has the tokenizer.
        words: tokens of the tokenizer, which is the number of embeddings.
        vision: tensors of the vision tower that is used, by transformers' names; `state`, `projector` and `adapter` by
            the package's.

    With `coarse`, weights and adapter are such that adding them is exact in float16, in which the package does it.
    """

    def __init__(
        self,
        root: Path,
        texts: Sequence[str],
        *,
        language: str = "llama",
        files: str = "bin",
        added: Sequence[str] = (),
        legacy: bool = False,
        inside: bool = False,
        newline: bool = False,
        on_base: str | None = None,
        coarse: bool = False,
        settings: dict | None = None,
    ) -> None:
        settings = settings or {}
        middle = {"mistral": "mistral-"}.get(language, "") + {"lora": "lora-"}.get(on_base or "", "")
        self.path, self.base, self.tower = (
            root / f"llava-{middle}tiny",
            root / "base" if on_base else None,
            root / "clip",
        )
        self.path.mkdir()
        self.language, self.tokenizer = language, self.base or self.path
        self.words = make_tokenizer(self.tokenizer, texts, added, legacy)
        self.state = random_language(language, self.words)
        if coarse:
            self.state = {name: rounded(tensor, 512) for name, tensor in self.state.items()}
        self.projector = random_projector(str(settings.get("mm_projector_type", "mlp2x_gelu")))
        self.adapter = random_lora() if on_base == "lora" else {}
        if coarse:
            self.adapter = {name: rounded(tensor, 16) for name, tensor in self.adapter.items()}
        self.vision = make_tower(self.tower)
        inner = {f"model.vision_tower.vision_tower.vision_model.{name}": each for name, each in self.vision.items()}
        if inside:
            named = make_tower(self.tower, seed=9)
            self.vision = self.vision if settings.get("unfreeze_mm_vision_tower") else named
        end = torch.randn(HIDDEN, generator=torch.Generator().manual_seed(4)).half()
        write_config(self.path, self.tower, self.words, language=language, **settings)
        if on_base is None:
            more = (inner if inside else {}) | ({"model.image_newline": end} if newline else {})
            write_weights(self.path, self.state | self.projector | more, files)
            return
        write_weights(self.base, self.state, files)
        (self.base / "config.json").write_text(json.dumps({"model_type": language}))
        if on_base == "lora":
            write_lora(self.path, self.projector, self.adapter, files)
        else:
            torch.save(self.projector, self.path / "mm_projector.bin")

    def config(self) -> dict:
        """Its config.json."""
        return json.loads((self.path / "config.json").read_text())

    def flags(self) -> dict[str, Path]:
        """Flags of `extract` that name it."""
        return {"model_path": self.path} | ({"model_base": self.base} if self.base else {})


def make_corpus(texts: Sequence[str]) -> list[str]:
    """What a tokenizer is made from."""
    return [*texts, SYSTEM + "USER: ", SUFFIX + " ASSISTANT:", "Yes", "No", "yes no"] * 4


def make_tokenizer(out: Path, texts: Sequence[str], added: Sequence[str] = (), legacy: bool = False) -> int:
    """LLaMA's kind of tokenizer: `tokenizer.model`, a byte-fallback BPE of SentencePiece, and its settings.

    Args:
        added: tokens that training put after those of the tokenizer.

    Returns:
        The number of tokens.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / "tokenizer.model").write_bytes(_train_pieces(tuple(texts)))
    settings = {"tokenizer_class": "LlamaTokenizer", "legacy": legacy, "add_bos_token": True, "add_eos_token": False}
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    (out / "tokenizer_config.json").write_text(json.dumps(settings | names | {"model_max_length": 2048}))
    words = sentencepiece.SentencePieceProcessor(model_file=str(out / "tokenizer.model")).vocab_size()
    if added:
        ids = {token: words + number for number, token in enumerate(added)}
        (out / "added_tokens.json").write_text(json.dumps(ids))
    return words + len(added)


@cache
def _train_pieces(texts: tuple[str, ...]) -> bytes:
    """A model of SentencePiece, as its file."""
    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(line for text in texts for line in text.splitlines()),  # line breaks stay bytes
        model_writer=made,
        vocab_size=520,
        hard_vocab_limit=False,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        split_digits=True,
        minloglevel=2,
    )
    return made.getvalue()


def random_language(language: str, words: int, seed: int = 0) -> dict[str, Tensor]:
    """Tensors of a language model, float16; queries and keys drawn wide, so that attention is far from uniform."""
    return dict(_draw_language(language, words, seed))


@cache
def _draw_language(language: str, words: int, seed: int) -> dict[str, Tensor]:
    config_class, model_class, *_ = LANGUAGES[language]
    torch.manual_seed(seed)
    model = model_class(config_class(**language_settings(words)))
    for layer in model.model.layers:
        for projection in (layer.self_attn.q_proj, layer.self_attn.k_proj):
            nn.init.normal_(projection.weight, std=math.sqrt(3.0 / HIDDEN))
    return {name: tensor.half() for name, tensor in model.state_dict().items()}


def make_tower(out: Path, seed: int = 1) -> dict[str, Tensor]:
    """A folder like OpenAI's CLIP, text model and all; returns the vision tower's tensors by transformers' names."""
    torch.manual_seed(seed)
    config = CLIPVisionConfig(
        hidden_size=TOWER_WIDTH,
        intermediate_size=2 * TOWER_WIDTH,
        num_hidden_layers=3,
        num_attention_heads=4,
        image_size=IMAGE,
        patch_size=PATCH,
    )
    tower = {name: tensor.half() for name, tensor in CLIPVisionModel(config).state_dict().items()}
    out.mkdir(exist_ok=True)
    (out / "config.json").write_text(json.dumps({"model_type": "clip", "vision_config": config.to_dict()}))
    whole = {f"vision_model.{name}": tensor for name, tensor in tower.items()}
    whole |= {"vision_model.embeddings.position_ids": torch.arange(17)[None], "logit_scale": torch.tensor(1.0)}
    torch.save(whole | {"text_model.final_layer_norm.weight": torch.ones(8)}, out / "pytorch_model.bin")
    edge = {"height": IMAGE, "width": IMAGE}
    settings = CLIPImageProcessorPil(size={"shortest_edge": IMAGE}, crop_size=edge).to_dict()
    settings["image_processor_type"] = "CLIPImageProcessor"
    (out / "preprocessor_config.json").write_text(json.dumps(settings))
    return tower


def random_projector(kind: str, seed: int = 2) -> dict[str, Tensor]:
    """Tensors of a projector by the package's names."""
    torch.manual_seed(seed)
    depth = 0 if kind == "linear" else int(kind.removeprefix("mlp").partition("x")[0])
    layers = [nn.Linear(TOWER_WIDTH, HIDDEN), *(nn.Linear(HIDDEN, HIDDEN) for _ in range(1, depth))]
    for layer in layers:
        nn.init.normal_(layer.weight, std=0.1)
    names = [""] if kind == "linear" else [f"{2 * index}." for index in range(depth)]
    return {
        f"model.mm_projector.{name}{each}": tensor.half()
        for name, layer in zip(names, layers, strict=True)
        for each, tensor in layer.state_dict().items()
    }


def write_config(out: Path, tower: Path, words: int, *, language: str = "llama", **settings: object) -> None:
    """config.json as the package writes it."""
    *_, architecture, model_type = LANGUAGES[language]
    content = language_settings(words) | {
        "architectures": [architecture],
        "model_type": model_type,
        "mm_vision_tower": str(tower),
        "mm_hidden_size": TOWER_WIDTH,
        "mm_projector_type": "mlp2x_gelu",
        "mm_vision_select_layer": -2,
        "mm_vision_select_feature": "patch",
        "mm_use_im_start_end": False,
        "mm_use_im_patch_token": False,
        "use_mm_proj": True,
        "image_aspect_ratio": "pad",
        "torch_dtype": "float16",
        "hidden_act": "silu",
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    (out / "config.json").write_text(json.dumps(content | settings))


def write_weights(out: Path, state: dict[str, Tensor], files: str = "bin") -> None:
    """`bin` or `safetensors`, in one file or, with ` shards`, in two and an index."""
    kind, _, shards = files.partition(" ")
    suffix, stem = {"bin": (".bin", "pytorch_model"), "safetensors": (".safetensors", "model")}[kind]
    save = partial(save_file, metadata={"format": "pt"}) if kind == "safetensors" else torch.save
    state = {name: tensor.contiguous() for name, tensor in state.items()}
    if not shards:
        save(state, out / f"{stem}{suffix}")
        return
    names = sorted(state)
    halves = {f"{stem}-0000{n}-of-00002{suffix}": names[n - 1 :: 2] for n in (1, 2)}
    for file, some in halves.items():
        save({name: state[name] for name in some}, out / file)
    where = {name: file for file, some in halves.items() for name in some}
    (out / f"{stem}{suffix}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))


def random_lora(seed: int = 3) -> dict[str, Tensor]:
    """A LoRA on every layer, by peft's names."""
    torch.manual_seed(seed)
    shapes = {"self_attn.q_proj": (HIDDEN, HIDDEN), "self_attn.v_proj": (HIDDEN // 2, HIDDEN)}
    shapes["mlp.down_proj"] = (HIDDEN, 2 * HIDDEN)
    adapter = {}
    for layer in range(LAYERS):
        for target in LORA_TARGETS:
            name, (rows, columns) = f"base_model.model.model.layers.{layer}.{target}", shapes[target]
            adapter[f"{name}.lora_A.weight"] = torch.randn(RANK, columns).half() * 0.1
            adapter[f"{name}.lora_B.weight"] = torch.randn(rows, RANK).half() * 0.1
    return adapter


def rounded(tensor: Tensor, parts: int) -> Tensor:
    """The tensor in multiples of 1 / parts."""
    return (tensor.float() * parts).round().div(parts).half()


def write_lora(out: Path, projector: dict[str, Tensor], adapter: dict[str, Tensor], files: str) -> None:
    """What training a LoRA leaves: the adapter, its settings, and what was trained beside it."""
    settings = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": RANK, "lora_alpha": ALPHA, "bias": "none"}
    settings |= {"target_modules": [target.rpartition(".")[2] for target in LORA_TARGETS], "inference_mode": True}
    (out / "adapter_config.json").write_text(json.dumps(settings | {"base_model_name_or_path": "base"}))
    if files == "safetensors":
        save_file(adapter, out / "adapter_model.safetensors", metadata={"format": "pt"})
    else:
        torch.save(adapter, out / "adapter_model.bin")
    torch.save({f"base_model.model.{name}": each for name, each in projector.items()}, out / "non_lora_trainables.bin")


def language_settings(words: int) -> dict[str, object]:
    return {
        "vocab_size": words,
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
    }
