"""The annotators' app: a Gradio page on a FastAPI server, over the preference store. Never imports torch."""
