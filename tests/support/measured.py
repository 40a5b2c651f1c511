"""What a family's numbers are off by, against its model in eager attention and float64, fed by its own processor.

One pass of that model for each question gives attention, what is added to the last token, and logits; a pass in
explicit attention of its own (`tests.support.knockouts`) gives each knock-out.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image

from extract.attention.packing import pack
from extract.attention.readers import read_pass
from extract.batched_knockouts.changes import Change
from extract.batched_knockouts.growth import Growth
from extract.knockouts.passes import KnockedOut, KnockOutPasses
from extract.models.answers import AnswerReader
from extract.models.self_check import check_observation
from extract.passes.batching import ImageQuestions, Question
from extract.prompts.prompt_builder import Prompts
from extract.questions.samples import Sample
from extract.tables.map_reader import LISTS
from extract.tables.maps import MapMaker
from extract.tables.residual import OF_SAMPLE, ResidualMaker
from schemas.columns import CONTRIBUTIONS, FLOW_NAMES, LAYER_COLUMNS, LAYERS, MAPS, OF_LAST
from schemas.errors import HeadflowError
from schemas.jobs.head_sets import HeadSet
from tests.support.eager_partition import EagerPartition, Partition
from tests.support.eager_reference import reduce
from tests.support.knockouts import Reference
from tests.support.maps import VALUES, describe, lay
from tests.support.places import find_patches
from tests.support.witness import PICTURES, QUESTIONS, SHORT, FamilyWitness, hf

ASKED = ((0, 0), (0, 1), (1, 0))  # pictures and their questions
HEAD = 1, 2  # the head that is removed
GREY = Image.new("RGB", (160, 280), (90, 90, 90))  # its patches are painted
MLP = [column.name for column in LAYER_COLUMNS].index("d_mlp")
REMOVED, CUT = "head removed", "image cut"


@dataclass
class Measured:
    """A family, measured.

    Attributes:
        attention: how it is computed and observed; `packs`: whether questions stand after one prefix.
        errors: the largest one by what is measured: absolute, or of the margin where that is above 1.
        effects: of the knock-outs, on the margin; `spread`: of the last token's attention to the image, over heads.
        refused: the line that says why something is not offered, by what it is.
    """

    attention: str = ""
    packs: bool = False
    spread: float = 0.0
    errors: dict[str, float] = field(default_factory=dict)
    effects: dict[str, float] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def note(self, what: str, error: float) -> None:
        """Keep an error if it is the largest."""
        self.errors[what] = max(self.errors.get(what, 0.0), float(error))

    def offered(self, what: str, made: Callable[[], Any]) -> Any:
        """What `made` returns; None if it is refused."""
        try:
            return made()
        except HeadflowError as error:
            self.refused[what] = str(error)
            return None


class FamilyCase:
    """A family's model, and the questions that it is asked."""

    def __init__(self, path, name):
        self.witness = FamilyWitness(path, name)
        self.eager = EagerPartition(self.witness.model(torch.float64, "eager"), self.witness.recipe.norms)
        model, self.prompts = hf(path)
        self.model = check_observation(model, self.prompts, images=3)
        tokens = self.model.prompt_format.answer_tokens(Prompts({None: self.prompts}), ["Yes", "No"])
        self.answers = AnswerReader.of(self.model, tokens)
        self.pixels = [self.model.preprocessor(image) for image in PICTURES]

    def asked(self):
        """Pixels with their prompts, as the model takes them: after one prefix, or each in a sequence."""
        built = [(each, self.prompts.build(QUESTIONS[q], self.pixels[each].image_ids)) for each, q in ASKED]
        if not self.model.packs:
            return [(self.pixels[number], [prompt]) for number, prompt in built]
        groups = [[prompt for number, prompt in built if number == place] for place in range(len(PICTURES))]
        return list(zip(self.pixels, groups, strict=True))

    def measure(self) -> Measured:
        """All of it."""
        found = Measured(self.model.kernel_description, self.model.packs)
        residual = found.offered("contributions", self.residual_maker)
        maps = found.offered("maps", lambda: MapMaker(self.model, OF_LAST, ()))
        makers = [maker for maker in (residual, maps) if maker is not None]
        asked = self.asked()
        batch, inputs = self.model.uploader.send(pack([each for _, each in asked]), [pixels for pixels, _ in asked])
        readers = [maker.begin(batch, [pixels for pixels, _ in asked]) for maker in makers]
        (logits, flows, hidden), made = read_pass(self.model.forward, batch, inputs, readers)
        margins = self.answers.margin(hidden)
        for number, (picture, question) in enumerate(ASKED):
            read = self.witness.read(PICTURES[picture], QUESTIONS[question])
            roles = self.check_tokens(picture, question, read)
            eager = self.eager.run(read, roles, self.direction)
            expected = reduce(eager.attention, roles)
            for flow in self.model.flows:
                column = FLOW_NAMES.index(flow)
                found.note("masses", np.abs(flows[number, ..., column].numpy() - expected[flow]).max())
            found.spread = max(found.spread, float(np.ptp(expected["a2v"])))
            ever = eager.logits > torch.finfo(eager.logits.dtype).min  # Chameleon never writes tokens of images
            assert (logits[number][~ever] == torch.finfo(logits.dtype).min).all()
            found.note("logits", (logits[number] - eager.logits)[ever].abs().max())
            found.note("margin", abs(float(margins[number]) - eager.margin))
            of_question = {name: each[number] for name, each in made.items()}
            if residual is not None:
                note_parts(found, of_question, eager)
            if maps is not None:
                note_maps(found, of_question, eager.attention, roles, maps.places(self.pixels[picture])[0], picture)
        if maps is not None:
            find_patches(self.model, self.prompts, GREY, some=True)
        self.knock_out(found, REMOVED, Change.of("remove", None, None), HeadSet(heads=frozenset({HEAD})))
        every = HeadSet(layers=frozenset(range(self.model.layers)))
        self.knock_out(found, CUT, Change.of("edge", "question", "image"), every)
        return found

    def residual_maker(self) -> ResidualMaker:
        """What makes contributions and layer profile, checked as before a run."""
        maker = ResidualMaker(self.model, self.answers, (CONTRIBUTIONS, LAYERS))
        maker.check(self.prompts)
        return maker

    @property
    def direction(self) -> torch.Tensor:
        yes, no = (self.eager.unembedding[token] for token in self.answers.tokens.ids)
        return yes - no

    def check_tokens(self, picture, question, read):
        """The roles of a prompt, which is that of the family's own processor."""
        prompt = self.prompts.build(QUESTIONS[question], self.pixels[picture].image_ids)
        assert prompt.input_ids == self.witness.tokens(read)
        roles = self.witness.roles(prompt.input_ids)
        assert [SHORT[role] for role in prompt.roles] == roles
        return roles

    def knock_out(self, found, what, change, chosen):
        """Measure one knock-out of the first question."""
        (pixels, (prompt, *_)), *_ = self.asked()
        sample = Sample("a", "OCR", None, ("a.png",), QUESTIONS[0], "Yes", row=0)
        image = ImageQuestions("", pixels, [Question(sample, prompt)])
        growth = Growth(self.model, change, {what: chosen}, 10**6)
        passes = KnockOutPasses(self.model, self.answers, growth, [what], margins={})
        outcome = found.offered(what, lambda: next(iter(passes.over([[image]]))))
        if outcome is None:
            return
        assert isinstance(outcome, KnockedOut), outcome
        ((margin,), (untouched,)) = outcome.rows["margin"], outcome.rows["margin_untouched"]
        read = self.witness.read(PICTURES[0], QUESTIONS[0])
        roles = np.array(self.witness.roles(self.witness.tokens(read)))
        after, across = np.arange(len(roles)) > np.flatnonzero(roles == "v").max(), self.witness.crossing
        keys = torch.tensor(roles == "v")
        if across:  # the image's keys are all that is read there, and the rows are those of text
            roles, after, keys = roles[roles != "v"], after[roles != "v"], torch.ones(prompt.crossing).bool()
        reference = Reference(self.eager.model)
        if change.key is None:
            reference.heads, reference.queries = {HEAD[0]: [HEAD[1]]}, torch.ones(len(roles)).bool()
            reference.output = lambda layer, head: torch.zeros((), dtype=torch.float64)
        else:
            reference.heads = dict.fromkeys(across or range(self.model.layers), range(self.model.heads))
            reference.queries, reference.keys = torch.tensor(after), keys
        expected = float(reference.hidden(self.witness.inputs(read, torch.float64)) @ self.direction)
        found.note(what, abs(margin - expected))
        found.effects[what] = abs(untouched - expected)


def note_parts(found: Measured, made: dict[str, torch.Tensor], eager: Partition) -> None:
    """Note the errors of contributions and of the layer profile."""
    size = max(1, abs(eager.margin))
    found.note("contributions", np.abs(made[CONTRIBUTIONS].numpy() - eager.heads).max() / size)
    layers = np.abs(made[LAYERS].numpy() - eager.profile)
    assert (np.isnan(layers) == np.isnan(eager.profile)).all()
    found.note("layers", np.nanmax(layers) / size)
    parts = [eager.embedding, eager.heads.sum(), eager.mixer, eager.profile[:, MLP].sum(), 0, 0]
    found.note("contributions", np.abs(made[OF_SAMPLE].numpy() - parts).max() / size)


def note_maps(found, made, attention, roles, places, picture) -> None:
    """Note the errors of the last token's maps: of what lies where, and of the numbers where there is enough of it."""
    grid, rest = lay(attention[:, :, -1][..., np.array(roles) == "v"], places)
    numbers, drawn = describe(grid, rest, np.zeros_like(rest), places.box, PICTURES[picture].size)
    own = made[LISTS][0, :, : drawn.shape[-1]].numpy()
    if len(own) < drawn.shape[0] * drawn.shape[1]:  # only layers that read the image have maps
        drawn = drawn[drawn.any(axis=(1, 2))]
    found.note("maps", np.abs(own.reshape(drawn.shape) - drawn).max())
    known = numbers[..., VALUES.index("mass")] > 1e-6  # of less, shares are rounding
    for column, name in enumerate(VALUES):
        if name != "sink":
            found.note("maps", np.abs(made[MAPS][0, ..., column].numpy() - numbers[..., column])[known].max(initial=0))
