"""The modules of a language model that add to its residual stream: of each layer its attention and its MLP.

A token's final hidden state is the sum of its embedding and of what each module adds (Elhage et al. 2021, "A
Mathematical Framework for Transformer Circuits"). So it is in LLaMA's, Mistral's, Qwen's and Gemma's models; in
Gemma's later ones, GLM's and EXAONE's, each addition goes through a norm of its own first, in Granite's it is
multiplied by a factor, and in Cohere's attention and MLP stand side by side. Which modules these are is found by a
short pass, whatever their names.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import accumulate, product
from operator import mul
from typing import Any, Self

import torch
from torch import Tensor, nn

from extract.models.checkpoint import Checkpoint
from extract.models.families import OWN_INPUTS, has_own_inputs, is_attention
from extract.models.weights.quantised import matrix_of
from schemas.errors import HeadflowError
from schemas.text import one_line

TOKENS = 4  # of the pass in which modules are found
_EXACT, _ROUGH = 1e-4, 0.1  # differences that are rounding, in float32 and in half precision
NOT_SUPPORTED = "direct contributions and layer profiles are not supported"


@dataclass(frozen=True)
class Norm:
    """`x / rms(x) * scale` with `rms(x) = sqrt(mean(x^2) + eps)` (Zhang and Sennrich 2019, arXiv:1910.07467).

    Attributes:
        scale: float32 [width].
        centred: whether the mean of `x` is subtracted first, as in Cohere's (Ba et al. 2016, arXiv:1607.06450).
    """

    scale: Tensor
    eps: float
    centred: bool

    @classmethod
    def of(cls, module: nn.Module) -> Self:
        """The norm that a module computes; its weight is the scale, or the scale minus 1 (Gemma).

        Raises:
            HeadflowError: it computes something else, such as a norm that adds a bias.
        """
        weight = getattr(module, "weight", None)
        eps = getattr(module, "variance_epsilon", getattr(module, "eps", None))
        if isinstance(weight, Tensor) and isinstance(eps, float):
            random = torch.Generator().manual_seed(0)
            x = torch.randn(4, len(weight), generator=random).to(weight) + 1
            with torch.no_grad():
                expected = module(x).float()
            tolerance = (1e-4 if weight.dtype == torch.float32 else 0.03) * float(expected.norm())
            own = weight.detach().float()
            for scale, centred in product((own, 1 + own), (False, True)):
                norm = cls(scale, eps, centred)
                if float((norm(x) - expected).norm()) <= tolerance:
                    return norm
        raise HeadflowError(f"its {type(module).__name__} is no norm without a bias; {NOT_SUPPORTED}")

    def on(self, device: torch.device) -> Self:
        """The same with its scale on a device."""
        return replace(self, scale=self.scale.to(device))

    def rms(self, x: Tensor) -> Tensor:
        """[..., width] -> float32 [...]; of what is left of `x` without its mean, if that is subtracted."""
        return (self._centre(x.float()).square().mean(dim=-1) + self.eps).sqrt()

    def __call__(self, x: Tensor) -> Tensor:
        """[..., width] -> float32 [..., width]."""
        return self._centre(x.float()) / self.rms(x)[..., None] * self.scale

    def before(self, directions: Tensor) -> Tensor:
        """Directions of what it gives as those of what it gets, but for `rms`: float32 [directions, width]."""
        return self._centre(directions * self.scale)

    def _centre(self, x: Tensor) -> Tensor:
        return x - x.mean(dim=-1, keepdim=True) if self.centred else x


@dataclass(frozen=True)
class Addition:
    """A module whose output is added to the residual stream.

    Attributes:
        norm: what the output goes through first; None: nothing.
        factor: what it is multiplied by until the final norm: as it is added, as in Granite, and by later layers.
    """

    module: nn.Module
    norm: Norm | None
    factor: float

    def on(self, device: torch.device) -> Self:
        """The same with the scale of its norm on a device; the module stays where it is."""
        return self if self.norm is None else replace(self, norm=self.norm.on(device))


@dataclass(frozen=True)
class Decoder:
    """The parts of a language model.

    Attributes:
        layers: its decoder layers; each gets the hidden states of all tokens.
        attention: of each layer the projection of the heads' outputs, or of what it has in the place of attention;
            `mlp`: of each layer the MLP.
        final: the module of the final norm; `norm`: what it computes.
        kept: what the embedding is multiplied by until there: by layers that multiply what they give, as Gemma 4's.
        heads: attention heads of each layer that attends.
        attending: the layers that attend, in order.
        gates: of each of these the query projection, if it also gives a gate for each number of the heads' outputs, by
            whose sigmoid they are multiplied before the projection; else None.
    """

    layers: list[nn.Module]
    attention: list[Addition]
    mlp: list[Addition]
    final: nn.Module
    norm: Norm
    kept: float
    heads: int
    attending: Sequence[int]
    gates: list[nn.Module | None]

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Self:
        """The parts of a checkpoint's language model.

        Raises:
            HeadflowError: it is built in another way.
        """
        home = checkpoint.device
        try:
            if has_own_inputs(checkpoint.stack.config):
                raise HeadflowError(f"its {OWN_INPUTS}; {NOT_SUPPORTED}")
            layers = list(checkpoint.stack.layers)
            calls = _Calls(layers)
            with calls.reading():
                _run(checkpoint)
            kept = [*accumulate(map(_scalar, reversed(layers)), mul)][::-1]
            additions = [calls.additions(layer, kept[layer]) for layer in range(len(layers))]
            return cls(
                layers=layers,
                attention=[attention.on(home) for attention, _ in additions],
                mlp=[mlp.on(home) for _, mlp in additions],
                final=checkpoint.final_norm,
                norm=Norm.of(checkpoint.final_norm).on(home),
                kept=kept[0],
                heads=checkpoint.heads,
                attending=checkpoint.attending,
                gates=[_gate(layers[each], additions[each][0].module) for each in checkpoint.attending],
            )
        except (AttributeError, HeadflowError) as error:
            what = str(error) if isinstance(error, HeadflowError) else f"{error}; {NOT_SUPPORTED}"
            raise HeadflowError(f"{checkpoint.architecture} is not built as LLaMA or Gemma is: {what}") from None

    def head_weights(self, layer: int) -> Tensor:
        """How each head's output is projected into the residual stream, float32 [heads, head_dim, width]."""
        weight = matrix_of(self.attention[layer].module, self.final.weight.dtype)  # type: ignore[arg-type]
        return weight.to(self.norm.scale.device).T.unflatten(0, (self.heads, -1))


def _gate(layer: Any, projection: Any) -> nn.Module | None:
    """See `Decoder.gates`: what projects to twice as many numbers as heads put out, which `projection` takes."""
    query = getattr(getattr(layer, "self_attn", None), "q_proj", None)
    return query if getattr(query, "out_features", None) == 2 * projection.in_features else None


def _run(checkpoint: Checkpoint) -> None:
    try:
        checkpoint.run_stack(TOKENS)
    except Exception as error:  # a model raises anything
        raise HeadflowError(f"a pass of {TOKENS} tokens failed: {one_line(error)[:200]}; {NOT_SUPPORTED}") from error


@dataclass(frozen=True)
class _Call:
    """One call of a module: what it got first, and what it gave."""

    module: nn.Module
    given: Any
    made: Any


class _Calls:
    """What each layer calls in a short pass.

    Attributes:
        children: by layer, the calls of the modules that it has, in order; those that give what they got are left out.
        inside: of modules that the attention of any layer has.
        layers: those of the layers themselves.
    """

    def __init__(self, layers: list[nn.Module]) -> None:
        self.children: list[list[_Call]] = [[] for _ in layers]
        self.inside: list[_Call] = []
        self.layers: list[_Call] = []
        self._layers = layers

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read the pass that runs in this context."""
        with ExitStack() as hooks:
            for layer, calls in zip(self._layers, self.children, strict=True):
                hooks.callback(layer.register_forward_hook(self._keep(self.layers), with_kwargs=True).remove)
                for child in layer.children():
                    hooks.callback(child.register_forward_hook(self._keep(calls), with_kwargs=True).remove)
                    for module in [*child.modules()][1:] if is_attention(child) else ():
                        hooks.callback(module.register_forward_hook(self._keep(self.inside), with_kwargs=True).remove)
            yield

    @staticmethod
    def _keep(calls: list[_Call]) -> Callable[..., None]:
        def keep(module: nn.Module, given: tuple[Any, ...], named: dict[str, Any], made: Any) -> None:
            first, only = given[0] if given else named.get("hidden_states"), first_of(made)
            if only is not first:
                calls.append(_Call(module, first, only))

        return keep

    def additions(self, layer: int, kept: float) -> tuple[Addition, Addition]:
        """What a layer adds by its attention, or by what it has in its place, and by its MLP, which runs after it.

        What a module gives is added if no other one gets it: what the attention or the MLP gives, or a norm after it.

        Args:
            kept: what this layer and all after it multiply by what they give, together.

        Raises:
            HeadflowError: it adds something else.
        """
        calls = self.children[layer]
        taken = [call.given for call in calls]
        ends = [call for call in calls if not any(call.made is each for each in taken)]
        if len(ends) != 2:
            names = ", ".join(type(end.module).__name__ for end in ends)
            raise HeadflowError(f"a layer adds what {names or 'no module'} gives, not two modules; {NOT_SUPPORTED}")
        factors = [kept * factor for factor in _factors(self.layers[layer], ends)]
        first, second = (self._addition(end, calls, factor) for end, factor in zip(ends, factors, strict=True))
        return first, second

    def _addition(self, end: _Call, calls: list[_Call], factor: float) -> Addition:
        before = next((call for call in calls if call.made is end.given), None)
        norm = Norm.of(end.module) if before is not None and _is_norm(end.module) else None
        call = before if before is not None and norm is not None else end
        return Addition(self._projection(call) if is_attention(call.module) else call.module, norm, factor)

    def _projection(self, attention: _Call) -> nn.Module:
        """The matrix that makes what an attention gives of what its heads give."""
        module = next((call.module for call in reversed(self.inside) if call.made is attention.made), None)
        if module is None or not isinstance(getattr(module, "in_features", None), int):
            what = "no module" if module is None else f"a {type(module).__name__}"
            raise HeadflowError(f"what heads give is projected by {what}, not by a matrix; {NOT_SUPPORTED}")
        return module


def _factors(layer: _Call, ends: list[_Call]) -> list[float]:
    """By what a layer multiplies what it adds, exactly 1 where it differs from that by rounding.

    The first token, whose numbers may be very large, is left out.

    Raises:
        HeadflowError: it adds something else.
    """
    shape = layer.made.shape
    if any(end.made.numel() != shape.numel() for end in ends):
        raise HeadflowError(f"a layer adds numbers of other shapes than its own; {NOT_SUPPORTED}")
    given, made, *added = (
        each.reshape(shape)[0, 1:].flatten().double().cpu()
        for each in (layer.given, layer.made, *(end.made for end in ends))
    )
    matrix, change = torch.stack(added, dim=1), made / _scalar(layer.module) - given
    factors = torch.linalg.lstsq(matrix, change).solution
    exact = layer.made.dtype == torch.float32
    if exact and not (matrix @ factors - change).norm() <= _EXACT * (change.norm() + made.norm()):
        raise HeadflowError(f"a layer adds more than {len(ends)} modules give; {NOT_SUPPORTED}")
    tolerance = _EXACT if exact else _ROUGH
    return [1.0 if abs(factor - 1) <= tolerance else factor for factor in factors.tolist()]


def _scalar(layer: nn.Module) -> float:
    """What a layer multiplies by all that it gives."""
    return float(getattr(layer, "layer_scalar", 1.0))


def _is_norm(module: nn.Module) -> bool:
    return next(module.children(), None) is None and getattr(getattr(module, "weight", None), "ndim", 0) == 1


def first_of(made: Any) -> Any:
    """What a module gives, or the first of several things."""
    return made[0] if isinstance(made, tuple) else made
