"""Text of people and models → HTML that is safe to show: nothing in it runs, loads, links or covers the page."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import nh3
from markdown_it import MarkdownIt

LONGEST = 20_000
"""Characters. Longer texts are shown as they are: Markdown has inputs that take time in the square of their length."""

MARKUP = re.compile(r"[`*_~|#>\\]|&\w|&#|^[ \t]*(?:[-+]|\d+[.)])\s|^(?: {4}|\t)|^[-=]{2,}\s*$", re.MULTILINE)
"""Without any of these a text is no Markdown, and needs no HTML."""

TAGS = {
    *("p", "br", "hr", "strong", "em", "s", "code", "pre", "blockquote", "ul", "ol", "li"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
HEADINGS = tuple(f"heading-{level}" for level in range(1, 7))


def _heading(renderer: Any, tokens: list[Any], index: int, options: Any, environment: Any) -> str:
    """Headings of a text must not become headings of the page: a screen reader would take them for its parts."""
    token = tokens[index]
    return f'<p class="heading-{token.tag[1]}">' if token.nesting == 1 else "</p>\n"


def _parser() -> MarkdownIt:
    made = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
    made.disable(["image", "link", "autolink", "html_block", "html_inline", "reference"])  # shown to the letter
    made.add_render_rule("heading_open", _heading)
    made.add_render_rule("heading_close", _heading)
    return made


PARSER = _parser()


@lru_cache(maxsize=2_000)
def safe_html(text: str) -> str | None:
    """None where the text is to be shown as it is. Links and images stay text, HTML is shown to the letter."""
    if len(text) > LONGEST or not MARKUP.search(text):
        return None
    return nh3.clean(
        PARSER.render(text),
        tags=TAGS,
        attributes={"ol": {"start"}},
        allowed_classes={"p": set(HEADINGS)},
        url_schemes=set(),
        strip_comments=True,
        link_rel=None,
    )
