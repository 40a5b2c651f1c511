"""Oracle: transformers' own `generate` of a family's model with eager attention, one question after another.

It is in float64, but for Gemma 3: its scores are drawn so large that the plain model in float32 is off by 4.1e-6, and
what is observed by 5.01e-6.
"""

import pytest
import torch
from torch.nn.functional import one_hot, pad

from extract.attention.packing import pack
from extract.generation import greedy_decoding as steps_module
from extract.generation.greedy_decoding import Generation, check_generation
from extract.generation.observation import DecodingObservation
from extract.generation.recurrence import RecurrentStates
from extract.models.transfer import Uploader
from schemas.columns import FLOW_NAMES
from schemas.errors import HeadflowError
from schemas.roles import IMAGE
from tests.support.tiny_families import make_or_skip
from tests.support.witness import CPU, PICTURES, QUESTIONS, SHORT, FamilyWitness, hf

STEPS = 6
NOTHING = torch.empty(0, dtype=torch.int64)
ASKED = [(0, QUESTIONS[0]), (0, QUESTIONS[1]), (1, QUESTIONS[0])]
LAST = [FLOW_NAMES.index(name) for name in ("a2bos", "a2sys", "a2user", "a2v", "a2q")]


def expected_steps(reference, read, dtype):
    """Token ids, logits [steps, vocabulary] and masses float64 [steps, layers, heads, 6] of `generate`."""
    model = reference.model(dtype, "eager")
    model.generation_config.eos_token_id = None
    made = model.generate(
        **reference.inputs(read, dtype), do_sample=False, max_new_tokens=STEPS, output_attentions=True,
        output_logits=True, return_dict_in_generate=True, pad_token_id=0,
    )  # fmt: skip
    codes = reference.codes(reference.tokens(read))
    image, across = codes.count(IMAGE), reference.crossing
    roles = torch.tensor([code for code in codes if not across or code != IMAGE] + [len(SHORT)] * STEPS)
    masses = []
    for step, layers in enumerate(made.attentions):
        length = read["input_ids"].shape[1] + step
        rows = [each[0, :, -1].double() for each in layers]
        of_image = [row[:, :image].sum(dim=-1) if layer in across else None for layer, row in enumerate(rows)]
        rows = [pad(row, (max(0, length - row.shape[-1]), 0)) for row in rows]  # a window's are fewer
        on = one_hot(roles[:length], len(SHORT) + 1).double()
        masses.append(
            torch.stack([
                row @ on if image is None else image[:, None] * one_hot(torch.tensor(IMAGE), len(SHORT) + 1)
                for row, image in zip(rows, of_image, strict=True)
            ])
        )  # fmt: skip
    return made.sequences[0, -STEPS:], torch.cat(made.logits).double(), torch.stack(masses)


def generate(model, asked, heads=None, forced=None, ends=NOTHING):
    """What is generated after prompts, `asked` as pairs of an image's pixels and its prompts."""
    batch, inputs = Uploader(CPU, torch.float32).send(
        pack([prompts for _, prompts in asked]), [own for own, _ in asked]
    )
    written = Generation(model, batch, STEPS, heads=heads)
    with written.reading():
        logits, flows, _ = model.forward(batch, inputs, readers=[written.kept])
    steps = list(written.greedy(logits, ends) if forced is None else written.forced(logits, forced))
    first = pad(flows[..., LAST], (0, 1)).flatten(1, 2)
    masses = torch.stack([first, *(step.masses for step in steps[1:])]) if heads is None else None
    return steps, masses


# Those whose new tokens are observed, one of each kind of positions, masks, token types and keys
@pytest.fixture(
    scope="module",
    params=[
        "llava", "llava_next_mistral", "llava_onevision", "qwen2_vl", "idefics3", "internvl", "gemma3", "paligemma2",
        "qwen3_vl", "ernie4_5_vl_moe", "gemma4_small", "mllama", "qwen3_5", "lfm2_vl",
    ],
)  # fmt: skip
def family(request, tmp_path_factory):
    """A family's name, its reference, its model and what writes its prompts."""
    path = make_or_skip(tmp_path_factory.mktemp(request.param), request.param)
    try:
        return request.param, FamilyWitness(path, request.param), *hf(path)
    except HeadflowError as error:
        if "needs torchvision" in str(error):  # as of Gemma 4's processor in transformers 5.17
            pytest.skip(str(error))
        raise


def tokens_of(steps):
    return torch.stack([step.token for step in steps])


def test_tokens_and_masses_are_those_of_generate(family, monkeypatch):
    name, reference, model, prompts = family
    check_generation(model, prompts)
    pixels = [model.preprocessor(image) for image in PICTURES]
    built = [prompts.build(question, pixels[image].image_ids) for image, question in ASKED]
    dtype = torch.float32 if name == "gemma3" else torch.float64
    reads = [reference.read(PICTURES[image], question) for image, question in ASKED]
    expected = [expected_steps(reference, read, dtype) for read in reads]
    tokens, logits, masses = (torch.stack(each, dim=1) for each in zip(*expected, strict=True))
    separate = [(pixels[image], [prompt]) for (image, _), prompt in zip(ASKED, built, strict=True)]
    batches = {"separate": [separate], "alone": [separate[:1]]}
    if model.packs:
        batches["packed, of unlike number"] = [[(pixels[0], built[:2]), (pixels[1], built[2:])]]
    monkeypatch.setattr(steps_module, "_AT_ONCE", 3)
    for how, (asked,) in batches.items():
        number = [list(map(id, built)).index(id(prompt)) for _, group in asked for prompt in group]
        steps, seen = generate(model, asked)
        worst = (seen.unflatten(2, masses.shape[2:4]) - masses[:, number]).abs().max()
        print(f"{name} {how}: masses off by {worst:.1e}")
        assert (tokens_of(steps) == tokens[:, number]).all()
        assert worst <= 5e-6
        assert (seen.sum(dim=-1) - 1).abs().max() <= 1e-5
        again, seen_again = generate(model, asked, forced=tokens[:, number])
        assert (tokens_of(again) == tokens[:, number]).all()
        assert (seen_again - seen).abs().max() <= 5e-6
        for given in (steps, again):
            numbers = torch.stack([torch.stack([step.logprob, step.entropy, step.gap]) for step in given], dim=1)
            assert (numbers - expected_numbers(logits[:, number])).abs().max() <= 2e-5


def expected_numbers(logits):
    """Log-probability, entropy and gap of the likeliest token, float64 [3, steps, questions]."""
    logprobs = logits.log_softmax(dim=-1)
    ordered = logits.sort(dim=-1, descending=True).values
    return torch.stack(
        [logprobs.amax(dim=-1), -(logprobs.exp() * logprobs).sum(dim=-1), ordered[..., 0] - ordered[..., 1]]
    )


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A model, and two images with two questions each."""
    path = make_or_skip(tmp_path_factory.mktemp("model"), "llava_next")
    model, prompts = hf(path)
    pixels = [model.preprocessor(image) for image in PICTURES]
    return model, [(each, [prompts.build(question, each.image_ids) for question in QUESTIONS]) for each in pixels]


def test_a_batch_stops_when_its_last_text_has_ended(asked):
    tokens = tokens_of(generate(*asked)[0])
    assert (tokens[:, :1] != tokens[:, 1:]).any()
    ends = tokens[[1, 2, 3, 4], range(4)].unique()
    first = max(int(torch.isin(column, ends).nonzero()[0]) for column in tokens.T)
    steps, _ = generate(*asked, ends=ends)
    assert (tokens_of(steps) == tokens[: first + 1]).all()
    assert first + 1 < STEPS


def test_the_numbers_of_a_token_that_is_not_the_likeliest(asked):
    steps, _ = generate(*asked)
    forced = tokens_of(steps)
    forced[0] = 7
    step = generate(*asked, forced=forced)[0][0]
    assert step.token.tolist() == [7] * 4
    assert (step.gap < 0).all()
    assert (step.entropy == steps[0].entropy).all()
    assert (step.logprob < steps[0].logprob).all()


def test_the_masses_of_some_heads(asked):
    chosen = [torch.tensor([2]), torch.tensor([], dtype=torch.int64), torch.tensor([0, 3])]
    whole, some = (generate(*asked, heads=heads)[0][-1].masses for heads in (None, chosen))
    assert (some == whole[:, [2, 8, 11]]).all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"layer_types": ["full_attention", "linear_attention"]}, "linear_attention"),
        ({"attention_chunk_size": 64}, "chunked_attention"),
    ],
)
def test_attention_that_cannot_be_followed_is_refused(asked, monkeypatch, changes, said):
    model, _ = asked
    model.check_decoding()
    for name, value in changes.items():
        monkeypatch.setattr(model.model.config.text_config, name, value, raising=False)
    with pytest.raises(HeadflowError, match=f"has layers of {said}"):
        model.check_decoding()


@pytest.mark.parametrize("name", ["qwen2_vl", "gemma3", "qwen3_5"])
def test_a_model_that_reads_new_tokens_otherwise_is_refused(tmp_path, monkeypatch, name):
    """Positions of Qwen's that go on from the length of the prompt; a window of Gemma's that is not passed on; padding
    in the state of linear attention.
    """
    model, prompts = hf(make_or_skip(tmp_path, name))
    check_generation(model, prompts)
    if name == "qwen2_vl":
        monkeypatch.setattr(Generation, "_see", lambda *_: None)
    elif name == "qwen3_5":
        monkeypatch.setattr(RecurrentStates, "_without_padding", RecurrentStates._with_states)
        monkeypatch.setattr(RecurrentStates, "_as_they_stood", lambda *_: None)
    else:
        monkeypatch.setattr(DecodingObservation, "_seen_in", lambda self, _: self._seen[None])
    with pytest.raises(
        HeadflowError, match=r"writes something else when it is observed \(its logits differ by"
    ) as error:
        check_generation(model, prompts)
    assert error.value.setting == "generate"


def test_a_model_whose_own_generation_fails_is_refused(tmp_path, monkeypatch):
    model, prompts = hf(make_or_skip(tmp_path, "llava_next"))
    monkeypatch.setattr(type(model.model), "generate", None)
    with pytest.raises(HeadflowError, match="the model's own generation fails: 'NoneType' object is not callable"):
        check_generation(model, prompts)
