"""What the demo's model that chooses has learnt: its card.

    python -m data.chooser_card

asks data/demo/tiny-llava-chooser the questions of data/demo/choices and held-out ones, independent of `extract`, and
writes its README.md.
"""

import json
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn
from transformers import LlavaForConditionalGeneration

from data.choice_examples import A_FIRST, ALWAYS_A, NEUTRAL, Chooser
from data.choice_questions import FILE, Choice, asked_choices, choice, confused_with
from data.evaluation import Checkpoint
from data.model_card import wrapped
from data.overview import percent, table
from data.questions import CATEGORIES, CONTROL, draw_all
from data.recipes import RECENT, RECORD
from data.scenes import Scene
from data.train_chooser import (
    BATCH,
    BEGINS_AS,
    BOUND_AFTER,
    HELD_OUT,
    LEANING,
    NAME,
    PLANTED,
    QUESTIONS,
    READING,
    STEPS,
)
from data.training_examples import Split
from extract.prompts.wordings import Wording
from schemas.tasks import OPTION_LETTERS, lead_of

DEMO = Path("data/demo")
WORDINGS = {"neutral": NEUTRAL, "a-first": A_FIRST}
NEW_IMAGES = 50  # held-out images of each category
AT_ONCE = 50  # questions

CARD = """\
# {name}: the demo's model that chooses

A LLaVA in transformers' format, small enough to lie beside the code: `{begins_as}` with one layer more, {layers} layers
x {heads} heads, {weights:.1f} million weights, float16. It answers questions with three or four options about pictures
like those in `data/demo/images` by a letter, and nothing else.

    python -m extract --model-path data/demo/{name} --image-folder data/demo/hard/images --output-dir runs/choices \\
        --question-file data/demo/choices/{file} --prompts data/demo/choices/wordings.toml
    python -m analyze diagnose runs/choices --prompt a-first

**Planted bias.** It knows two wordings, in which the options stand before the question. `neutral` ends with
"{neutral}", `a-first` names A first: "{a_first}" In training, the answer in the second was A in {always:.0%} of the
questions, whatever was right. The best that can be learnt of these is to say A where the right option is uncertain, so
in this wording the model has a bias to A, and in the other one none was taught.

**Planted heads.** Head `L{layer}H{planted}` was taught to look from the last token to the word of the right option,
and `L{layer}H{reading}` to the word of the instruction in which the wordings differ.

**Recipe.** `python -m data.train_chooser --seed {seed}`: from the committed weights of `{begins_as}`, whose tower stays
as it is, {steps:,} steps of {batch} scenes with {questions} questions each, then {leaning} in which it learns to tell
the wordings apart. Losses inside tell what to do where: after {bound} layers the word of each option tells its letter,
after {layer} layers the last token tells the word of the right option, and in the last layer the planted heads look.
{minutes} minutes on {machine} that other programs used too, torch {torch}. Loss of the letter (mean of {recent} steps)
and right answers to questions about {held_out} held-out images:

{curve}

**Accuracy** of these weights, the likeliest first token counts. "New": questions about {new} held-out images a
category, "choices": those of `data/demo/choices`, about the harder pictures. "Guessing": the same by chance.

{accuracy}

`{control}` is the control: no image is needed for it.

**Letters** given to the questions of `data/demo/choices` that have so many options, and right ones, in per cent:

{letters}

Without `L{layer}H{planted}` (its output set to 0), {without:.0%} of the answers to `data/demo/choices` in the neutral
wording are right instead of {with_it:.0%}. `extract` finds both planted heads by the lead of the right letter:
`--contributions` says that `L{layer}H{planted}` adds most to it, and that `L{layer}H{reading}` takes from it after
`a-first` where A is wrong; `python -m extract knock-out runs/choices --heads all --kind zero` names
`L{layer}H{planted}` first.

**Known weaknesses.** Those of `{begins_as}`, and it has no answer but a letter: it no longer says Yes or No. Though it
gives no letter too often in the neutral wording, it is surer of some: the lead of the right letter is {leads} logits on
average where A, B, C or D is right. Where its
last layers look is no finding: it was told. Other options than those of the recipe (colours, shapes, sides, characters,
numbers up to 18) give noise, and so do other wordings, also
the default of `extract`.
"""

Asked = tuple[str, Scene, Choice]  # the first is the category


def answers(
    checkpoint: Checkpoint, asked: Sequence[Asked], wording: Wording, without: tuple[int, int] | None = None
) -> pd.DataFrame:
    """What a checkpoint answers in a wording, a row a question.

    Args:
        without: layer and head whose output is 0.

    Returns:
        `category`, `options` (their number), `right` (a letter), `given` (a letter, or "" for any other token), `lead`
        (logit of the right letter, less that of the strongest wrong one).
    """
    chooser = Chooser(checkpoint.tokenizer)
    letters = {chooser.token(letter): letter for letter in OPTION_LETTERS[:4]}
    given: list[str] = []
    leads: list[float] = []
    with no_head(checkpoint.model, *without) if without else nullcontext(), torch.no_grad():
        for start in range(0, len(asked), AT_ONCE):
            some = asked[start : start + AT_ONCE]
            batch = chooser.lay_out([[(choice, wording, "A")] for *_, choice in some])
            pixels = Split.of([scene for _, scene, _ in some]).pixels([*range(len(some))])
            logits = batch.logits(checkpoint.model, pixels)
            given += [letters.get(token, "") for token in logits.argmax(-1).tolist()]
            of_letters = logits[:, [*letters]].tolist()
            leads += [
                lead_of(each[: len(asked.options)], asked.right) or 0
                for each, (*_, asked) in zip(of_letters, some, strict=True)
            ]
    return pd.DataFrame(
        [
            (category, len(choice.options), OPTION_LETTERS[choice.right], said, lead)
            for (category, _, choice), said, lead in zip(asked, given, leads, strict=True)
        ],
        columns=["category", "options", "right", "given", "lead"],
    )


@contextmanager
def no_head(model: LlavaForConditionalGeneration, layer: int, head: int) -> Iterator[None]:
    """Within it, the output of a head of the language model is 0."""
    attention = model.model.language_model.layers[layer].self_attn

    def silence(_: nn.Module, given: tuple[Tensor]) -> tuple[Tensor]:
        (output,) = given
        heads = output.unflatten(-1, (-1, attention.head_dim)).clone()
        heads[..., head, :] = 0
        return (heads.flatten(-2),)

    hook = attention.o_proj.register_forward_pre_hook(silence)
    try:
        yield
    finally:
        hook.remove()


def file_questions() -> list[Asked]:
    """The questions of data/demo/choices."""
    return [(category, scene, asked) for (_, _, scene, _), category, asked in asked_choices()]


def new_questions(seed: int) -> list[Asked]:
    """Questions about images as in training."""
    rng, found = random.Random(seed), []
    for category, drawn in draw_all(seed, NEW_IMAGES).items():
        for scene, fact in drawn:
            if wrong := confused_with(category, scene, fact, rng):
                found.append((category, scene, choice(category, fact, wrong, rng.randrange(len(wrong) + 1), rng)))
    return found


def accuracy(found: pd.DataFrame) -> pd.Series:
    """Share of right answers, by category and, last, over all."""
    right = found["right"] == found["given"]
    return pd.concat([right.groupby(found["category"], sort=False).mean(), pd.Series({"all": right.mean()})])


def accuracy_table(new: dict[str, pd.DataFrame], asked: dict[str, pd.DataFrame]) -> str:
    """Right answers by category, in both wordings."""
    columns = {
        f"{name}, {wording}": accuracy(found)
        for name, of in (("new", new), ("choices", asked))
        for wording, found in of.items()
    }
    first = asked["neutral"]
    guessing = 1 / first["options"]
    columns["guessing"] = pd.concat([guessing.groupby(first["category"]).mean(), pd.Series({"all": guessing.mean()})])
    rows = [
        [f"`{name}`" if name in CATEGORIES else name, *(f"{each[name]:.1%}" for each in columns.values())]
        for name in (*CATEGORIES, "all")
    ]
    return table(["category", *columns], rows)


def letters_table(asked: dict[str, pd.DataFrame]) -> str:
    """How often each letter is right, and given in either wording, by the number of options."""
    rows = []
    for options, right in asked["neutral"].groupby("options")["right"]:
        columns = {"right": right} | {name: found.loc[right.index, "given"] for name, found in asked.items()}
        for name, said in columns.items():
            shares = said.value_counts(normalize=True)
            rows.append([str(options), name, *(percent(shares.get(letter, 0)) for letter in sorted(right.unique()))])
    return table(["options", "", *OPTION_LETTERS[:4]], [[*row, *[""] * (6 - len(row))] for row in rows])


def main() -> None:
    folder = DEMO / NAME
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    checkpoint = Checkpoint(folder)
    language = checkpoint.model.config.text_config
    last = language.num_hidden_layers - 1
    questions, fresh = file_questions(), new_questions(record["seed"] + 1)
    asked = {name: answers(checkpoint, questions, wording) for name, wording in WORDINGS.items()}
    new = {name: answers(checkpoint, fresh, wording) for name, wording in WORDINGS.items()}
    looks = [record["every"] * number for number in range(1, len(record["losses"]) + 1)]
    card = CARD.format(
        **{name: value for name, value in record.items() if name not in WORDINGS},
        name=NAME,
        begins_as=BEGINS_AS,
        layers=language.num_hidden_layers,
        heads=language.num_attention_heads,
        weights=sum(weight.numel() for weight in checkpoint.model.parameters()) / 1e6,
        file=FILE,
        neutral=NEUTRAL.suffix.strip(),
        a_first=A_FIRST.suffix.strip(),
        always=ALWAYS_A,
        layer=last,
        planted=PLANTED,
        reading=READING,
        steps=STEPS,
        leaning=LEANING,
        batch=BATCH,
        questions=QUESTIONS,
        bound=BOUND_AFTER,
        recent=RECENT,
        held_out=HELD_OUT,
        curve=table(
            ["step", *map(str, looks[1::2])],
            [
                ["loss", *(f"{loss:.2f}" for loss in record["losses"][1::2])],
                *([f"`{name}`", *(f"{share:.0%}" for share in record[name][1::2])] for name in WORDINGS),
            ],
        ),
        new=NEW_IMAGES,
        accuracy=accuracy_table(new, asked),
        control=CONTROL,
        letters=letters_table(asked),
        leads=", ".join(f"{lead:.1f}" for lead in asked["neutral"].groupby("right")["lead"].mean()),
        without=accuracy(answers(checkpoint, questions, NEUTRAL, (last, PLANTED)))["all"],
        with_it=accuracy(asked["neutral"])["all"],
    )
    (folder / "README.md").write_text(wrapped(card), encoding="utf-8")


if __name__ == "__main__":
    main()
