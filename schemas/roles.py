"""Token roles and query groups. Rows of an attention matrix are queries, columns are keys.

Every token of a prompt has exactly one role, coded by its position in `ROLES`. "Text" is every role but `image`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Role:
    """A kind of prompt token; `short` is its name inside column names (`v2bos`, `q2sys`)."""

    name: str
    short: str
    meaning: str


@dataclass(frozen=True)
class QueryGroup:
    """A set of query rows over which attention is averaged; `short` begins its columns' names."""

    short: str
    meaning: str


ROLES = (
    Role(
        "bos",
        "bos",
        "the first token of the sequence, the attention sink: BOS in LLaMA's family, whatever comes first in others "
        "(unless it is an image token)",
    ),
    Role("system", "sys", "the conversation template's system message and the separator that ends it"),
    Role("user", "user", "any other text before the (first) image, such as `USER:`"),
    Role("image", "v", "every token that stands for image content"),
    Role("question", "q", "all text after the (first) image, to the end of the prompt, `ASSISTANT:` included"),
)
BOS, SYSTEM, USER, IMAGE, QUESTION = range(len(ROLES))
GENERATED = Role("generated", "g", "the tokens that the model has written so far")  # of keys, while it writes
STEP_ROLES = (*ROLES, GENERATED)
PADDING = -1  # the code of a token that belongs to no prompt
TEXT = (BOS, SYSTEM, USER, QUESTION)

QUERY_GROUPS = (
    QueryGroup("v", "image tokens"),
    QueryGroup("q", "question tokens"),
    QueryGroup("a", "the last prompt token, where the answer is generated"),
)
