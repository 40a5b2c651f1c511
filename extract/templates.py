"""The one place that knows conversation templates: the text around the image, as LLaVA's own package writes it.

Source of the texts: `llava/conversation.py` of github.com/haotian-liu/LLaVA.
"""

from dataclasses import dataclass

from schemas.errors import HeadflowError

IMAGE_PLACEHOLDER = "<image>"
MME_SUFFIX = "\nAnswer the question using a single word or phrase."


@dataclass(frozen=True)
class Template:
    """A conversation template of the style "two separators": `SYSTEM USER: message ASSISTANT:`."""

    name: str
    system: str
    user: str
    assistant: str
    separator: str

    @property
    def system_text(self) -> str:
        """The system message and the separator that ends it: what the role `system` covers."""
        return self.system + self.separator

    def prompt(self, message: str) -> str:
        """The prompt that asks `message` and leaves the assistant's turn open."""
        return f"{self.system_text}{self.user}: {message}{self.separator}{self.assistant}:"


TEMPLATES = {
    template.name: template
    for template in (
        Template(
            name="vicuna_v1",
            system="A chat between a curious user and an artificial intelligence assistant. "
            "The assistant gives helpful, detailed, and polite answers to the user's questions.",
            user="USER",
            assistant="ASSISTANT",
            separator=" ",
        ),
    )
}


def find_template(name: str) -> Template:
    """The template of a `--conv-mode`; raises `HeadflowError` where there is none of that name."""
    if name not in TEMPLATES:
        raise HeadflowError(f"--conv-mode {name} is not known; choose one of {', '.join(TEMPLATES)}")
    return TEMPLATES[name]
