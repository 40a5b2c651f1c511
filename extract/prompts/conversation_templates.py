"""Conversation templates: the text around the image, as LLaVA's own package writes it.

Source of the texts, of how they are put together and of `_CHOICE`: `llava/conversation.py` and
`llava/eval/run_llava.py` of github.com/haotian-liu/LLaVA.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from schemas.errors import HeadflowError
from schemas.text import not_one_of

IMAGE_PLACEHOLDER = "<image>"
# Names of templates: chosen by the model's name, the checkpoint's own (`extract.prompts.chat_template`), and Vicuna's
BY_NAME, CHAT, VICUNA = "auto", "hf", "vicuna_v1"
MISTRAL = "mistral_instruct"
MPT_SYSTEM = "<|im_start|>system\n"  # begins the system message in the style MPT


@dataclass(frozen=True)
class PromptText:
    """The text of a prompt, in three parts.

    Attributes:
        opening: what stands before the system message.
        system: the system message and the separator that ends it: the text of the role `system`.
        rest: the user's message, and what opens the assistant's reply.
    """

    opening: str
    system: str
    rest: str

    @property
    def text(self) -> str:
        """The whole prompt."""
        return self.opening + self.system + self.rest


@dataclass(frozen=True)
class Template:
    """A conversation template.

    Attributes:
        style: how the parts are put together, `(template, message) -> PromptText`.
        user: what names the user before a message; `assistant` too.
        separator: ends the system message and the user's messages.
        example: text of an example conversation that comes before the user's message.
    """

    name: str
    style: Callable[["Template", str], PromptText]
    system: str = ""
    user: str = ""
    assistant: str = ""
    separator: str = ""
    example: str = ""

    def render(self, message: str) -> PromptText:
        """The prompt that asks `message`, up to where the assistant's reply begins."""
        return self.style(self, message)

    def with_system(self, text: str) -> "Template":
        """The template with another system message."""
        return replace(self, system=(MPT_SYSTEM if self.system.startswith(MPT_SYSTEM) else "") + text)

    def reply(self, text: str) -> str:
        """What stands after the prompt if the assistant replies `text`: it and what the template writes before it."""
        return _BEFORE_REPLY[self.style] + text


def _single_style(template: Template, message: str) -> PromptText:
    """`SYSTEM USER: message ASSISTANT:`; the package's styles SINGLE and TWO, which differ in later messages only."""
    exchange = f"{template.user}: {message}{template.separator}{template.assistant}:"
    return PromptText("", template.system + template.separator, template.example + exchange)


def _mpt_style(template: Template, message: str) -> PromptText:
    """Messages that begin with a marker, such as `<|im_start|>user`; the package's style MPT."""
    exchange = f"{template.user}{message}{template.separator}{template.assistant}"
    return PromptText("", template.system + template.separator, exchange)


def _llama_2_style(template: Template, message: str) -> PromptText:
    """The system message inside the user's message; the package's style LLAMA_2."""
    system = f"<<SYS>>\n{template.system}\n<</SYS>>\n\n" if template.system else ""
    return PromptText("[INST] ", system, f"{message} [/INST]")


def _plain_style(template: Template, message: str) -> PromptText:
    """Nothing but the message; the package's style PLAIN."""
    return PromptText("", template.system, message + template.separator)


_BEFORE_REPLY: dict[Callable[[Template, str], PromptText], str] = {
    _single_style: " ",
    _mpt_style: "",
    _llama_2_style: " ",
    _plain_style: "",
}

_POLITE = "The assistant gives helpful, detailed, and polite answers to the {}'s questions."
_HUMAN = "A chat between a curious human and an artificial intelligence assistant. " + _POLITE.format("human")
_USER = "A chat between a curious user and an artificial intelligence assistant. " + _POLITE.format("user")
_TAGGED = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant is able to understand the visual content that the user provides, "
    "and assist the user with a variety of tasks using natural language."
    "The visual content will be provided with the following format: <Image>visual content</Image>."
)
_LLAMA_2 = (
    "You are a helpful, respectful and honest assistant. Always answer as helpfully as possible, while being safe.  "
    "Your answers should not include any harmful, unethical, racist, sexist, toxic, dangerous, or illegal content. "
    "Please ensure that your responses are socially unbiased and positive in nature.\n\n"
    "If a question does not make any sense, or is not factually coherent, explain why instead of answering something "
    "not correct. If you don't know the answer to a question, please don't share false information."
)
_LLAVA_LLAMA_2 = (
    "You are a helpful language and vision assistant. "
    "You are able to understand the visual content that the user provides, "
    "and assist the user with a variety of tasks using natural language."
)
_MPT = (
    MPT_SYSTEM
    + "A conversation between a user and an LLM-based AI assistant. The assistant gives helpful and honest answers."
)
_RENEWABLE = (
    "Human: What are the key differences between renewable and non-renewable energy sources?###"
    "Assistant: Renewable energy sources are those that can be replenished naturally in a relatively "
    "short amount of time, such as solar, wind, hydro, geothermal, and biomass. "
    "Non-renewable energy sources, on the other hand, are finite and will eventually be "
    "depleted, such as coal, oil, and natural gas. Here are some key differences between "
    "renewable and non-renewable energy sources:\n"
    "1. Availability: Renewable energy sources are virtually inexhaustible, while non-renewable "
    "energy sources are finite and will eventually run out.\n"
    "2. Environmental impact: Renewable energy sources have a much lower environmental impact "
    "than non-renewable sources, which can lead to air and water pollution, greenhouse gas emissions, "
    "and other negative effects.\n"
    "3. Cost: Renewable energy sources can be more expensive to initially set up, but they typically "
    "have lower operational costs than non-renewable sources.\n"
    "4. Reliability: Renewable energy sources are often more reliable and can be used in more remote "
    "locations than non-renewable sources.\n"
    "5. Flexibility: Renewable energy sources are often more flexible and can be adapted to different "
    "situations and needs, while non-renewable sources are more rigid and inflexible.\n"
    "6. Sustainability: Renewable energy sources are more sustainable over the long term, while "
    "non-renewable sources are not, and their depletion can lead to economic and social instability.\n###"
)
_CHATML = ("<|im_start|>user\n", "<|im_start|>assistant\n", "<|im_end|>")

#     name, style, system, user, assistant, separator, example
_TABLE: tuple[tuple[Any, ...], ...] = (
    ("vicuna_v1", _single_style, _USER, "USER", "ASSISTANT", " "),
    ("v1", _single_style, _USER, "USER", "ASSISTANT", " "),
    ("llava_v1", _single_style, _HUMAN, "USER", "ASSISTANT", " "),
    ("v1_mmtag", _single_style, _TAGGED, "USER", "ASSISTANT", " "),
    ("default", _single_style, _HUMAN, "Human", "Assistant", "###", _RENEWABLE),
    ("v0", _single_style, _HUMAN, "Human", "Assistant", "###", _RENEWABLE),
    ("llava_v0", _single_style, _HUMAN, "Human", "Assistant", "###"),
    ("v0_mmtag", _single_style, _TAGGED, "Human", "Assistant", "###"),
    ("llama_2", _llama_2_style, _LLAMA_2, "USER", "ASSISTANT", "<s>"),
    ("llava_llama_2", _llama_2_style, _LLAVA_LLAMA_2, "USER", "ASSISTANT", "<s>"),
    (MISTRAL, _llama_2_style, "", "USER", "ASSISTANT", ""),
    ("chatml_direct", _mpt_style, MPT_SYSTEM + "Answer the questions.", *_CHATML),
    ("mistral_direct", _mpt_style, MPT_SYSTEM + "Answer the questions.", *_CHATML),
    ("mpt", _mpt_style, _MPT, *_CHATML),
    ("plain", _plain_style, "", "", "", "\n"),
    ("v0_plain", _plain_style, "", "", "", "\n"),
)
TEMPLATES = {name: Template(name, *values) for name, *values in _TABLE}

# The first of these that is part of the model's name decides; the last one is part of every name
_OTHER_LANGUAGE_MODELS = (
    ("llama-2", "llava_llama_2"),
    ("mistral", MISTRAL),
    ("v1.6-34b", "chatml_direct"),
)
_CHOICE = (
    *_OTHER_LANGUAGE_MODELS,
    ("v1", "llava_v1"),
    ("mpt", "mpt"),
    ("", "llava_v0"),
)


def find_template(name: str, model_path: str = "") -> Template:
    """The template of a name; `auto` is the one that LLaVA's own command chooses by the model's name.

    Raises:
        HeadflowError: there is none of that name.
    """
    if name == BY_NAME:
        model_name = get_model_name(model_path).lower()
        name = next(template for part, template in _CHOICE if part in model_name)
    if name not in TEMPLATES:
        raise HeadflowError(not_one_of(name, [CHAT, BY_NAME, *TEMPLATES]), setting="conv_mode")
    return TEMPLATES[name]


def choose_default(model_path: str, *, mistral: bool = False) -> str:
    """The name of the template of a LLaVA as released, if the user names none.

    A model that stands on another language model than Vicuna has the template that LLaVA's own command chooses. All
    others have Vicuna's, as in LLaVA's own evaluation.

    Args:
        mistral: whether the language model is a Mistral, whatever the name says.
    """
    name = get_model_name(model_path).lower()
    return MISTRAL if mistral else next((template for part, template in _OTHER_LANGUAGE_MODELS if part in name), VICUNA)


def get_model_name(model_path: str) -> str:
    """The model's name in its path: the last part, or the last two if the last one is a training checkpoint's."""
    *_, parent, last = ["", *model_path.strip("/").split("/")]
    return f"{parent}_{last}" if last.startswith("checkpoint-") else last
