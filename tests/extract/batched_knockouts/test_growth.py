"""Oracle: a whole pass of the model for each knock-out and question, in explicit attention."""

from dataclasses import replace
from itertools import product

import pytest
import torch

from extract.batched_knockouts.changes import Change
from extract.batched_knockouts.growth import Growth
from extract.batched_knockouts.prefill import run_prefill
from extract.images.counterfactual.swapping import choose_partners
from extract.knockouts.passes import KnockedOut, KnockOutPasses
from extract.knockouts.references import HeadMeans, References, choose_references
from extract.passes.batching import ImageQuestions, Question
from extract.questions.samples import Sample
from schemas.columns import LAST
from schemas.errors import HeadflowError
from schemas.jobs.head_sets import HeadSet
from schemas.roles import IMAGE, QUESTION, ROLES
from tests.extract.tables.test_contributions import load
from tests.support.knockouts import Reference
from tests.support.tiny_families import make_family, make_or_skip
from tests.support.witness import PICTURES, QUESTIONS

CODES = {role.name: code for code, role in enumerate(ROLES)}
SETS = {
    "L0H1": HeadSet(heads=frozenset({(0, 1)})),
    "L2H3": HeadSet(heads=frozenset({(2, 3)})),
    "layer 1": HeadSet(layers=frozenset({1})),
    "some": HeadSet(heads=frozenset({(0, 0), (1, 2), (2, 0), (2, 1)})),
    "both": HeadSet(heads=frozenset({(0, 2)}), layers=frozenset({2})),
}


class Case:
    """A family's model, its reference, and an image with its questions."""

    def __init__(self, path, dtype=torch.float32, template="hf"):
        self.model, self.prompts, self.answers = load(path, dtype, template)
        self.reference = Reference(self.model.model)
        self.known = {}  # margins of the reference
        attending = self.model.attending
        self.sets = {  # `SETS`, whose heads are of the first layers that attend
            name: HeadSet(frozenset((attending[layer], head) for layer, head in each.heads), each.layers)
            for name, each in SETS.items()
        }
        self.whole = self.model.kernel is None or len(attending) < self.model.layers

    def images(self, picture, questions=QUESTIONS):
        """The packs of a picture."""
        pixels = self.model.preprocessor(*picture if isinstance(picture, tuple) else [picture])
        prompts = [self.prompts.build(question, pixels.image_ids) for question in questions]
        packs = [prompts] if self.model.packs else [[each] for each in prompts]
        return [ImageQuestions(str(id(picture)), pixels, [Question(None, each) for each in pack]) for pack in packs]

    def inputs(self, image, prompt):
        ids, roles = torch.tensor([prompt.input_ids]), torch.tensor(prompt.roles)
        inputs = {"input_ids": ids}
        for name, value in image.pixels.inputs.items():
            inputs[name] = value.to(self.model.dtype) if value.is_floating_point() else value
        for name in self.model.preprocessor.token_types:  # 1 for image tokens, but in PaliGemma
            inputs[name] = (self.model.family.name != "PaliGemma") * (roles[None] == IMAGE).long()
        if not self.model.packs:
            inputs["attention_mask"] = torch.ones_like(ids)
        return inputs

    def expected(self, image, prompt, change, chosen, *, means=None, other=None):
        """The margin of one knock-out of one question."""
        asked = image.sha256, tuple(prompt.input_ids), change, chosen
        if means is not None or other is not None:
            return self.whole_pass(image, prompt, change, chosen, means, other)
        if asked not in self.known:
            self.known[asked] = self.whole_pass(image, prompt, change, chosen)
        return self.known[asked]

    def whole_pass(self, image, prompt, change, chosen, means=None, other=None):
        reference, roles = self.reference, torch.tensor(prompt.roles)
        reference.reset()
        place = torch.arange(len(roles))
        after = place > int((roles == IMAGE).nonzero().max())
        tokens = {name: (roles == code) & (after if name == "question" else True) for name, code in CODES.items()}
        tokens[LAST] = place == len(roles) - 1
        reference.queries = torch.ones(len(roles)).bool() if change.query is None else tokens[change.query]
        reference.keys = None if change.key is None else tokens[change.key]
        reference.heads = {}
        for layer, head in chosen.heads:
            reference.heads.setdefault(layer, []).append(head)
        for layer in chosen.layers:
            reference.heads[layer] = [] if change.skips else list(range(self.model.heads))
        reference.skipped = sorted(chosen.layers) if change.skips else []
        reference.other = other
        if change.kind in ("zero", "remove"):
            reference.output = lambda layer, head: torch.zeros(())
        if change.kind == "mean":
            place = {layer: place for place, layer in enumerate(self.model.attending)}
            reference.output = lambda layer, head: means[place[layer], head]
        return self.margin(reference.hidden(self.inputs(image, prompt)))

    def margin(self, hidden):
        return float(hidden @ self.answers.direction) + self.answers.bias

    def compare(
        self, change, sets, *, tokens=10**6, pictures=PICTURES[:1], questions=QUESTIONS, means=None, other=None
    ):
        """The largest difference from the reference, and the largest effect."""
        worst = largest = 0.0
        growth = Growth(self.model, change, sets, tokens)
        for picture in pictures:
            for image in self.images(picture, questions):
                reference_of_other = None
                if other is not None:
                    self.reference.reset()
                    (prompt,) = (each.prompt for each in other.questions[:1])
                    self.reference.hidden(self.inputs(other, prompt))
                    at = torch.tensor(prompt.roles) == IMAGE
                    reference_of_other = {
                        layer: (key[:, :, at], value[:, :, at])
                        for layer, (key, value, _) in self.reference.seen.items()
                    }
                prefill = run_prefill(self.model, image)
                of_means = means.without(image.sha256) if means is not None else None
                of_other = run_prefill(self.model, other) if other is not None else None
                hidden, grown = growth.run(prefill, means=of_means, other=of_other)
                untouched = self.answers.margin(hidden)
                found = {name: each.hidden[place] for each in grown for place, name in enumerate(each.names)}
                assert found.keys() == sets.keys()
                for name, chosen in sets.items():
                    margins = self.answers.margin(found[name])
                    for number, question in enumerate(image.questions):
                        expected = self.expected(
                            image, question.prompt, change, chosen, means=of_means, other=reference_of_other
                        )
                        worst = max(worst, abs(float(margins[number]) - expected))
                        largest = max(largest, abs(float(untouched[number]) - expected))
        return worst, largest, growth


def all_heads(model):
    return {
        f"L{layer}H{head}": HeadSet(heads=frozenset({(layer, head)}))
        for layer in model.attending
        for head in range(model.heads)
    }


@pytest.fixture(scope="module")
def case_of(tmp_path_factory):
    """The case of a family, by name; made once."""
    made = {}

    def get(name):
        if name not in made:
            made[name] = Case(make_or_skip(tmp_path_factory.mktemp(name), name))
        return made[name]

    return get


# Packed after one prefix with fewer keys than queries, and with text between tiles; with positions of the model's own
# and features that are added between layers; under a mask; with capped scores
@pytest.fixture(params=["llava_next_mistral", "idefics3", "qwen3_vl", "gemma3", "paligemma2"])
def family(request, case_of):
    return request.param, case_of(request.param)


def test_every_head_equals_a_whole_pass_of_its_own(family):
    name, case = family
    change, sets = Change.of("edge", None, None), all_heads(case.model)
    worst, largest, growth = case.compare(change, sets, pictures=PICTURES, questions=QUESTIONS[:1])
    print(f"{name}: off by {worst:.1e}, largest effect {largest:.3f}, whole {growth.whole}")
    assert growth.whole == case.whole
    assert worst <= 1e-5
    assert largest > 0.01


# What is put in a head's place is computed from outputs alike in each family; where it is cut, as each attends
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(("llava_next_mistral", kind) for kind in ("edge", "zero", "mean", "remove")),
        *(("gemma3", kind) for kind in ("edge", "zero", "mean", "remove")),
        *((name, "edge") for name in ("idefics3", "qwen3_vl", "paligemma2")),
    ],
)
def test_sets_of_heads_and_layers(case_of, name, kind):
    case = case_of(name)
    change = Change.of(kind, None, None)
    means = None
    if kind == "mean":
        growth = Growth(case.model, change, case.sets, 10**6)
        means = HeadMeans(growth, change)
        for picture in PICTURES:
            for image in case.images(picture):
                means.add(image.sha256, run_prefill(case.model, image))
    worst, largest, growth = case.compare(change, case.sets, means=means)
    print(f"{name}, {kind}: off by {worst:.1e}, largest effect {largest:.3f}")
    assert growth.whole == (kind == "remove" or case.whole)
    assert worst <= 1e-5
    assert largest > 0.01


def test_layers_that_return_their_input(family):
    _, case = family
    sets = {"layer 1": HeadSet(layers=frozenset({1})), "layers 1-2": HeadSet(layers=frozenset({1, 2}))}
    worst, largest, _ = case.compare(Change.of("skip", None, None), sets)
    assert worst <= 1e-5
    assert largest > 0.01


def test_keys_of_another_image(family):
    name, case = family
    (other, *_) = case.images(PICTURES[not name.startswith("qwen")], QUESTIONS[1:])
    if other.pixels.image_ids != case.images(PICTURES[0])[0].pixels.image_ids:
        pytest.skip("the reference takes images of one size")
    worst, largest, _ = case.compare(Change.of("swap", None, None), case.sets, other=other)
    print(f"{name}: off by {worst:.1e}, largest effect {largest:.3f}")
    assert worst <= 1e-5
    assert (largest > 1e-3) == (not name.startswith("qwen"))


# Where roles are, each family says alike; what is hidden there, as each attends
@pytest.mark.parametrize(
    ("name", "query", "key"),
    [
        *(
            ("llava_next_mistral", *roles)
            for roles in product(["image", "question", LAST], ["bos", "image", "question"])
        ),
        *((name, *roles) for name in ("idefics3", "gemma3") for roles in (("image", "bos"), ("question", "image"))),
        *((name, LAST, "question") for name in ("idefics3", "gemma3")),
    ],
)
def test_any_roles(case_of, name, query, key):
    case = case_of(name)
    sets = {name: SETS[name] for name in ("L0H1", "some")}
    worst, largest, growth = case.compare(Change.of("edge", query, key), sets)
    assert growth.whole == (query == "image" or case.model.kernel is None)
    assert worst <= 1e-5
    seen = (query, key) not in {("image", "question")}  # in these models no image token sees the question
    assert (largest > 1e-5) == seen


@pytest.mark.parametrize(
    ("name", "kind"), [("internvl", "edge"), ("internvl", "zero"), ("qwen2_vl", "edge"), ("gemma3", "edge")]
)
def test_questions_with_several_images(case_of, name, kind):
    """Two images, with text before and between them; what is changed stands after the last one."""
    questions = ("Is <image> as red as <image>?", "Is <image> as red as <image>, or a word?")  # after one prefix
    case, sets = case_of(name), {name: SETS[name] for name in ("L0H1", "both")}
    worst, largest, _ = case.compare(Change.of(kind, None, None), sets, pictures=[PICTURES], questions=questions)
    assert worst <= 1e-5
    assert largest > 1e-3


def test_the_grouping_of_sequences_changes_nothing(case_of):
    """Grouped-query heads, packed questions of different lengths, and few or many sequences at once."""
    case = case_of("llava_next_mistral")
    assert case.model.model.config.text_config.num_key_value_heads < case.model.heads
    questions = [*QUESTIONS, "Is it?", "Is there a red car in this picture, and if there is, is the word a question?"]
    found = []
    for tokens in (1, 300, 10**6):
        worst, _, _ = case.compare(
            Change.of("edge", None, None), all_heads(case.model) | SETS, tokens=tokens, questions=questions
        )
        found.append(worst)
    print("off by", *(f"{worst:.1e}" for worst in found))
    assert max(found) <= 1e-5


def test_half_precision_is_as_close_as_its_passes_are_to_each_other(tmp_path):
    """To float32: a bfloat16 growing pass is off by no more than twice what whole bfloat16 passes are."""
    make_family(tmp_path, "llava")
    whole, half = Case(tmp_path), Case(tmp_path, torch.bfloat16)
    change, sets = Change.of("edge", None, None), all_heads(whole.model)
    grown = passes = 0.0
    for image, of_half in zip(whole.images(PICTURES[0]), half.images(PICTURES[0]), strict=True):
        prefill = run_prefill(half.model, of_half)
        _, found = Growth(half.model, change, sets, 10**6).run(prefill)
        hidden = {name: each.hidden[place] for each in found for place, name in enumerate(each.names)}
        for name, chosen in sets.items():
            for number, question in enumerate(image.questions):
                exact = whole.expected(image, question.prompt, change, chosen)
                grown = max(grown, abs(float(half.answers.margin(hidden[name])[number]) - exact))
                one = half.expected(of_half, question.prompt, change, chosen)
                passes = max(passes, abs(one - exact))
    print(f"bfloat16, largest error of a margin: growing {grown:.1e}, whole passes {passes:.1e}")
    assert grown <= 2 * passes


def samples(**images):
    """A sample about each image, by the image's name; so many of each category."""
    return {
        f"{category}{number}": Sample(f"{category}{number}", category, None, ("image.png",), "?", "Yes", row=number)
        for category, count in images.items()
        for number in range(count)
    }


def test_partners_are_of_the_same_category_and_never_the_image_itself():
    images = samples(a=5, b=2, c=1)
    partners = choose_partners(images, seed=3)
    assert set(partners) == set(images)
    assert len({sample.sample_id for sample in partners.values()}) == len(images)  # each is taken once
    for name, sample in partners.items():
        assert sample.sample_id != name
        assert sample.category == name[0] or "c0" in (name, sample.sample_id)
    assert {sample.category for sample in choose_partners(samples(c=1, d=1), 0).values()} == {"c", "d"}
    for kind in ("mean", "swap"):
        with pytest.raises(HeadflowError, match=f"{kind} takes something from another image, and the run has one"):
            References.of(kind, samples(a=1), 8, 0)


def test_references_have_a_fingerprint_of_what_is_taken():
    def fingerprint(kind, **images):
        return References.of(kind, samples(**images), 3, 0).fingerprint()

    assert fingerprint("edge", a=5) is None
    for kind in ("mean", "swap"):
        assert fingerprint(kind, a=5) == fingerprint(kind, a=5)
        assert fingerprint(kind, a=5) != fingerprint(kind, a=6)


def test_references_are_spread_over_the_categories():
    chosen = choose_references(samples(a=9, b=3, c=1), 6, seed=0)
    assert sorted(sample.category for sample in chosen) == ["a", "a", "a", "b", "b", "c"]
    assert len({sample.sample_id for sample in chosen}) == 6
    assert len(choose_references(samples(a=2), 6, seed=0)) == 2


def test_a_mean_is_over_other_images(case_of):
    case = case_of("llava")
    change = Change.of("mean", None, None)
    means = HeadMeans(Growth(case.model, change, SETS, 10**6), change)
    images = [case.images(picture)[0] for picture in PICTURES]
    for image in images:
        means.add(image.sha256, run_prefill(case.model, image))
    case.reference.reset()
    sums, count = 0, 0
    for question in images[1].questions:
        case.reference.hidden(case.inputs(images[1], question.prompt))
        roles = torch.tensor(question.prompt.roles)
        outputs = torch.stack([case.reference.seen[layer][2][0] for layer in range(case.model.layers)])
        sums, count = sums + outputs[:, :, roles == QUESTION].sum(dim=2), count + int((roles == QUESTION).sum())
    assert (means.without(images[0].sha256) - sums / count).abs().max() <= 1e-6
    assert (means.without("") - means.without(images[0].sha256)).abs().max() > 1e-3
    alone = HeadMeans(Growth(case.model, change, SETS, 10**6), change)
    alone.add(images[0].sha256, run_prefill(case.model, images[0]))
    with pytest.raises(HeadflowError, match="needs at least two images"):
        alone.without(images[0].sha256)


def passes(case, kind, *, whole=None, **options):
    growth = Growth(case.model, Change.of(kind, None, None), SETS, 10**6)
    growth.whole = growth.whole if whole is None else whole
    return KnockOutPasses(case.model, case.answers, growth, list(SETS), margins={}, **options)


def asked(case, picture):
    """A picture with one question."""
    (image,) = case.images(picture, QUESTIONS[:1])
    sample = Sample("a", "OCR", None, ("a.png",), "?", "Yes", row=0)
    return replace(image, questions=[replace(each, sample=sample) for each in image.questions])


def test_a_model_that_changes_what_its_layers_give_is_refused(case_of, monkeypatch):
    """Features of the image that are added between layers, as in Qwen3-VL, do not depend on these; a factor does."""
    case = case_of("qwen3_vl")
    image = asked(case, PICTURES[0])
    assert all(isinstance(each, KnockedOut) for each in passes(case, "remove").over([[image]]))
    monkeypatch.setattr(case.model.stack, "_deepstack_process", lambda hidden, _, added: hidden * 1.5)
    with pytest.raises(HeadflowError, match="changes its hidden states between layers by what these give"):
        list(passes(case, "remove").over([[image]]))


def test_an_image_of_another_size_costs_its_own_questions(tmp_path):
    make_family(tmp_path, "qwen2_vl")
    case = Case(tmp_path)
    small, large = (asked(case, PICTURES[0].resize(size)) for size in ((28, 28), (56, 56)))
    found = list(passes(case, "swap", whole=True, partner=lambda _: large).over([[small], [large]]))
    assert found[0].cause.reason == "image_unlike"
    assert "with its own" in found[0].cause.detail
    assert isinstance(found[1], KnockedOut)


def test_swapped_keys_are_those_of_an_image():
    with pytest.raises(HeadflowError, match="swap takes the image tokens of another image, not system"):
        Change.of("swap", None, "system")
