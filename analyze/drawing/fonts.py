"""Fonts, and text that they can draw."""

from collections.abc import Iterable
from functools import cache

from matplotlib import font_manager

LATIN = "DejaVu Sans"  # comes with matplotlib; also has Greek, Cyrillic, Arabic and Hebrew
_OTHERS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",  # matplotlib's name for the file that holds Noto Sans CJK of all languages
    "Noto Sans SC",
    "Source Han Sans SC",
    "Microsoft YaHei",
    "PingFang SC",
    "Heiti SC",
    "Heiti TC",
    "Hiragino Sans GB",
    "SimHei",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "Malgun Gothic",
    "Arial Unicode MS",
)


def fonts() -> list[str]:
    """The fonts of all pictures: one for Latin letters, then those for Chinese, Japanese and Korean that are there."""
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return [LATIN, *(name for name in _OTHERS if name in installed)]


@cache
def _letters(names: tuple[str, ...]) -> frozenset[int]:
    """The code points of all letters in these fonts."""
    maps = (font_manager.get_font(font_manager.findfont(name)).get_charmap() for name in names)
    return frozenset(code for letters in maps for code in letters)


def undrawable(texts: Iterable[str]) -> list[str]:
    """The printable letters of some texts that are in none of the fonts, sorted."""
    known = _letters(tuple(fonts()))
    return sorted(letter for letter in set("".join(texts)) if letter.isprintable() and ord(letter) not in known)


def drawable(text: str) -> str:
    r"""The text on one line, with `\u6570` for a letter that no font has, and for a control character."""
    known = _letters(tuple(fonts()))
    return "".join(
        letter if letter.isprintable() and ord(letter) in known else letter.encode("unicode_escape").decode()
        for letter in " ".join(text.split())
    )
