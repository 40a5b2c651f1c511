"""The contract and the model families as Markdown tables, in a language."""

from data.guide.words import Words
from extract.survey.table import table
from schemas.contract import Table, contract, markdown

_TITLED = {"meaning", "tokens"}  # columns of the contract whose texts stand under the names of their rows
_AS_IT_IS = ("family", "`model_type`")  # columns of the families that have names


def contract_tables(words: Words) -> dict[str, str]:
    """The contract's tables by title."""
    return {title: _in_words(title, found, words) for title, found in contract().items()}


def _in_words(title: str, found: Table, words: Words) -> str:
    def cell(column: str, name: str, text: str) -> str:
        if column in _TITLED:
            return words.text(title, name, text)
        if column == "type":
            return text.replace(", nullable", words.word(", nullable")) if ", nullable" in text else text
        return words.word(text) if column in ("unit", "of several") else text

    rows = [
        [cell(column, row[0].strip("`"), text) for column, text in zip(found.header, row, strict=True)]
        for row in found.rows
    ]
    return markdown([words.word(each) for each in found.header], rows)


def families_table(words: Words) -> str:
    """The model families, and what each offers."""
    found = table()
    rows = [
        [text if column in _AS_IT_IS and row[1] else _parts(text, words)
         for column, text in zip(found.header, row, strict=True)]
        for row in found.rows
    ]  # fmt: skip
    return markdown([_parts(each, words) for each in found.header], rows)


def _parts(text: str, words: Words) -> str:
    """A cell of the families: one text, or several with commas between them; code stays as it is."""
    if words.has(text):
        return words.word(text)
    parts = [part if part.startswith("`") else words.word(part) for part in text.split(", ")]
    return words.word(", ").join(parts) if len(parts) > 1 else parts[0]
