"""The annotators' Gradio page. It is static: data comes through `/v1`, never through a template."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import gradio as gr

HEAD = '<link rel="stylesheet" href="/ui/tokens.css"><link rel="stylesheet" href="/ui/labeling.css">'
START = "import('/ui/main.js').then((page) => page.start(element))"


def label_page() -> gr.Blocks:
    """gr.HTML compiles its template as JavaScript: nothing but our own file may ever be put into it."""
    template = files("labeling_ui").joinpath("static/labeling.html").read_text(encoding="utf-8")
    with gr.Blocks(title="Label · Instruct Loop", analytics_enabled=False, fill_width=True) as page:
        gr.HTML(html_template=template, js_on_load=START, apply_default_css=False, container=False, padding=False)
    return page


def mount(app: Any, page: gr.Blocks) -> None:
    gr.mount_gradio_app(
        app,
        page,
        "/",
        head=HEAD,
        auth_dependency=lambda request: getattr(request.scope.get("person"), "name", None),
        footer_links=[],
        run_history=False,
        allowed_paths=[],
        show_error=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        pwa=False,
    )
