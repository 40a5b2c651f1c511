"""A checkpoint's own chat template: the text of a prompt around the image's placeholder (`--conv-mode hf`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from extract.prompts.templates import CHAT, Written
from schemas.errors import HeadflowError
from schemas.text import one_line

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class ChatTemplate:
    """A chat template in Jinja, as `transformers` renders it.

    Attributes:
        template: its text.
        placeholder: the special token that the template writes where the image is.
    """

    tokenizer: "PreTrainedTokenizerBase"
    template: str
    placeholder: str
    name: str = CHAT

    @cached_property
    def placeholder_id(self) -> int:
        """The placeholder's token."""
        return int(self.tokenizer.convert_tokens_to_ids(self.placeholder))

    @cached_property
    def special_ids(self) -> frozenset[int]:
        """The tokens that never merge into text beside them."""
        return frozenset(self.tokenizer.added_tokens_decoder)

    def encode(self, text: str) -> list[int]:
        """Text -> token ids, with the special tokens that the tokenizer adds, but never a second BOS."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=not self.has_bos(text)).input_ids
        return ids

    def has_bos(self, text: str) -> bool:
        """Whether a text brings its BOS with it."""
        return self.tokenizer.bos_token is not None and text.startswith(self.tokenizer.bos_token)

    def decode(self, ids: Sequence[int]) -> str:
        """Token ids -> text."""
        return str(self.tokenizer.decode(list(ids)))

    def write(self, message: str) -> Written:
        """The prompt that asks `message` about an image and leaves the assistant's turn open.

        Raises:
            HeadflowError: the template fails, or writes the placeholder not once.
        """
        text = self._render([_user(message, image=True)], add_generation_prompt=True)
        if text.count(self.placeholder) != 1:
            found = text.count(self.placeholder)
            raise HeadflowError(f"the checkpoint's chat template writes {self.placeholder} {found} times, not once")
        opening = str(self.tokenizer.bos_token) if self.has_bos(text) else ""
        before = text[: text.index(self.placeholder)]
        end = max(before.rfind(self._header) if self._header else 0, len(opening))
        return Written(opening, text[len(opening) : end], text[end:])

    @cached_property
    def _header(self) -> str:
        """What opens a user's turn: it stands between an earlier turn of the assistant and the user's next words.

        What comes before the first one is the system message. Empty where the template takes no earlier turns.
        """
        earlier = [_user("first", image=True), {"role": "assistant", "content": [{"type": "text", "text": "reply"}]}]
        try:
            past, whole = self._render(earlier), self._render([*earlier, _user("second")])
        except HeadflowError:
            return ""
        _, _, turn = whole.partition(past)
        return turn.partition("second")[0].rstrip()

    def _render(self, messages: list[dict[str, Any]], **options: bool) -> str:
        try:
            return str(
                self.tokenizer.apply_chat_template(messages, chat_template=self.template, tokenize=False, **options)
            )
        except Exception as error:  # a template raises anything
            raise HeadflowError(f"the checkpoint's chat template fails: {one_line(error)[:300]}") from error


def _user(text: str, *, image: bool = False) -> dict[str, Any]:
    """A turn of the user's."""
    picture = [{"type": "image"}] if image else []
    return {"role": "user", "content": [*picture, {"type": "text", "text": text}]}
