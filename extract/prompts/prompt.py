"""A question -> token ids and the role of each token."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

from extract.prompts.chat_template import ChatTemplate
from extract.prompts.templates import IMAGE_PLACEHOLDER, Template, Written
from extract.questions.formats import MME_SUFFIX
from extract.questions.samples import Unusable
from schemas.roles import BOS, IMAGE, QUESTION, ROLES, SYSTEM, USER

SystemSpan = Literal["template", "original"]
SYSTEM_SPANS: tuple[SystemSpan, ...] = ("template", "original")


@dataclass(frozen=True)
class Prompt:
    """Token ids and role codes (positions in `schemas.roles.ROLES`), of equal length."""

    input_ids: list[int]
    roles: list[int]

    def counts(self) -> dict[str, int]:
        """The number of tokens of each role, by column name: `n_bos` ... `n_question`."""
        return {f"n_{role.name}": self.roles.count(code) for code, role in enumerate(ROLES)}


@dataclass(frozen=True)
class PromptBuilder:
    """Writes prompts for one model and one template.

    Tokens are those of LLaVA's own code (`tokenizer_image_token` in `llava/mm_utils.py`): the text before and after
    the image is tokenised on its own, and BOS is kept only at the start.

    Attributes:
        encode: text -> token ids, with the special tokens that the tokenizer adds by itself.
        bos_token_id: stripped from the start of the text after the image; null where the tokenizer has none.
        max_tokens: longest prompt that the model can place.
        image_text: what stands for the image in a message; holds `<image>`.
        image_token_id: the token that stands for image content; null: all that stand in the image's place do.
        placeholders: texts that stand for an image, or for a part of one; taken out of questions.
        suffix: appended to each question that does not end with it already.
        system_span: `template`: the tokens that hold the system message and its separator, and nothing else.
            `original`: as many tokens after BOS as the message and the template's separator have on their own, the
            rule of the earlier tool; where the separator merges into the next token, this span swallows that token
            too, and where the message is not what the prompt begins with, it is so much of what is.
    """

    encode: Callable[[str], list[int]]
    bos_token_id: int | None
    max_tokens: int
    template: Template
    image_text: str = IMAGE_PLACEHOLDER
    image_token_id: int | None = None
    placeholders: Sequence[str] = (IMAGE_PLACEHOLDER,)
    suffix: str = MME_SUFFIX
    system_span: SystemSpan = "template"

    def build(self, question: str, image_ids: Sequence[int]) -> Prompt:
        """The prompt of a question about an image for which `image_ids` stand.

        A question that contains `<image>` says where the image stands; as in LLaVA's own evaluation of ScienceQA,
        the placeholder is taken out and the image put first.

        Raises:
            Unusable: `question_empty` or `prompt_too_long`.
        """
        text = question
        while found := next((each for each in self.placeholders if each in text), None):  # taking one out may make one
            text = text.replace(found, "").strip()
        if not text.strip():
            raise Unusable("question_empty", "the question has no text")
        if not text.endswith(self.suffix.strip()):
            text += self.suffix
        head, block, tail, system = self._tokenise(text, image_ids)
        input_ids = [*head, *block, *tail]
        if len(input_ids) > self.max_tokens:
            raise Unusable("prompt_too_long", f"{len(input_ids)} tokens, the model can place {self.max_tokens}")
        before = [BOS if i == 0 else SYSTEM if i in system else USER for i in range(len(head))]
        return Prompt(input_ids, [*before, *self._block_roles(block, first=not head), *[QUESTION] * len(tail)])

    def _tokenise(self, text: str, image_ids: Sequence[int]) -> tuple[list[int], Sequence[int], list[int], range]:
        """Tokens before the image, in its place, and after it; and which of the first hold the system message."""
        message = f"{self.image_text}\n{text}"
        written = self.template.write(message)
        head, tail = self.halves(message, written)
        return head, image_ids, tail, self._system(head, written)

    def halves(self, message: str, written: Written) -> tuple[list[int], list[int]]:
        """Token ids of the prompt that asks `message`, before and after the image."""
        before, after = written.text.split(IMAGE_PLACEHOLDER)
        return self.encode(before), self._without_bos(self.encode(after))

    def _block_roles(self, block: Sequence[int], *, first: bool) -> list[int]:
        """Roles of the tokens in the image's place: text among them is the user's before the first image token."""
        roles = []
        for position, token in enumerate(block):
            if self.image_token_id in (None, token):
                roles.append(IMAGE)
            elif IMAGE in roles:
                roles.append(QUESTION)
            else:
                roles.append(BOS if first and position == 0 else USER)
        return roles

    def _system(self, head: Sequence[int], written: Written) -> range:
        bos = len(head) - len(self._without_bos(head))
        if self.system_span == "template":
            start = self._common(written.opening, head)
            end = self._common(written.opening + written.system, head)
        else:
            start = bos
            end = bos + len(self._without_bos(self.encode(self.template.system + self.template.separator)))
        return range(max(bos, start), end)

    def _common(self, opening: str, head: Sequence[int]) -> int:
        """How many tokens at the start of `head` are those of its opening text on its own."""
        same = takewhile(lambda pair: pair[0] == pair[1], zip(self.encode(opening), head, strict=False))
        return sum(1 for _ in same)

    def _without_bos(self, ids: Sequence[int]) -> list[int]:
        return list(ids[1:] if ids and ids[0] == self.bos_token_id else ids)


@dataclass(frozen=True)
class ChatPromptBuilder(PromptBuilder):
    """Writes prompts by a checkpoint's own chat template; tokens are those of its own processor.

    The whole text is tokenised at once. What the processor writes in the image's place is put in by its tokens, but
    for plain text at its ends, which may merge into its neighbours.
    """

    template: ChatTemplate  # type: ignore[assignment]

    def _tokenise(self, text: str, image_ids: Sequence[int]) -> tuple[list[int], Sequence[int], list[int], range]:
        written, placeholder, decode = self.template.write(text), self.template.placeholder, self.template.decode
        special = [position for position, token in enumerate(image_ids) if token in self.template.special_ids]
        start, stop = special[0], special[-1] + 1
        around = decode(image_ids[:start]) + placeholder + decode(image_ids[stop:])
        ids = self.encode(written.text.replace(placeholder, around))
        at = ids.index(self.template.placeholder_id)
        head = ids[:at]
        return head, image_ids[start:stop], ids[at + 1 :], self._system(head, written)
