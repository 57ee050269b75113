"""Kernels of the hot path: from hidden states and the output weight to per-token log-probs, entropy and loss.

One file per op, each the plain torch form that runs on any device (`linear_logprob`,
`fused_linear_token_loss`), what the two share (`logit_tiles`), and the float64 twin that the tests hold
them to (`reference`). Imports torch and nothing of the house. The directory above has no `__init__.py`,
ever: a top-level package `kernels` would shadow the one that transformers and TRL look for.

Dimension letters: N tokens, D hidden, V vocabulary.
"""
