"""The tokenizer that LLaVA was released with: LLaMA's own, on a SentencePiece model, token for token.

transformers' conversion of `tokenizer.model` differs from it if a text begins with a space, or if a space follows
a special token.
"""

from typing import Any

from transformers.tokenization_utils_sentencepiece import SPIECE_UNDERLINE, SentencePieceBackend


class SentencePieceLlamaTokenizer(SentencePieceBackend):
    """LLaMA's tokenizer, as transformers 4 had it (`LlamaTokenizer`, the slow one).

    With `legacy` each text between special tokens is prefixed by a space; without, only the first one is.
    """

    def tokenize(self, text: str, **options: Any) -> list[str]:
        """Pieces of a text, the first of which is not a space if the text begins with a special token."""
        if self.legacy or not text:
            return super().tokenize(text, **options)
        tokens = super().tokenize(SPIECE_UNDERLINE + text.replace(SPIECE_UNDERLINE, " "), **options)
        prefixed = len(tokens) > 1 and tokens[0] == SPIECE_UNDERLINE and tokens[1] in self.all_special_tokens
        return tokens[1:] if prefixed else tokens

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """BOS, then the tokens."""
        return [self.bos_token_id, *token_ids_0, *(token_ids_1 or [])]

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """The text that pieces spell, bytes included, without the space that a text begins with."""
        return self.sp_model.decode([tokens[0].removeprefix(SPIECE_UNDERLINE), *tokens[1:]]) if tokens else ""
