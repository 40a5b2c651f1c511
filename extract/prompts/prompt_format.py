"""What prompts for a checkpoint are made of: its tokenizer, its templates, the tokens that stand for an image."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from extract.prompts.chat_template import ChatTemplate
from extract.prompts.conversation_templates import CHAT, IMAGE_PLACEHOLDER, VICUNA, Template, find_template
from extract.prompts.prompt_builder import DEFAULT_WORDING, ChatPromptBuilder, PromptBuilder, Prompts
from extract.prompts.wordings import Wording
from schemas.errors import HeadflowError
from schemas.text import listed, one_line, short

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_RECENT = 16  # texts whose tokens are kept: what opens a prompt and its system message are the same in each


@dataclass(frozen=True)
class AnswerTokens:
    """The first tokens of the answers on offer; the margin compares those of two.

    Attributes:
        ids: of the tokens.
        texts: of the tokens, as the vocabulary spells them.
        options: the answers.
    """

    ids: list[int]
    texts: list[str]
    options: list[str]

    def manifest_fields(self) -> dict[str, Any]:
        """The fields of a run's manifest that they are."""
        return {"answer_tokens": self.texts, "answer_token_ids": self.ids}


@dataclass(frozen=True)
class PromptFormat:
    """How prompts for a checkpoint are written.

    Attributes:
        image_ids: the tokens that stand for an image; empty if they depend on its size.
        max_tokens: most tokens of a prompt for which the model has positions.
        family: name of the model's family, for messages.
        default_template: name of the template if the user names none.
        llava_templates: whether LLaVA's own templates can be used too.
        image_text: what stands for the image in a message of LLaVA's templates; holds `<image>`.
        chat: the checkpoint's chat template; None if it has none.
        image_token_id: the token that stands for image content; None: all tokens in the image's place do.
        spaced: see `extract.models.families.Family`.
        crossing: see `extract.prompts.prompt_builder.Prompt`.
    """

    tokenizer: "PreTrainedTokenizerBase"
    image_ids: list[int]
    max_tokens: int
    family: str = "LLaVA"
    default_template: str = VICUNA
    llava_templates: bool = True
    image_text: str = IMAGE_PLACEHOLDER
    chat: ChatTemplate | None = None
    image_token_id: int | None = None
    spaced: bool = False
    crossing: int = 0

    def find_template(self, name: str | None, model_path: str) -> Template | ChatTemplate:
        """The template of a name; None: the default.

        Raises:
            HeadflowError: it is not for this model, or there is none of that name.
        """
        name = name or self.default_template
        if name != CHAT:
            if not self.llava_templates:
                raise HeadflowError(
                    f"the template {name} is one of LLaVA's; a {self.family} takes {CHAT} alone", setting="conv_mode"
                )
            return find_template(name, model_path)
        if self.chat is None:
            other = "; name one of LLaVA's templates" if self.llava_templates else ""
            raise HeadflowError(
                f"{model_path} has no chat template{other}", setting="conv_mode" if self.llava_templates else None
            )
        return self.chat

    def prompt_builder(
        self,
        template: Template | ChatTemplate,
        *,
        wording: Wording = DEFAULT_WORDING,
        system_span: str = "template",
    ) -> PromptBuilder:
        """What builds prompts by a template, with the system message of the wording if it has one.

        Raises:
            HeadflowError: the tokenizer fails; the wording holds what stands for an image, or a system message that the
                template does not write; or the span of the earlier tool is asked for with a template that it did not
                have.
        """
        placeholders = self._placeholders()
        for placeholder in placeholders:
            if placeholder in wording.template + (wording.system or ""):
                raise HeadflowError(
                    f"{_which(wording)} must not contain {placeholder}: the image is put first",
                    setting="prompts" if wording.name else "prompt_suffix",
                )
        if wording.system is not None:
            template = template.with_system(wording.system)
        chat = isinstance(template, ChatTemplate)
        if chat and system_span != "template":
            raise HeadflowError(
                f"the system span {system_span} goes with LLaVA's own templates, not with {CHAT}", setting="system_span"
            )
        self._try_tokenizer()
        kind: Any = ChatPromptBuilder if chat else PromptBuilder
        builder: PromptBuilder = kind(
            encode=lru_cache(_RECENT)(template.encode if isinstance(template, ChatTemplate) else self._encode),
            bos_token_id=self.tokenizer.bos_token_id,
            max_tokens=self.max_tokens,
            template=template,
            image_text=self.image_text,
            image_token_id=self.image_token_id,
            placeholders=placeholders,
            wording=wording,
            system_span=system_span,
            spaced=self.spaced,
            crossing=self.crossing,
        )
        return builder

    def answer_tokens(self, prompts: Prompts, words: Sequence[str]) -> AnswerTokens:
        """The first tokens of answers after the prompts of a run.

        Raises:
            HeadflowError: two are the same token, one answer has no token of its own, or they are other tokens after
                one wording than after another.
        """
        of_first, *others = (self._answer_tokens(each, words) for each in prompts.builders.values())
        for name, other in zip(list(prompts.builders)[1:], others, strict=True):
            if other != of_first:
                first = next(iter(prompts.builders))
                raise HeadflowError(
                    f"the answers begin with {listed(other.texts)} after the wording {name}, and with "
                    f"{listed(of_first.texts)} after {first}, and a run has one token of each answer: ask {name} in a "
                    "run of its own",
                    setting="prompts",
                )
        return of_first

    def _answer_tokens(self, prompts: PromptBuilder, words: Sequence[str]) -> AnswerTokens:
        ids = [prompts.answer_token(word) for word in words]
        texts: list[str] = self.tokenizer.convert_ids_to_tokens(ids)
        if len(set(ids)) < len(ids):
            token = next(token for token in ids if ids.count(token) > 1)
            same = " and ".join(short(word) for word, own in zip(words, ids, strict=True) if own == token)
            raise HeadflowError(
                f"the answers {same} begin with one token after the prompt, {short(texts[ids.index(token)])}, so that "
                "its logit cannot tell them apart: answers need a first token each",
                setting="answer_tokens",
            )
        return AnswerTokens(ids, texts, list(words))

    def _try_tokenizer(self) -> None:
        try:
            self._encode("Is there a picture?")
        except Exception as error:  # one that does not fit its own settings raises anything
            raise HeadflowError(f"the checkpoint's tokenizer fails: {one_line(error)[:300]}") from error

    def _placeholders(self) -> list[str]:
        """Texts that stand for an image: of LLaVA's templates, of the chat template, and of the tokens themselves."""
        added = self.tokenizer.added_tokens_decoder
        tokens = {*self.image_ids, self.image_token_id} & added.keys()
        chat = [self.chat.placeholder] if self.chat else []
        return [IMAGE_PLACEHOLDER, *chat, *(str(added[token]) for token in tokens)]

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text).input_ids
        return ids


def _which(wording: Wording) -> str:
    return f"the wording {wording.name}" if wording.name else "the prompt's suffix"
