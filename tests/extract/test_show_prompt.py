"""Oracle: the reference, which reads roles off the decoded text; the strip must say the same, without any weights."""

import json
import re
import shutil

import pytest

from extract.__main__ import main
from tests.support.eager_reference import EagerReference

LINE = re.compile(r"^ *(\d+)(?:-(\d+))?  (\w+) +(\d+)  (.*?)(?: x (\d+))?$")
SHORT = {"bos": "bos", "system": "sys", "user": "user", "image": "v", "question": "q"}


@pytest.fixture
def show(checkpoint_path, tmp_path, capsys):
    """Call `--show-prompt` on a copy of the checkpoint without weights; returns exit code and lines."""
    path = tmp_path / "no weights"
    shutil.copytree(checkpoint_path, path, ignore=shutil.ignore_patterns("*.safetensors"))

    def call(*rows, flags=(), number="9"):
        file = tmp_path / "questions.json"
        file.write_text(json.dumps([{"image_file": "x.png", "category": "OCR"} | row for row in rows]))
        code = main(["--model-path", str(path), "--question-file", str(file), "--show-prompt", number, *flags])
        return code, capsys.readouterr().out.splitlines()

    return call


def read(lines):
    """Ids and roles of a strip."""
    ids, roles = [], []
    for line in lines:
        first, last, role, token, _, many = LINE.match(line).groups()
        assert int(first) == len(ids)
        ids += [int(token)] * int(many or 1)
        roles += [SHORT[role]] * int(many or 1)
        assert int(last or first) == len(ids) - 1
    return ids, roles


def test_the_strip_is_the_prompt(show, checkpoint_path):
    question = 'Is the word "a\tb"  红色?'
    code, (title, counts, *lines) = show({"question": question, "question_id": "one"})
    assert code == 0
    assert title == "one (OCR), template vicuna_v1"
    reference = EagerReference(checkpoint_path)
    ids, roles = read(lines)
    expected = reference.tokens(question)
    assert (ids, roles) == expected
    assert counts == f"{len(ids)} tokens: " + ", ".join(f"{name} {roles.count(SHORT[name])}" for name in SHORT)
    pieces = [LINE.match(line)[5] for line in lines]
    assert reference.tokenizer.convert_ids_to_tokens(ids[1:8]) == pieces[1:8]


def test_so_many_prompts_and_what_is_skipped(show):
    rows = [{"question": text} for text in ("Is it?", "  ", "Is it not?")]
    code, lines = show(*rows, number="2")
    assert code == 0
    assert [line for line in lines if "template" in line] == [f"{n} (OCR), template vicuna_v1" for n in (0, 1)]
    assert lines[-1] == "skipped: question_empty (the question has no text)"


def test_flags_that_change_a_prompt_change_the_strip(show):
    row = {"question": "Is it?"}
    _, plain = show(row)
    _, bare = show(row, flags=["--prompt-suffix", ""])
    assert len(bare) < len(plain)
    typed = r"\nAnswer the question using a single word or phrase."  # as the README and --help print it
    assert show(row, flags=["--prompt-suffix", typed])[1] == plain
    _, literal = show(row, flags=["--prompt-suffix", r" \\nabla"])
    assert [line for line in literal if "\\" in line]
    _, original = show(row, flags=["--system-span", "original"])
    assert read(original[2:])[0] == read(plain[2:])[0]
    assert read(original[2:])[1].count("sys") == read(plain[2:])[1].count("sys") + 1


def test_what_is_wrong_is_said(show, capsys, tmp_path):
    for number in ("0", "-1", "auto"):
        assert show({"question": "Is it?"}, number=number)[0] == 2
    assert show({"question": "Is it?"}, flags=["--conv-mode", "none"])[0] != 0
    assert show({"question": "Is it?"}, flags=["--model-path", str(tmp_path / "none")])[0] != 0


def test_control_characters_of_the_question_file_are_escaped(show):
    code, lines = show({"question_id": "\x1b[2Ja\nb", "category": "\x9b1m", "question": "Is\x1b[31m it?"})
    assert code == 0
    assert lines[0].startswith(r"\x1b[2Ja\nb (\x9b1m), template ")
    assert all(line.isprintable() for line in lines)
