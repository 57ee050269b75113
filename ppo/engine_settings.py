"""Who samples the rollouts: the settings, and which of them go together. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from alignment.config import Settings, setting
from alignment.errors import UserError


@dataclass(frozen=True)
class EngineSettings(Settings):
    """What `align ppo` takes besides: the sampler, where it answers, and how far its own log-probs are trusted."""

    rollout_engine: Literal["transformers", "vllm"] = setting(
        "transformers",
        help="who samples the rollouts: this process, or the vLLM server at --vllm-url, which gets the weights before each",
        source="ours: one device is enough",
    )
    vllm_url: str | None = setting(
        None,
        help="address of the server that `trl vllm-serve --model DIR` runs on another GPU, for example http://localhost:8000",
        source="no default: give one",
    )
    vllm_group_port: int = setting(
        51216,
        help="port of this machine at which the vLLM server fetches the weights; each run on a machine needs its own",
        low=1,
        high=65535,
        source="TRL's VLLMClient",
    )
    importance_cap: float = setting(
        2.0,
        help="with --rollout-engine vllm, a token's loss is weighted by policy/sampler, at most by this",
        above=0.0,
        source="Yao et al. 2025 (fengyao.notion.site/off-policy-rl) truncate; 2: verl; TRL 1.16 has 3",
    )


def require_coherent(settings: Any) -> None:
    """UserError where the settings of the sampler do not go together."""
    vllm, url = settings.rollout_engine == "vllm", settings.vllm_url
    if vllm != (url is not None):
        raise UserError(
            f"--rollout-engine is {settings.rollout_engine} and --vllm-url is {url or 'none'}; give both, for example "
            "--rollout-engine vllm --vllm-url http://localhost:8000, or none of them"
        )
    if url is not None and not _is_address(url):
        raise UserError(f"--vllm-url is {url}; it must be an address such as http://localhost:8000")
    if vllm and (settings.top_p, settings.top_k) != (1.0, 0):
        raise UserError(
            f"--rollout-engine is vllm with --top-p {settings.top_p:g} --top-k {settings.top_k}; they must be 1 and 0: the "
            "sampler's log-probs would be of the cut distribution, the policy's are of the whole"
        )


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:  # a port that is none
        return False
