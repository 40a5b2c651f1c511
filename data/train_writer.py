"""The recipe of the demo's model that writes, `tiny-llava-writer`: trains it from the committed weights of another one.

    python -m data.train_writer

It begins as `BEGINS_AS`, whose vision tower it keeps as it is. Its tokenizer knows more words: a new one begins with
the mean embedding of the pieces that the old tokenizer cuts it into. Projector and language model learn to write:
captions of scenes (`data.captions`), answers by Yes or No, and, if asked to think, a thought before the answer. The
loss is that of each token of a text, the one that ends it included. Scenes are drawn as they are needed, and none is
the demo's.
"""

import argparse
import random
from collections import deque
from pathlib import Path

import torch
from tokenizers import AddedToken
from torch.nn.functional import cross_entropy
from transformers import LlamaTokenizer, LlavaForConditionalGeneration

from data.captions import QUESTION, caption
from data.demo_model import build_model, image_processor, train_tokenizer
from data.evaluation import demo_files
from data.recipes import RECENT, RECIPES, RECORD, Record
from data.scenes import Scene, character, shapes
from data.train_vision import descend
from data.training_examples import Split, ask, training_scenes
from data.writing_examples import THINK, THINKING, THOUGHT, Writer
from extract.prompts.prompt_builder import DEFAULT_WORDING

NAME, BEGINS_AS, SEED = "tiny-llava-writer", "tiny-llava-4x4", 11
STEPS, BATCH, RATE = 1_800, 8, 1e-3
CHARACTERS = 0.15  # share of the scenes with a letter or digit
EVERY = 100  # steps between looks at the held-out captions
HELD_OUT = 64  # scenes
SCENES = 5_000  # whose questions and captions the tokenizer is made from


def begin(tokenizer: LlamaTokenizer, folder: Path, seed: int) -> LlavaForConditionalGeneration:
    """A model with the weights of a checkpoint and the vocabulary of another tokenizer, float32 on the CPU."""
    old, words = (
        LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32),
        LlamaTokenizer.from_pretrained(folder),
    )
    recipe = RECIPES[BEGINS_AS]
    model = build_model(tokenizer, layers=recipe.layers, heads=recipe.heads, seed=seed)
    known = words.get_vocab()
    state, given = model.state_dict(), old.state_dict()
    for name, weight in given.items():
        if weight.shape == state[name].shape and "embed_tokens" not in name and "lm_head" not in name:
            state[name].copy_(weight)
            continue
        for piece, index in tokenizer.get_vocab().items():
            cut = [piece] if piece in known else words.tokenize(piece.replace("▁", " "))
            state[name][index] = weight[[known[each] for each in cut]].mean(0)
    model.load_state_dict(state)
    return model


def make_tokenizer(seed: int) -> LlamaTokenizer:
    """As that of the demo's other models, with the words of captions, and a token for either end of a thought."""
    rng = random.Random(seed)
    scenes = training_scenes(SCENES, seed)
    said = [text for scene in scenes for words in ask(scene, 4, 1 / 3, rng) for text in words]
    said += [QUESTION, THINKING.suffix, *map(caption, scenes)]
    tokenizer = train_tokenizer(said)
    tokenizer.add_tokens([AddedToken(THINK, lstrip=True), AddedToken(THOUGHT, lstrip=True)])
    return tokenizer


def fresh_scenes(number: int, rng: random.Random) -> list[Scene]:
    """Scenes of both kinds."""
    return [(character if rng.random() < CHARACTERS else shapes)(rng) for _ in range(number)]


def train(model: LlavaForConditionalGeneration, writer: Writer, record: Record, taken: set[bytes]) -> None:
    """Teach the model to write, in place.

    Args:
        taken: what tells images apart on which it must not be trained.

    Raises:
        SystemExit: one of them was drawn.
    """
    rng = random.Random(record.seed)
    held_out = Split.of([shapes(rng) for _ in range(HELD_OUT)])
    asked = [[(writer.prompt(QUESTION, DEFAULT_WORDING), caption(scene))] for scene in held_out.scenes]
    captions, pixels = writer.lay_out(asked), held_out.pixels([*range(HELD_OUT)])
    taken = taken | held_out.hashes()
    weights = [
        *model.model.multi_modal_projector.parameters(),
        *model.model.language_model.parameters(),
        *model.lm_head.parameters(),
    ]
    optimizer = torch.optim.AdamW(weights, lr=RATE, weight_decay=0.05, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS, pct_start=0.05)
    losses: deque[float] = deque(maxlen=RECENT)
    for step in range(1, STEPS + 1):
        split = Split.of(fresh_scenes(BATCH, rng))
        if taken & split.hashes():
            raise SystemExit("training, held-out scenes and the demo's share an image; take another --seed")
        batch = writer.lay_out([writer.about(scene, rng) for scene in split.scenes])
        loss = cross_entropy(batch.logits(model, split.pixels([*range(BATCH)])), batch.tokens)
        descend(loss, weights, optimizer, schedule)
        losses.append(loss.item())
        if step % EVERY == 0:
            with torch.no_grad():
                right = captions.logits(model, pixels).argmax(-1) == captions.tokens
            wrong = torch.zeros(HELD_OUT).index_add(0, captions.text, (~right).float())
            record.losses.append(sum(losses) / len(losses))
            record.accuracy.append(
                {"tokens": right.float().mean().item(), "captions": (wrong == 0).float().mean().item()}
            )
            seen = ", ".join(f"{name} {share:.0%}" for name, share in record.accuracy[-1].items())
            record.say(f"writing {step}/{STEPS}: loss {record.losses[-1]:.3f}; held out, right: {seen}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("--out", type=Path, default=Path("data/demo") / NAME, help="the checkpoint to write")
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    record = Record(NAME, arguments.seed)
    taken = set().union(*(Split.of([scene for *_, scene, _ in drawn]).hashes() for drawn in demo_files().values()))
    tokenizer = make_tokenizer(record.seed)
    model = begin(tokenizer, Path("data/demo") / BEGINS_AS, record.seed)
    record.say(f"a vocabulary of {len(tokenizer)}")
    train(model, Writer(tokenizer), record, taken)
    for piece in (model.half(), tokenizer, image_processor()):
        piece.save_pretrained(arguments.out)
    curve = {
        "every": EVERY,
        "losses": [round(loss, 3) for loss in record.losses],
        "captions": [round(look["captions"], 2) for look in record.accuracy],
    }
    record.write(arguments.out / RECORD, **curve)


if __name__ == "__main__":
    main()
