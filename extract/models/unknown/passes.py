"""Passes of a self-check: the plain model and the observed one over one prompt, with some of its inputs changed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from extract.attention.masked import MaskedObservation
from extract.attention.packing import Batch, pack
from extract.attention.readers import LayerInput
from extract.images.preprocessing import Pixels
from extract.models.checkpoint import Checkpoint
from extract.prompts.prompt_builder import Prompt
from schemas.roles import IMAGE


@dataclass(frozen=True)
class CheckPasses:
    """Passes over one prompt; `whole` is what the checkpoint's processor writes of it, if it does."""

    model: Checkpoint
    prompt: Prompt
    pixels: Pixels
    whole: dict[str, Tensor] | None

    def plain(self, ids: list[int] | None = None, *, noise: bool = False) -> Tensor:
        """What the last layer of the plain model gives for each token, float32 [tokens, width], on the CPU.

        Args:
            ids: other token ids than the prompt's.
            noise: with noise in the place of the picture.
        """
        prompt, pixels, whole = self.prompt, self.pixels, self.whole
        if ids is not None:
            prompt = replace(prompt, input_ids=ids)
            whole = whole and whole | {"input_ids": torch.tensor([prompt.read_ids])}
        if noise:
            pixels = replace(pixels, inputs=with_noise(pixels.inputs))
            whole = whole and with_noise(whole)
        return self._states(self.model, prompt, pixels, observed=False, whole=whole)

    def observed(self, model: Checkpoint, *readers: Any) -> Tensor:
        """The same of the observed model."""
        return self._states(model, self.prompt, self.pixels, observed=True, readers=readers)

    def without_image(self, *, noise: bool) -> Tensor:
        """The same where no text token sees an image token in any layer, of a model that is under its own mask."""
        pixels = replace(self.pixels, inputs=with_noise(self.pixels.inputs)) if noise else self.pixels
        batch, inputs = self.model.uploader.send(pack([[self.prompt]]), [pixels])
        with torch.inference_mode():
            states = self.model.last_hidden_states(batch, inputs, observed=True, observation=ImageHidden(batch))
        return states[0].float().cpu()

    def enter(self) -> "Entering":
        """What is measured of the tokens as they enter the language model; with the picture, and with noise."""
        (black, positions), (noise, others) = (
            self._entering(partial(self.plain, noise=noise)) for noise in (False, True)
        )
        places = torch.arange(black.shape[1])
        return Entering(
            of_image=(black != noise).any(dim=-1)[0],
            as_text=self._as_text(black[0]),
            places=all(each is None or bool((each.cpu() == places).all()) for each in (positions, others)),
        )

    def _as_text(self, entering: Tensor) -> Tensor:
        """Which tokens enter as the embedding of their id, bool [tokens]; none where text tokens do not."""
        ids = torch.tensor(self.prompt.input_ids)
        text = torch.tensor([role != IMAGE for role in self.prompt.roles])
        if self.prompt.crossing:
            ids, text = ids[text], text[text]
        embed = self.model.model.get_input_embeddings()
        with torch.inference_mode():
            embedded = embed(ids.clamp(0, embed.weight.shape[0] - 1).to(self.model.device)).cpu()
        if embedded.shape != entering.shape:
            return torch.zeros_like(text)
        same = (entering == embedded).all(dim=-1) & (ids >= 0)
        return same if bool(same[text].all()) else torch.zeros_like(text)

    def _entering(self, run: Callable[[], Any]) -> tuple[Tensor, Tensor | None]:
        """What the first layer gets in a pass, [1, tokens, width], on the CPU, and position ids; the pass then ends."""
        kept: list[Tensor] = []
        positions: list[Tensor | None] = []

        def keep(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            kept.append(given[0] if given else named["hidden_states"])
            raise _EnoughError

        def keep_positions(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            positions.append(named.get("position_ids"))

        stack = self.model.stack
        hooks = [
            stack.layers[0].register_forward_pre_hook(keep, with_kwargs=True),
            stack.register_forward_pre_hook(keep_positions, with_kwargs=True),
        ]
        try:
            run()
        except _EnoughError:
            pass
        finally:
            for hook in hooks:
                hook.remove()
        return kept[0].cpu(), positions[-1]

    @staticmethod
    def _states(model: Checkpoint, prompt: Prompt, pixels: Pixels, *, whole: Any = None, **options: Any) -> Tensor:
        batch, inputs = model.uploader.send(pack([[prompt]]), [pixels])
        if whole is not None:
            whole = {name: each.to(model.device) for name, each in whole.items()}
            whole = {name: each.to(model.dtype) if each.is_floating_point() else each for name, each in whole.items()}
        with torch.inference_mode():
            return model.last_hidden_states(batch, inputs, whole=whole, **options)[0].float().cpu()


@dataclass(frozen=True)
class Entering:
    """Tokens as they enter the first layer.

    Attributes:
        of_image: which of them have something of the picture, bool [tokens].
        as_text: which of them are the embeddings of their ids, bool [tokens]; none where that cannot be told.
        places: whether the position of each is its place in the sequence.
    """

    of_image: Tensor
    as_text: Tensor
    places: bool


class ImageHidden(MaskedObservation):
    """An observation in which no text token sees an image token."""

    def __init__(self, batch: Batch) -> None:
        super().__init__(batch)
        of_image = batch.roles == IMAGE
        self._hidden = (~of_image[:, :, None] & of_image[:, None, :])[:, None]

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, scale: float, *, mask: Tensor, softcap: float | None
    ) -> Tensor:
        """See `MaskedObservation.attend`."""
        return super().attend(query, key, value, scale, mask=mask & ~self._hidden, softcap=softcap)


class _EnoughError(Exception):
    """Ends a pass whose rest is not needed."""


class MaskReader:
    """Reads the masks of a pass over one prompt; see `extract.attention.readers.AttentionReader`.

    Attributes:
        later: whether a token sees a later one in some layer.
        plain: whether each token sees itself and all earlier ones, and no others, in each layer that has a mask.
    """

    def __init__(self) -> None:
        self.later = False
        self.plain = True

    def read(self, layer: LayerInput) -> None:
        """Read one layer."""
        if layer.mask is not None:
            mask = layer.mask[..., : layer.mask.shape[-2]]  # on text, where the image's keys stand after it
            self.later |= bool(mask.triu(1).any())
            self.plain &= bool((layer.mask == torch.ones_like(layer.mask).tril()).all())


def difference(one: Tensor, other: Tensor) -> float:
    """How far hidden states are apart, as a share of their norm."""
    return float((one - other).norm() / one.norm())


def with_noise(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Inputs with noise in the place of the pixels, which are numbers that are not whole."""
    random = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(each.shape, generator=random).to(each.dtype) if each.is_floating_point() else each
        for name, each in inputs.items()
    }


def other_end(prompt: Prompt) -> list[int]:
    """The ids of a prompt with another last token, one of its text."""
    ids = prompt.input_ids
    texts = [token for token, role in zip(ids, prompt.roles, strict=True) if role != IMAGE and token != ids[-1]]
    return [*ids[:-1], texts[-1]]
