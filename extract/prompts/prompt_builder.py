"""A question -> token ids and the role of each token."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise, takewhile
from typing import Any

from extract.prompts.chat_template import ChatTemplate
from extract.prompts.conversation_templates import IMAGE_PLACEHOLDER, PromptText, Template
from extract.prompts.wordings import Wording
from extract.prompts.wordings import manifest_fields as wording_fields
from extract.questions.content.choices import written_options
from extract.questions.content.placing import NUMBERED, mark_places
from extract.questions.fields import MME_SUFFIX, wrong_options
from extract.questions.samples import Sample, Unusable
from schemas.errors import HeadflowError
from schemas.roles import BOS, IMAGE, QUESTION, ROLES, SYSTEM, USER
from schemas.text import short

SYSTEM_SPANS = ("template", "original")
_AT_ONCE = re.compile(r"[^\s<]")  # what begins a text that follows an image at once, but for a special token
_PLACES = 0xE000  # the first character for private use
DEFAULT_WORDING = Wording.of_suffix(MME_SUFFIX)


@dataclass(frozen=True)
class Prompt:
    """Token ids and role codes (positions in `schemas.roles.ROLES`), of equal length.

    Attributes:
        given: the tokens of a text that follows the prompt; None: the model writes its own, if it is to write.
        crossing: of a model that reads the image by cross-attention, the keys that it has there, those of padding
            included: image tokens are then in no sequence of the model's; 0: they stand in the sequence.
    """

    input_ids: list[int]
    roles: list[int]
    given: Sequence[int] | None = None
    crossing: int = 0

    @property
    def read_ids(self) -> list[int]:
        """The tokens that the language model runs over: all, or without the image's where these are crossed to."""
        if not self.crossing:
            return self.input_ids
        return [token for token, role in zip(self.input_ids, self.roles, strict=True) if role != IMAGE]

    def counts(self) -> dict[str, int]:
        """The number of tokens of each role, by column name: `n_bos` ... `n_question`."""
        return {f"n_{role.name}": self.roles.count(code) for code, role in enumerate(ROLES)}


@dataclass(frozen=True)
class PromptBuilder:
    """Builds prompts for one model and one template.

    Tokens are those of LLaVA's own code (`tokenizer_image_token` in `llava/mm_utils.py`): the text before and after
    the image is tokenised on its own, and BOS is kept only at the start.

    Attributes:
        encode: text -> token ids, with the special tokens that the tokenizer adds by itself; not to be changed.
        bos_token_id: stripped from the start of the text after the image; None if the tokenizer has none.
        max_tokens: most tokens for which the model has positions.
        new_tokens: most tokens that are to follow a prompt.
        image_text: what stands for the image in a message; holds `<image>`.
        image_token_id: the token that stands for image content; None: all tokens in the image's place do.
        placeholders: texts that stand for an image, or for a part of one; removed from questions about one image.
        wording: how questions are asked.
        system_span: `template`: the tokens that hold the system message and its separator, and nothing else.
            `original`: as many tokens after BOS as the message and the template's separator have on their own, the
            rule of the earlier tool. If the separator merges into the next token, this span holds that token too; if
            the prompt does not begin with the message, it is the first so many tokens of the prompt.
        spaced: see `extract.models.families.Family`.
        crossing: see `Prompt`.
    """

    encode: Callable[[str], Sequence[int]]
    bos_token_id: int | None
    max_tokens: int
    template: Template
    image_text: str = IMAGE_PLACEHOLDER
    image_token_id: int | None = None
    placeholders: Sequence[str] = (IMAGE_PLACEHOLDER,)
    wording: Wording = DEFAULT_WORDING
    system_span: str = "template"
    new_tokens: int = 0
    spaced: bool = False
    crossing: int = 0

    def build(
        self, question: str, image_ids: Sequence[Sequence[int]], *, options: Sequence[str] = (), hint: str = ""
    ) -> Prompt:
        """The prompt of a question about one or several images.

        A question may contain `<image>`, to say where an image stands. Where it has one image, the placeholder is
        removed and the image put first, as in LLaVA's own evaluation of ScienceQA. Several images stand where hint,
        question and options place them, see `extract.questions.content.placing`.

        Args:
            image_ids: of each image the tokens in its place.
            options: the question's own; `hint`: what is said before it.

        Raises:
            Unusable: `several_images`, `question_empty` or `prompt_too_long`.
            HeadflowError: the checkpoint's tokens are not such that an image can be put into a prompt.
        """
        hint, text, *options = self._placed((hint, question, *options), len(image_ids))
        if not text.replace(IMAGE_PLACEHOLDER, "").strip():
            raise Unusable("question_empty", "the question has no text")
        texts, blocks, system = self._tokenize(self._ask(text, options, hint), image_ids)
        head, *others = texts
        input_ids = [*head]
        roles = [BOS if i == 0 else SYSTEM if i in system else USER for i in range(len(head))]
        for block, following in zip(blocks, others, strict=True):
            input_ids += [*block, *following]
            roles += self._image_roles(block, first=not roles, before=IMAGE in roles)
            roles += [QUESTION] * len(following)
        prompt = Prompt(input_ids, roles, crossing=self.crossing)
        if (number := len(prompt.read_ids)) + self.new_tokens > self.max_tokens:
            new = f" and {self.new_tokens} new ones" if self.new_tokens else ""
            detail = f"{number} tokens{new}, the model has positions for {self.max_tokens}"
            raise Unusable("prompt_too_long", detail)
        return prompt

    def _ask(self, question: str, options: Sequence[str], hint: str) -> str:
        """The message, with `<image>` where one is placed; raises `Unusable` if the wording leaves out or moves one."""
        parts, number = [hint, question, *options], 0
        for place, part in enumerate(parts):  # each place as a letter of its own, which no text has
            while IMAGE_PLACEHOLDER in part:
                part, number = part.replace(IMAGE_PLACEHOLDER, chr(_PLACES + number), 1), number + 1
            parts[place] = part
        marked, question, *options = parts
        message = self.wording.ask(question, options, marked)
        letters = [chr(_PLACES + place) for place in range(number)]
        if [letter for letter in message if letter in letters] != letters:
            raise Unusable(
                "several_images", "the wording leaves out what places an image, or puts options before the question"
            )
        for letter in letters:
            message = message.replace(letter, IMAGE_PLACEHOLDER)
        return message

    def _placed(self, texts: Sequence[str], images: int) -> list[str]:
        """Hint, question and options with `<image>` where one of several images stands, and nowhere else."""
        if images > 1:
            try:
                return mark_places(texts, images, self.placeholders)
            except ValueError as error:
                raise Unusable("several_images", str(error)) from None
        places = Counter[str]()
        plain = [self._without_images(each, places) for each in texts]
        numbered = {image for each in plain for image in NUMBERED.findall(each)}
        asked = max([*places.values(), len(numbered)])
        if asked > 1:
            raise Unusable("several_images", f"the question places {asked} images, and has one")
        return plain

    def _without_images(self, text: str, places: Counter[str]) -> str:
        """A text without what stands for an image; `places` counts each kind that was there."""
        while found := next((each for each in self.placeholders if each in text), None):  # removing one may make one
            places[found] += text.count(found)
            text = text.replace(found, "").strip()
        return text

    def answer_token(self, word: str) -> int:
        """The first token of an answer, as the template would write it after a prompt.

        If the tokenizer would merge it with the prompt's last token, use the token it has after a newline.

        Raises:
            HeadflowError: there is no such token.
        """
        if not word.strip():
            raise HeadflowError("an answer is empty, and has no token", setting="answer_tokens")
        prompt, reply = self.template.render(self.wording.ask("Is there a picture?")).text, self.template.reply(word)
        for before in (prompt, "\n"):
            opening, whole = self.encode(before), self.encode(before + reply)
            if len(whole) > len(opening) and whole[: len(opening)] == opening:
                return whole[len(opening)]
        raise HeadflowError(
            f"the answer {short(word)} has no token of its own after the prompt: name another word",
            setting="answer_tokens",
        )

    def _tokenize(
        self, text: str, image_ids: Sequence[Sequence[int]]
    ) -> tuple[list[list[int]], Sequence[Sequence[int]], range]:
        """Tokens before, between and after images, and in their places; and which of the first are the system message.

        Args:
            text: with `<image>` where one of several images stands; the others stand before it.
        """
        leading = f"{self.image_text}\n" * (len(image_ids) - text.count(IMAGE_PLACEHOLDER))
        message = leading + text.replace(IMAGE_PLACEHOLDER, self.image_text)
        prompt_text = self.template.render(message)
        texts = self.encode_around_images(message, prompt_text)
        return texts, image_ids, self._system_tokens(texts[0], prompt_text)

    def encode_around_images(self, message: str, prompt_text: PromptText) -> list[list[int]]:
        """Token ids of the prompt before, between and after images; `prompt_text` is the template's of `message`."""
        before, *others = prompt_text.text.split(IMAGE_PLACEHOLDER)
        return [[*self.encode(before)], *(self._without_bos(self.encode(each)) for each in others)]

    def _image_roles(self, block: Sequence[int], *, first: bool, before: bool) -> list[int]:
        """Roles of the tokens in an image's place: text among them is the user's before the first image token.

        Args:
            first: whether it begins the prompt.
            before: whether there is an image token before it.
        """
        if not self.crossing and (self.image_token_id is None or block.count(self.image_token_id) == len(block)):
            return [IMAGE] * len(block)
        roles = []
        for position, token in enumerate(block):
            stands = self.crossing and position == 0  # for the image in the text that the model reads
            if self.image_token_id in (None, token) and not stands:
                roles.append(IMAGE)
            elif before or IMAGE in roles:
                roles.append(QUESTION)
            else:
                roles.append(BOS if first and position == 0 else USER)
        return roles

    def _system_tokens(self, head: Sequence[int], prompt_text: PromptText) -> range:
        """Which tokens before the image hold the system message."""
        bos = len(head) - len(self._without_bos(head))
        if self.system_span == "template":
            start = self._count_common_tokens(prompt_text.opening, head)
            end = self._count_common_tokens(prompt_text.opening + prompt_text.system, head)
        else:
            start = bos
            end = bos + len(self._without_bos(self.encode(self.template.system + self.template.separator)))
        return range(max(bos, start), end)

    def _count_common_tokens(self, opening: str, head: Sequence[int]) -> int:
        """How many tokens at the start of `head` are those of its opening text on its own."""
        same = takewhile(lambda pair: pair[0] == pair[1], zip(self.encode(opening), head, strict=False))
        return sum(1 for _ in same)

    def _without_bos(self, ids: Sequence[int]) -> list[int]:
        return list(ids[1:] if ids and ids[0] == self.bos_token_id else ids)


@dataclass(frozen=True)
class ChatPromptBuilder(PromptBuilder):
    """Builds prompts by a checkpoint's own chat template; tokens are those of its own processor.

    The whole text is tokenised at once. Of what the processor writes in the image's place, the special tokens and all
    between them are inserted as tokens; plain text at its ends may merge into the text beside it.
    """

    template: ChatTemplate  # type: ignore[assignment]

    def _tokenize(
        self, text: str, image_ids: Sequence[Sequence[int]]
    ) -> tuple[list[list[int]], Sequence[Sequence[int]], range]:
        template = self.template
        prompt_text = template.render(text, len(image_ids))
        first, *others = prompt_text.text.split(template.placeholder)
        blocks, around = [], first
        for own, following in zip(image_ids, others, strict=True):
            special = [position for position, token in enumerate(own) if token in template.special_ids]
            if not special:
                raise HeadflowError(
                    "the checkpoint's processor (processor_config.json) writes no token in the image's place that is "
                    "special in tokenizer.json, so that its tokens cannot be told from text"
                )
            start, stop = special[0], special[-1] + 1
            blocks.append(own[start:stop])
            space = " " if self.spaced and _AT_ONCE.match(following) else ""
            around += template.decode(own[:start]) + template.placeholder + template.decode(own[stop:])
            around += space + following
        ids = self.encode(around)
        places = [at for at, token in enumerate(ids) if token == template.placeholder_id]
        if len(places) != len(image_ids):
            raise HeadflowError(
                f"the checkpoint's tokenizer does not read {template.placeholder} as one token (tokenizer.json), "
                "though its chat template puts it in the image's place"
            )
        ends = [-1, *places, len(ids)]
        texts = [[*ids[before + 1 : after]] for before, after in pairwise(ends)]
        return texts, blocks, self._system_tokens(texts[0], prompt_text)


@dataclass(frozen=True)
class Prompts:
    """The prompts of a run.

    Attributes:
        builders: by the name of each wording, as samples have it: None where there is one.
        given: the tokens of given texts by `sample_id`; empty: none are given.
    """

    builders: Mapping[str | None, PromptBuilder]
    given: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def build(self, sample: Sample, image_ids: Sequence[Sequence[int]]) -> Prompt:
        """The prompt of a sample; see `PromptBuilder.build`. Options that cannot be asked raise `Unusable`.

        Options that the question lists in its own text are not written again.
        """
        if sample.question.strip() and sample.options is not None and (wrong := wrong_options(sample.options)):
            raise Unusable("options_unusable", wrong)
        prompt = self.builders[sample.prompt].build(
            sample.question,
            image_ids,
            options=written_options(sample.question, sample.options or ()),
            hint=sample.hint or "",
        )
        return replace(prompt, given=self.given[sample.sample_id]) if self.given else prompt

    def manifest_fields(self) -> dict[str, Any]:
        """The fields of a run's manifest that they are."""
        builders = list(self.builders.values())
        usual = [each.template.name for each in builders if each.wording.conv_mode is None]
        return {
            "conv_mode": usual[0] if usual else None,
            "system_span": builders[0].system_span,
            **wording_fields([each.wording for each in builders]),
        }
