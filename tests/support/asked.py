"""Made-up runs of other tasks than MME: POPE, questions with options of their own, and question files of any task."""

import numpy as np

from schemas.jobs.settings import JobSettings
from schemas.manifest import Session
from schemas.store.jobs import job_manifest, job_path
from schemas.store.run import open_run
from schemas.store.writer import RunWriter
from schemas.tasks import CHOICES, OPTION_LETTERS, POPE
from tests.support.runs import extras, flows, sample, start

LAYERS, HEADS = 2, 3


def write_pope(path, *, images=24, right=0.8, seed=0, fields=None):
    """A run of six questions on each image in each of POPE's categories."""
    random = np.random.default_rng(seed)
    writer = start(path, 18 * images, fields={"task": POPE.name} | (fields or {}))
    for number in range(18 * images):
        image, place = divmod(number, 18)
        answer = "Yes" if place % 2 else "No"
        correct = random.random() < right
        says = answer if correct else {"Yes": "No", "No": "Yes"}[answer]
        row = sample(number, POPE.totals["mean"][place // 6]) | {
            "sample_id": str(number), "question_id": str(number), "image": f"{image}.png", "row": number,
            "image_sha256": f"{image:064x}", "answer": answer, "prediction": says, "question": f"Is there a {place}?",
            "margin": (1 if says == "Yes" else -1) * float(random.gamma(2.0, 1.0)),
        }  # fmt: skip
        writer.add(row, {"heads": flows(random, LAYERS, HEADS)})
    writer.finish()
    return path


def choose(random, right, number, *, accuracy, towards=None, bias=0.0):
    """What a model gives: often right, else any other option; at times a letter, whatever it is asked."""
    if towards is not None and towards < number and random.random() < bias:
        return towards
    if random.random() < accuracy:
        return right
    return int(random.choice([each for each in range(number) if each != right]))


def write_choices(
    path, *, images=60, options=4, right=0.7, towards=None, bias=0.0, seed=0, fields=None, prompts=(), tables=()
):
    """A run of two questions on each image, in two categories, with options of their own.

    Args:
        right: how often an answer is that is not given for its letter.
        towards, bias: a letter, by place, that is given so often whatever is asked.
        prompts: names of wordings.
        tables: `contributions`, `layers`, or both.
    """
    random = np.random.default_rng(seed)
    more = {"prompts": {name: {"template": f"{name} {{question}}"} for name in prompts}} if prompts else {}
    of_task = {
        "task": CHOICES.name,
        "answer_tokens": list(OPTION_LETTERS),
        "answer_token_ids": list(range(len(OPTION_LETTERS))),
        "tables": list(tables),
    }
    writer = start(path, 2 * images * max(1, len(prompts)), fields=of_task | more | (fields or {}))
    for number in range(2 * images):
        answer = int(random.integers(options))
        for name in prompts or (None,):
            says = choose(random, answer, options, accuracy=right, towards=towards, bias=bias)
            logits = random.normal(0, 1, options)
            logits[says] = logits.max() + random.gamma(2.0, 0.5)
            row = sample(number, "color" if number < images else "shape") | {
                "row": number, "image_sha256": f"{number // 2:064x}", "answer": OPTION_LETTERS[answer],
                "prediction": OPTION_LETTERS[says], "options": [f"option {each}" for each in range(options)],
                "option_logits": logits.astype(np.float32).tolist(), "p_options": 0.9, "p_yes": None, "p_no": None,
                "lead": float(logits[answer] - max(np.delete(logits, answer))),
            }  # fmt: skip
            row["margin"] = float(logits[0] - logits[1]) if options == 2 else None
            row |= {} if name is None else {"prompt": name, "sample_id": f"{row['sample_id']}@{name}"}
            grids, more = extras(random, LAYERS, HEADS, tables) if tables else ({}, {})
            if "d_rest" in more:
                parts = {each: value for each, value in more.items() if each.startswith("d_")}
                row |= parts | {"d_rest": row["lead"] - sum(parts.values())}
            writer.add(row, {"heads": flows(random, LAYERS, HEADS), **grids})
    writer.finish()
    return path


def write_answers(path, questions, says, *, fields=None):
    """A run on the questions of a question file, whose predictions are given.

    Args:
        questions: as `read_questions` has them. Images of one name are the same; a question without one is skipped.
        says: the prediction for a sample.
    """
    random, names = np.random.default_rng(0), list(dict.fromkeys(each.image for each in questions.samples))
    letters = list(questions.letters)
    of_task = {"answer_tokens": letters, "answer_token_ids": list(range(len(letters)))} if letters else {}
    of_task["task"] = questions.task.name
    writer = start(path, len(questions.samples), fields=of_task | (fields or {}))
    for number, asked in enumerate(questions.samples):
        known = {name: value for name, value in asked.record().items() if value is not None}
        if not asked.image:
            writer.skip(asked.record(), "image_missing", "the question names no image file")
            continue
        row = sample(number, asked.category) | asked.record() | {"image_sha256": f"{names.index(asked.image):064x}"}
        row |= {"prediction": says(asked)}
        right = questions.task.right(asked.answer, asked.options or ())
        if letters:
            logits = random.normal(0, 1, len(asked.options))
            given = questions.task.read(row["prediction"], asked.options)
            logits[given or 0] = 4
            lead = None if right is None else float(logits[right] - max(np.delete(logits, right)))
            row |= {"option_logits": logits.astype(np.float32).tolist(), "p_options": 0.9, "lead": lead, "margin": None}
            row |= {"p_yes": None, "p_no": None, "options": list(known["options"])}
        else:
            row |= {"margin": 1.0 if row["prediction"].startswith("Yes") else -1.0}
        row = {name: value for name, value in row.items() if not (name == "options" and value is None)}
        writer.add(row, {"heads": flows(random, LAYERS, HEADS)})
    writer.finish()
    return path


def knock_out_choices(path, name, sets, *, kind="edge", ids=None, keeps=0.8, seed=2):
    """A job on a run of `write_choices`: a lead falls with the number of heads, and some answers change.

    What is said is a letter, or the text of an option.

    Args:
        ids: of the samples that it measures; None: all.
        keeps: how often a set leaves an answer as it is.
    """
    run, random = open_run(path), np.random.default_rng(seed)
    wanted = [each for each in run.samples().to_pylist() if ids is None or each["sample_id"] in set(ids)]
    settings = JobSettings(kind=kind, query=None, key=None, knock_outs=dict(sets))
    writer = RunWriter(job_path(path, name), job_manifest(run, settings), Session(device="cpu"), samples=len(wanted))
    cost = np.array([len(each.heads) + len(each.layers) for each in settings.sets.values()])
    for each in wanted:
        others = random.choice([*each["options"], *OPTION_LETTERS[: len(each["options"])]], len(cost))
        said = np.where(random.random(len(cost)) < keeps, each["prediction"], others)
        leads = [
            None if each["lead"] is None else each["lead"] - value for value in cost * random.gamma(1, 0.1, len(cost))
        ]
        rows = dict.fromkeys(("margin", "margin_untouched", "p_yes", "p_no"), [None] * len(cost))
        rows |= {"lead": leads, "lead_untouched": [each["lead"]] * len(cost), "prediction": said.tolist()}
        writer.add_rows(each["sample_id"], each["category"], rows)
    writer.finish()
