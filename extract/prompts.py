"""A question -> token ids and the role of each token."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

from extract.questions import Unusable
from extract.templates import IMAGE_PLACEHOLDER, MME_SUFFIX, Template
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
        image_tokens: how many tokens stand for one image.
        max_tokens: longest prompt that the model can place.
        suffix: appended to each question that does not end with it already.
        system_span: `template`: the tokens that hold the system message and its separator, and nothing else.
            `original`: as many tokens after BOS as that text has on its own, the rule of the earlier tool; where the
            separator merges into the next token, this span swallows that token too.
    """

    encode: Callable[[str], list[int]]
    bos_token_id: int | None
    image_token_id: int
    image_tokens: int
    max_tokens: int
    template: Template
    suffix: str = MME_SUFFIX
    system_span: SystemSpan = "template"

    def build(self, question: str) -> Prompt:
        """The prompt of a question.

        A question that contains `<image>` says where the image stands; as in LLaVA's own evaluation of ScienceQA,
        the placeholder is taken out and the image put first.

        Raises:
            Unusable: `question_empty` or `prompt_too_long`.
        """
        text = question
        if IMAGE_PLACEHOLDER in text:
            text = text.replace(IMAGE_PLACEHOLDER, "").strip()
        if not text.strip():
            raise Unusable("question_empty", "the question has no text")
        if not text.endswith(self.suffix.strip()):
            text += self.suffix
        before, after = self.template.prompt(f"{IMAGE_PLACEHOLDER}\n{text}").split(IMAGE_PLACEHOLDER)
        head, tail = self.encode(before), self._without_bos(self.encode(after))
        input_ids = head + [self.image_token_id] * self.image_tokens + tail
        if len(input_ids) > self.max_tokens:
            raise Unusable("prompt_too_long", f"{len(input_ids)} tokens, the model can place {self.max_tokens}")
        roles = self._roles_before_image(head) + [IMAGE] * self.image_tokens + [QUESTION] * len(tail)
        return Prompt(input_ids, roles)

    def _roles_before_image(self, head: Sequence[int]) -> list[int]:
        system = self._without_bos(self.encode(self.template.system_text))
        body = self._without_bos(head)
        start = len(head) - len(body)
        if self.system_span == "template":
            same = takewhile(lambda pair: pair[0] == pair[1], zip(system, body, strict=False))
            end = start + sum(1 for _ in same)
        else:
            end = start + min(len(system), len(body))
        return [BOS if i == 0 else SYSTEM if start <= i < end else USER for i in range(len(head))]

    def _without_bos(self, ids: Sequence[int]) -> list[int]:
        return list(ids[1:] if ids and ids[0] == self.bos_token_id else ids)
