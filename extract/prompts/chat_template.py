"""A checkpoint's own chat template: the text of a prompt around the image's placeholder (template name `hf`)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from extract.prompts.conversation_templates import CHAT, IMAGE_PLACEHOLDER, PromptText
from schemas.errors import HeadflowError
from schemas.text import one_line

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

REPLY = {"role": "assistant", "content": [{"type": "text", "text": "reply"}]}


@dataclass(frozen=True)
class ChatTemplate:
    """A chat template in Jinja, as `transformers` renders it.

    Attributes:
        template: its text.
        placeholder: the special token that the template writes in the image's place.
        system: a message that goes before the user's; None: what the template writes by itself, if anything.
        ending: what the checkpoint's processor writes after any prompt, beside the template.
    """

    tokenizer: "PreTrainedTokenizerBase"
    template: str
    placeholder: str
    name: str = CHAT
    system: str | None = None
    ending: str = ""

    @cached_property
    def placeholder_id(self) -> int | None:
        """The id of the placeholder's token; None if it is not one token."""
        found: int | None = self.tokenizer.convert_tokens_to_ids(self.placeholder)
        return found

    @cached_property
    def special_ids(self) -> frozenset[int]:
        """The ids of tokens that never merge into text beside them."""
        return frozenset(self.tokenizer.added_tokens_decoder)

    def encode(self, text: str) -> list[int]:
        """Text -> token ids, with the special tokens that the tokenizer adds, but never a second BOS."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=not self.has_bos(text)).input_ids
        return ids

    def has_bos(self, text: str) -> bool:
        """Whether a text begins with BOS."""
        return self.tokenizer.bos_token is not None and text.startswith(self.tokenizer.bos_token)

    def decode(self, ids: Sequence[int]) -> str:
        """Token ids -> text."""
        return str(self.tokenizer.decode(list(ids)))

    def with_system(self, text: str) -> "ChatTemplate":
        """The template with a system message.

        Raises:
            HeadflowError: the template does not write it.
        """
        template = replace(self, system=text)
        if text.strip() not in template.render("first").system:
            raise HeadflowError("the checkpoint's chat template writes no system message", setting="prompts")
        return template

    def render(self, message: str, images: int = 1) -> PromptText:
        """The prompt that asks `message` about images, up to where the assistant's reply begins.

        Args:
            message: with `<image>` where one of several images stands; the others stand before it.
            images: how many there are.

        Raises:
            HeadflowError: the template fails, or does not write the placeholder once for each image.
        """
        parts = _parts(message, images)
        text = self._apply([{"role": "user", "content": parts}], add_generation_prompt=True)
        if not self._keeps_order(text, parts):  # LLaVA's templates put images first, and text with placeholders after
            inline = message.replace(IMAGE_PLACEHOLDER, self.placeholder)
            leading = [part for part in parts if part["type"] == "image"][message.count(IMAGE_PLACEHOLDER) :]
            content = [*leading, {"type": "text", "text": inline}]
            text = self._apply([{"role": "user", "content": content}], add_generation_prompt=True)
            if images > 1 and not self._keeps_order(text, parts):
                raise HeadflowError("the checkpoint's chat template does not keep the places of images in a message")
        if text.count(self.placeholder) != images:
            found, wanted = text.count(self.placeholder), "once" if images == 1 else str(images)
            raise HeadflowError(
                f"the checkpoint's chat template writes {self.placeholder} {found} times, not {wanted}, and "
                "that is the image token of its processor_config.json or tokenizer_config.json"
            )
        opening = str(self.tokenizer.bos_token) if self.has_bos(text) else ""
        before = text[: text.index(self.placeholder)]
        end = max(before.rfind(self._user_header) if self._user_header else 0, len(opening))
        return PromptText(opening, text[len(opening) : end], text[end:] + self.ending)

    def _keeps_order(self, text: str, parts: Sequence[dict[str, Any]]) -> bool:
        """Whether the images stand in a prompt where they stand among the parts of a message."""
        for part in parts:
            wanted = self.placeholder if part["type"] == "image" else part["text"].strip()
            before, _, text = text.partition(wanted) if wanted else ("", "", text)
            if self.placeholder in before:
                return False
        return self.placeholder not in text

    def reply(self, text: str) -> str:
        """What stands after the prompt if the assistant replies `text`: it and what the template writes before it."""
        return self._before_reply + text

    @cached_property
    def _before_reply(self) -> str:
        """The white space that the template writes between a prompt and the reply.

        Empty if it writes anything else there, such as the assistant's thoughts, or takes no replies.
        """
        message = _user_message("first", images=1)
        try:
            prompt, whole = self._apply([message], add_generation_prompt=True), self._apply([message, REPLY])
        except HeadflowError:
            return ""
        before, found, _ = whole.removeprefix(prompt).partition("reply")
        return before if found and whole.startswith(prompt) and not before.strip() else ""

    @cached_property
    def _user_header(self) -> str:
        """What the template writes before a user's message, such as `<|im_start|>user`.

        It is the text between an earlier reply of the assistant and the next message. What comes before the first one
        is the system message. Empty if the template takes no earlier messages.
        """
        earlier = [_user_message("first", images=1), REPLY]
        try:
            past, whole = self._apply(earlier), self._apply([*earlier, _user_message("second")])
        except HeadflowError:
            return ""
        _, _, following = whole.partition(past)
        return following.partition("second")[0].rstrip()

    def _apply(self, messages: list[dict[str, Any]], **options: bool) -> str:
        text = {"type": "text", "text": self.system}
        system = [] if self.system is None else [{"role": "system", "content": [text]}]
        try:
            return str(
                self.tokenizer.apply_chat_template(
                    [*system, *messages], chat_template=self.template, tokenize=False, **options
                )
            )
        except Exception as error:  # a template raises anything
            raise HeadflowError(f"the checkpoint's chat template fails: {one_line(error)[:300]}") from error


def _user_message(text: str, *, images: int = 0) -> dict[str, Any]:
    """A user's message in the form that chat templates take."""
    return {"role": "user", "content": _parts(text, images)}


def _parts(message: str, images: int) -> list[dict[str, Any]]:
    """The parts of a message: images that it does not place, then texts and images in its order."""
    first, *others = message.split(IMAGE_PLACEHOLDER) if images > 1 else [message]
    image: dict[str, Any] = {"type": "image"}
    parts: list[dict[str, Any]] = [image] * (images - len(others))
    parts += [{"type": "text", "text": first}] if first or not others else []
    for text in others:
        parts += [image, {"type": "text", "text": text}] if text else [image]
    return parts
