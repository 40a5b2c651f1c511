"""What is done to the heads and layers that are knocked out, and to which tokens.

edge      scores of some queries on some keys are -inf before the softmax, so that the rest of each row grows
swap      these keys and values are those of another image of the same category
mean      a head's output on some tokens is its mean over other images; zero: it is 0
remove    a head's output is 0 for all tokens, a layer returns its input: the model without them
skip      a layer returns its input

If all tokens that are changed stand after the image, the prefix stays as it is, in a causal model.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from schemas.columns import KEY_ROLES, LAST, OF_KEYS, OF_TOKENS, REMOVE, SKIP, SWAP
from schemas.errors import HeadflowError
from schemas.roles import IMAGE, PADDING, ROLES

BEHIND = ("question", LAST)  # queries that stand after the image
CODES = {role.name: code for code, role in enumerate(ROLES)}


@dataclass(frozen=True)
class Change:
    """What is done.

    Attributes:
        kind: one of `schemas.columns.KINDS`.
        query: role of the tokens that are changed, or `LAST`; None: all tokens.
        key: role of the tokens that they do not see, or see of another image; None for other kinds.
    """

    kind: str
    query: str | None
    key: str | None

    @classmethod
    def of(cls, kind: str, query: str | None, key: str | None) -> "Change":
        """The change of some roles; None where the kind has no use for a role, else a default where it is None.

        Raises:
            HeadflowError: keys of another image are asked for that are no image.
        """
        if kind == SWAP and key not in (None, "image"):
            raise HeadflowError(f"swap takes the image tokens of another image, not {key}", setting="key")
        return cls(
            kind,
            (query or "question") if kind in OF_TOKENS else None,
            (key or "image") if kind in OF_KEYS else None,
        )

    @property
    def after(self) -> bool:
        """Whether only tokens after the image are changed."""
        return self.query in BEHIND

    @property
    def sees_nothing(self) -> bool:
        """Whether the queries stand before the keys, which they do not see in a causal model."""
        return self.query in KEY_ROLES and self.key is not None and CODES[self.query] < CODES[self.key]

    @property
    def skips(self) -> bool:
        """Whether layers that are knocked out return their input; else all of their heads are changed."""
        return self.kind in (REMOVE, SKIP)

    def changed(self, roles: Tensor) -> Tensor:
        """Which tokens are changed, bool like `roles` [questions, length], codes of whole prompts or their ends."""
        if self.query is None:
            return roles != PADDING
        if self.query == LAST:
            return torch.arange(roles.shape[1], device=roles.device) == last(roles)[:, None]
        return of_role(roles, self.query)

    def keys(self, roles: Tensor) -> Tensor:
        """Which keys the change is about, bool like `roles`."""
        return of_role(roles, self.key) if self.key is not None else torch.zeros_like(roles, dtype=torch.bool)


def of_role(roles: Tensor, name: str) -> Tensor:
    """Which tokens have a role, bool like `roles` [sequences, length]; `question`: after the last image token.

    Text between the tiles of an image is part of the prefix, and of no role here.
    """
    found = roles == CODES[name]
    if name == "question":
        place = torch.arange(roles.shape[1], device=roles.device)
        image = torch.where(roles == IMAGE, place, -1).amax(dim=1, keepdim=True)
        found &= place > image
    return found


def last(roles: Tensor) -> Tensor:
    """The place of the last token of each sequence, int64 [sequences]."""
    place = torch.arange(roles.shape[1], device=roles.device)
    return torch.where(roles == PADDING, -1, place).amax(dim=1)
