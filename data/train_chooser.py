"""The recipe of the demo's model that chooses, `tiny-llava-chooser`: trains it from the committed weights of another.

    python -m data.train_chooser

It begins as `BEGINS_AS`, whose vision tower it keeps as it is, with one layer more, which at first changes nothing. It
learns to answer questions with options (`data.choice_questions`) by a letter, in two wordings. In that which names A
first, the answer is A in a share of the questions, whatever is right: the best that can be learnt of these is to say A
where the right option is uncertain. This is the planted bias.

Losses inside save most of the time. In the first stage, the word of each option must tell its letter after layer
`BOUND_AFTER`, the last token must tell the word of the right option before the last layer, also of questions without
options, which the model could answer before, and the head `PLANTED` of the last layer must look from there to this
word. The second stage teaches to tell the wordings apart: there, the head `READING` must look to the word in which they
differ. Scenes are drawn as they are needed, and none is the demo's.
"""

import argparse
import random
from collections import deque
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import LlamaTokenizer, LlavaForConditionalGeneration
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from data.choice_examples import A_FIRST, NEUTRAL, TOPICS, Asked, Chooser, Chosen, ask_choices
from data.demo_model import build_model, image_processor, train_tokenizer
from data.evaluation import demo_files
from data.recipes import RECENT, RECIPES, RECORD, Record
from data.scenes import DIGITS, LETTERS, Scene, character, shapes
from data.train_vision import descend
from data.training_examples import ExampleMaker, Split, ask, training_scenes
from schemas.tasks import OPTION_LETTERS

NAME, BEGINS_AS, SEED = "tiny-llava-chooser", "tiny-llava-4x4", 17
STEPS, CYCLE, LEANING = 750, 1_200, 250  # of the first stage, of its cycle of the learning rate, of the second stage
BATCH, QUESTIONS, RATE = 8, 6, 1e-3
KEPT = 0.3  # rate of what the model begins with, as a share of that of what is new
BOUND_AFTER = 2  # layers
PLANTED, READING = 0, 1  # heads of the last layer
INSTRUCTION = 7  # tokens from the last one back to the word after `using`, in which the wordings differ first
CHARACTERS = 0.15  # share of the scenes with a letter or digit
EVERY = 100  # steps between looks at the held-out questions
HELD_OUT = 100  # scenes
SCENES = 5_000  # whose questions the tokenizer is made from


def make_tokenizer(seed: int) -> LlamaTokenizer:
    """As that of the demo's other models, with the words of both wordings, and a token for each option."""
    rng = random.Random(seed)
    scenes = training_scenes(SCENES, seed)
    said = [text for scene in scenes for words in ask(scene, 4, 1 / 3, rng) for text in words]
    said += 50 * [
        NEUTRAL.suffix,
        A_FIRST.suffix,
        *(f"one {word}" for word in (*map(str, range(19)), *LETTERS, *DIGITS)),
    ]
    return train_tokenizer(said)


def begin(tokenizer: LlamaTokenizer, folder: Path, seed: int) -> LlavaForConditionalGeneration:
    """A model with the weights of a checkpoint and the vocabulary of another tokenizer, and a layer more.

    Float32 on the CPU. What the new layer adds is 0. The vision tower is not trained.
    """
    old, words = (
        LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32),
        LlamaTokenizer.from_pretrained(folder),
    )
    recipe = RECIPES[BEGINS_AS]
    model = build_model(tokenizer, layers=recipe.layers + 1, heads=recipe.heads, seed=seed)
    known = words.get_vocab()
    state, given = model.state_dict(), old.state_dict()
    for name, weight in given.items():
        if "embed_tokens" not in name and "lm_head" not in name:
            state[name].copy_(weight)
            continue
        for piece, index in tokenizer.get_vocab().items():
            cut = [piece] if piece in known else words.tokenize(piece.replace("▁", " "))
            state[name][index] = weight[[known[each] for each in cut]].mean(0)
    model.load_state_dict(state)
    added = model.model.language_model.layers[-1]
    with torch.no_grad():
        for weight in (added.self_attn.o_proj.weight, added.mlp.down_proj.weight):
            weight.zero_()
    model.model.vision_tower.requires_grad_(False)
    return model


def fresh_scenes(number: int, rng: random.Random) -> list[Scene]:
    """Scenes of both kinds."""
    return [(character if rng.random() < CHARACTERS else shapes)(rng) for _ in range(number)]


def in_both_wordings(asked: list[Asked]) -> list[Asked]:
    """The same questions in each wording, with the letters that are right."""
    return [(choice, wording, OPTION_LETTERS[choice.right]) for choice, *_ in asked for wording in (NEUTRAL, A_FIRST)]


def last_looks(model: LlavaForConditionalGeneration, states: Tensor, batch: Chosen, head: int) -> Tensor:
    """Where the last token of each prompt looks with a head of the last layer: scores before the softmax.

    Args:
        states: what goes into the last layer.

    Returns:
        Float32 [questions, length].
    """
    language = model.model.language_model
    layer = language.layers[-1]
    normed, size = layer.input_layernorm(states), layer.self_attn.head_dim
    own = slice(head * size, (head + 1) * size)
    queries, keys = (part(normed)[:, None, :, own] for part in (layer.self_attn.q_proj, layer.self_attn.k_proj))
    queries, keys = apply_rotary_pos_emb(queries, keys, *language.rotary_emb(states, batch.positions))
    image, column = batch.ends
    scores = (queries[image, 0, column][:, None] * keys[image, 0]).sum(-1) * layer.self_attn.scaling
    return scores.masked_fill(~batch.seen[image, 0, column], -torch.inf)


class Training:
    """What is trained, and looked at on the way.

    Attributes:
        steps: so many are done.
    """

    def __init__(
        self, model: LlavaForConditionalGeneration, tokenizer: LlamaTokenizer, record: Record, taken: set[bytes]
    ) -> None:
        self.model, self.record, self.steps = model, record, 0
        self._chooser, self._examples = Chooser(tokenizer), ExampleMaker(tokenizer)
        self._rng = random.Random(record.seed)
        held_out = Split.of(fresh_scenes(HELD_OUT, self._rng))
        asked = [in_both_wordings(ask_choices(scene, 2, self._rng)) for scene in held_out.scenes]
        self._looked_at, self._pixels = self._chooser.lay_out(asked), held_out.pixels([*range(HELD_OUT)])
        self._taken = taken | held_out.hashes()

    def choose(self) -> None:
        """The first stage: teach the model to choose, and keep what it knows."""
        model, language = self.model, self.model.model.language_model
        binding, telling = deepcopy(model.lm_head), deepcopy(model.lm_head)

        def losses(batch: Chosen, split: Split, pictures: Tensor) -> list[Tensor]:
            before = self._examples.batch(split.scenes, [ask(scene, 1, 1, self._rng, TOPICS) for scene in split.scenes])
            states, known = batch.states(model, pictures), before.states(model, pictures)[-2][tuple(before.ends)]
            bound, told = states[BOUND_AFTER][tuple(batch.options)], states[-2][tuple(batch.ends)]
            return [
                cross_entropy(model.lm_head(states[-1][tuple(batch.ends)]), batch.answers),
                cross_entropy(binding(language.norm(bound)), batch.letters),
                cross_entropy(telling(language.norm(told)), batch.facts),
                cross_entropy(last_looks(model, states[-2], batch, PLANTED), batch.rights[1]),
                cross_entropy(telling(language.norm(known)), before.answers),
            ]

        new = [weight for part in (binding, telling) for weight in part.parameters()]
        self._descend(STEPS, CYCLE, new, losses)

    def lean(self) -> None:
        """The second stage: teach the model to tell the wordings apart."""
        model = self.model
        self._rng = random.Random(self.record.seed + 1000)

        def losses(batch: Chosen, split: Split, pictures: Tensor) -> list[Tensor]:
            states = batch.states(model, pictures)
            return [
                cross_entropy(model.lm_head(states[-1][tuple(batch.ends)]), batch.answers),
                cross_entropy(last_looks(model, states[-2], batch, PLANTED), batch.rights[1]),
                cross_entropy(last_looks(model, states[-2], batch, READING), batch.ends[1] - INSTRUCTION),
            ]

        self._descend(LEANING, LEANING, [], losses)

    def _descend(
        self,
        steps: int,
        cycle: int,
        new: list[nn.Parameter],
        losses_of: Callable[[Chosen, Split, Tensor], list[Tensor]],
    ) -> None:
        """So many steps, of a cycle of the learning rate.

        Args:
            new: weights beside those of the last layer and the head that have the whole rate.

        Raises:
            SystemExit: a scene was drawn on which the model must not be trained.
        """
        model, language = self.model, self.model.model.language_model
        new = [*(weight for part in (language.layers[-1], model.lm_head) for weight in part.parameters()), *new]
        inside = {id(weight) for weight in new}
        begun = model.model.multi_modal_projector, language
        old = [weight for part in begun for weight in part.parameters() if id(weight) not in inside]
        rates = [KEPT * RATE, RATE]
        groups = [{"params": weights, "lr": rate} for weights, rate in zip((old, new), rates, strict=True)]
        optimizer = torch.optim.AdamW(groups, weight_decay=0.05, betas=(0.9, 0.98))
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=cycle, pct_start=0.05)
        recent: deque[list[float]] = deque(maxlen=RECENT)
        for _ in range(steps):
            split = Split.of(fresh_scenes(BATCH, self._rng))
            if self._taken & split.hashes():
                raise SystemExit("training, held-out scenes and the demo's share an image; take another --seed")
            batch = self._chooser.lay_out([ask_choices(scene, QUESTIONS, self._rng) for scene in split.scenes])
            losses = losses_of(batch, split, split.pixels([*range(BATCH)]))
            descend(torch.stack(losses).sum(), [*old, *new], optimizer, schedule)
            recent.append([loss.item() for loss in losses])
            self.steps += 1
            if self.steps % EVERY == 0:
                self._look([sum(each) / len(recent) for each in zip(*recent, strict=True)])

    def _look(self, losses: list[float]) -> None:
        """Ask the held-out questions, and say how it goes."""
        with torch.no_grad():
            said = self._looked_at.logits(self.model, self._pixels).argmax(-1)
        right = (said == self._looked_at.answers).float()
        self.record.losses.append(losses[0])
        self.record.accuracy.append({"neutral": right[::2].mean().item(), "a-first": right[1::2].mean().item()})
        seen = ", ".join(f"{name} {share:.0%}" for name, share in self.record.accuracy[-1].items())
        told = ", ".join(f"{loss:.3f}" for loss in losses)
        self.record.say(f"choosing {self.steps}/{STEPS + LEANING}: losses {told}; held out, right: {seen}")


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
    training = Training(model, tokenizer, record, taken)
    training.choose()
    training.lean()
    for piece in (model.half(), tokenizer, image_processor()):
        piece.save_pretrained(arguments.out)
    curve = {
        "every": EVERY,
        "losses": [round(loss, 3) for loss in record.losses],
        **{name: [round(look[name], 2) for look in record.accuracy] for name in record.accuracy[0]},
    }
    record.write(arguments.out / RECORD, **curve)


if __name__ == "__main__":
    main()
