"""The wordings in which each question is asked: what stands around it, and by which template and system message.

A file of wordings is JSON or TOML, `{"NAME": {"template": "{question} Answer ...", "conv_mode": ..., "system": ...}}`.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extract.questions.fields import MME_SUFFIX
from schemas.errors import HeadflowError
from schemas.tasks import OPTION_LETTERS, Task
from schemas.text import one_line, short, storable

_QUESTION, STEM, LMMS_STEM = "question", "stem", "lmms_stem"
OPTIONS, HINT = "options", "hint"  # a line with the place of one is left out where a question has none
INSTRUCTION = " Please answer yes or no."  # how MME's questions end
LETTER_SUFFIX = "\nAnswer with the option's letter from the given choices directly."  # LLaVA's, of multiple choice
PLACE = re.compile(rf"\{{({_QUESTION}|{STEM}|{LMMS_STEM}|{OPTIONS}|{HINT})\}}")
_NAME = re.compile(r"\w[\w.+-]{0,39}")  # part of ids and of names of folders
_FIELDS = ("template", "conv_mode", "system")


@dataclass(frozen=True)
class Wording:
    """How a question is asked.

    Attributes:
        template: the message, with `{question}` in the place of the question, or `{stem}` in the place of the question
            without MME's " Please answer yes or no." and white space at its ends; or `{lmms_stem}`, the same as
            lmms-eval cuts it, which leaves a space where MME has two before its instruction. At least one of them.
            `{options}` are the question's options, a line each, `A. red`, and `{hint}` is its hint; a line of the
            template that holds either is left out where a question has none, with a heading before it, `Options:`.
        name: None if it is the only one, made of a suffix.
        conv_mode: name of its conversation template; None: that of the run.
        system: takes the place of the conversation template's system message; None: the template's own.
    """

    template: str
    name: str | None = None
    conv_mode: str | None = None
    system: str | None = None

    @classmethod
    def of_suffix(cls, suffix: str) -> "Wording":
        """The hint, the question and its options, as far as there are any, and a suffix after them."""
        return cls(f"{{{HINT}}}\n{{{_QUESTION}}}\n{{{OPTIONS}}}{suffix}")

    @property
    def suffix(self) -> str:
        """What stands after the question and its options."""
        *_, last = PLACE.finditer(self.template)
        return self.template[last.end() :]

    def ask(self, question: str, options: Sequence[str] = (), hint: str = "") -> str:
        """The message that asks a question. If it would end with the suffix twice, it ends with it once."""
        texts = {
            _QUESTION: question,
            STEM: question.replace(INSTRUCTION, "").strip(),
            LMMS_STEM: question.strip().replace(INSTRUCTION, ""),
            OPTIONS: "\n".join(f"{letter}. {option}" for letter, option in zip(OPTION_LETTERS, options, strict=False)),
            HINT: hint,
        }
        empty = [f"{{{name}}}" for name in (OPTIONS, HINT) if not texts[name]]
        kept: list[str] = []
        for line in self.template.removesuffix(self.suffix).split("\n"):
            if not any(place in line for place in empty):
                kept.append(line)
            elif line in empty and kept and kept[-1].endswith(":") and not PLACE.search(kept[-1]):
                kept.pop()  # its heading, such as `Options:`
        begins = PLACE.sub(lambda place: texts[place[1]], "\n".join(kept))
        return begins if begins.rstrip().endswith(self.suffix.strip()) else begins + self.suffix

    def describe(self) -> dict[str, str | None]:
        """Its fields, as they stand in files."""
        return {field: getattr(self, field) for field in _FIELDS}


# Sources: MME's release, whose questions say how to answer; `llava_mme.jsonl` of LLaVA's evaluation, and
# `mme_doc_to_text` in `lmms_eval/tasks/mme/utils.py` of lmms-eval, which both replace what MME says. Of choices:
# `llava/eval/model_vqa_mmbench.py` of LLaVA, and `build_prompt` in `vlmeval/dataset/image_mcq.py` of VLMEvalKit.
PRESETS = {
    "mme": Wording("{question}" + INSTRUCTION, "mme"),
    "llava": Wording("{stem}" + MME_SUFFIX, "llava"),
    "lmms-eval": Wording("{lmms_stem}" + MME_SUFFIX, "lmms-eval"),
    "llava-choices": Wording("{hint}\n{question}\n{options}" + LETTER_SUFFIX, "llava-choices"),
    "vlmevalkit": Wording(
        "Hint: {hint}\nQuestion: {question}\nOptions:\n{options}\n"
        "Please select the correct answer from the options above. \n",
        "vlmevalkit",
    ),
}


def suffix_of(task: Task) -> str:
    """What is appended to questions of a task where no other suffix is asked for."""
    return MME_SUFFIX if task.options else LETTER_SUFFIX


def check_options_asked(wordings: Sequence[Wording], task: Task) -> None:
    """Raise `HeadflowError` if questions have options of their own, and a wording has no place for them."""
    for wording in wordings if not task.options else ():
        if f"{{{OPTIONS}}}" not in wording.template:
            raise HeadflowError(
                f"the wording {wording.name} has no {{{OPTIONS}}}, and the questions have options of their own",
                setting="prompts",
            )


def read_wordings(asked: Sequence[str]) -> list[Wording]:
    """Wordings by the names of presets, and from files, in this order.

    Raises:
        HeadflowError: a file cannot be read, or what it holds is no wording, or two have one name.
    """
    found: dict[str | None, Wording] = {}
    for each in asked:
        for wording in [PRESETS[each]] if each in PRESETS else _read_file(Path(each)):
            if wording.name in found:
                raise HeadflowError(f"there are two wordings {wording.name}; give them two names", setting="prompts")
            found[wording.name] = wording
    return list(found.values())


def manifest_fields(wordings: Sequence[Wording]) -> dict[str, Any]:
    """The fields of a run's manifest that wordings are."""
    named = {wording.name: wording.describe() for wording in wordings if wording.name is not None}
    return {"prompts": named, "prompt_suffix": None if named else wordings[0].suffix}


def _read_file(path: Path) -> Iterator[Wording]:
    where = f"the file of wordings {path}"
    if not path.is_file():
        raise HeadflowError(
            f"{path} is no file of wordings, and no preset: these are {', '.join(PRESETS)}", setting="prompts"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except (OSError, ValueError, RecursionError) as error:  # the last of brackets thousands deep
        raise HeadflowError(f"{where} cannot be read as JSON, or as .toml: {one_line(error)[:200]}") from None
    if not isinstance(content, dict) or not content:
        raise HeadflowError(f'{where} holds no wordings: it is to be {{"NAME": {{"template": "{{question}}"}}, ...}}')
    for name, fields in content.items():
        if problem := _problem(name, fields):
            raise HeadflowError(f"{where}: {short(name)} {problem}")
        yield Wording(name=name, **fields)


def _problem(name: str, fields: Any) -> str:
    """What is wrong with an entry of a file; empty if nothing is."""
    if not _NAME.fullmatch(name):
        return "is not up to 40 letters, digits and . _ + -"
    if not isinstance(fields, dict):
        return f"is {short(fields)}, not an object with a `template`"
    if unknown := [field for field in fields if field not in _FIELDS]:
        return f"has the field {short(unknown[0])}; there are {', '.join(_FIELDS)}"
    for field, value in fields.items():
        if not isinstance(value, str) and not (value is None and field != "template"):
            return f"has {short(value)} as `{field}`, not text"
        if value is not None and value != storable(value):
            return f"has a `{field}` that is not text in UTF-8"
    if not PLACE.search(fields.get("template", "")):
        return "has no `template` with `{question}` or `{stem}` in it"
    return ""
