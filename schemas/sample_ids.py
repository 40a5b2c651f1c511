"""`sample_id`: unique in a run, and the same in every run on the same question file."""


class SampleIds:
    """Assigns ids in the order of a question file."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._taken: set[str] = set()

    def give(self, question_id: str | None, row: int) -> str:
        """The question's id, with `#2`, `#3` ... for its later questions; the row number if there is none."""
        wanted = question_id or str(row)
        while True:
            count = self._counts[wanted] = self._counts.get(wanted, 0) + 1
            name = wanted if count == 1 else f"{wanted}#{count}"
            if name not in self._taken:
                self._taken.add(name)
                return name
