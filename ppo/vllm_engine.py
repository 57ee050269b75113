"""Rollouts drawn by a vLLM server on another GPU, with the policy's weights sent to it before each.

What has been run: all of this through TRL's own client against a stand-in server that speaks the protocol over HTTP and
gets the weights over a socket. What has not: a real vLLM, NCCL, a GPU."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from peft.tuners.lora import LoraLayer

from alignment.chat import collate, padding_id
from alignment.config import GenerationSettings
from alignment.errors import UserError
from alignment.models import unwrapped
from ppo.engines import Drawn
from ppo.vllm_server import explained, weight_device

REQUESTS = 64  # open at once: as many connections as TRL's client keeps


class VLLMEngine:
    """Draws from a vLLM server. client: TRL's `VLLMClient`; stops: the token ids that end a response."""

    def __init__(
        self, policy: Any, tokenizer: Any, stops: tuple[int, ...], settings: GenerationSettings, client: Any
    ) -> None:
        self.policy, self.settings, self.client = policy, settings, client
        self.stops, self.pad_id = stops, padding_id(tokenizer)
        self.joined = False

    def sync(self) -> None:
        """Sends every weight of the policy, adapters merged, and drops what the server had computed with the old ones."""
        url = self.client.base_url
        if not self.joined:
            with explained(url, "asked to join the group that weights are sent in"):
                self.client.init_communicator(device=weight_device())
            self.joined = True
        about = [
            (name, str(weight.dtype).removeprefix("torch."), list(weight.shape))
            for name, weight, _ in _parameters(self.policy)
        ]
        with explained(url, "sent the policy's weights"):
            self.client.update_named_params(about, merged_weights(self.policy))
            self.client.reset_prefix_cache()

    def generate(self, prompts: list[list[int]]) -> Drawn:
        """One request a response, each with a seed of its own: vLLM gives all prompts of one request the same seed, so that
        equal prompts would get equal responses. The seeds come from torch's global generator."""
        seeds = torch.randint(2**31, (len(prompts),)).tolist()
        with explained(self.client.base_url, "asked for responses"):
            pool = ThreadPoolExecutor(REQUESTS)
            try:
                answers = list(pool.map(self._answer, prompts, seeds))
            finally:
                pool.shutdown(cancel_futures=True)
        tokens = collate(prompts, [ids for ids, _ in answers], self.pad_id)
        logprobs = torch.zeros(tokens.response_mask.shape)
        logprobs[tokens.response_mask] = torch.tensor([value for _, values in answers for value in values])
        where = unwrapped(self.policy).device
        return Drawn(tokens.to(where), logprobs.to(where))

    def close(self) -> None:
        """Leaves the group that weights are sent in: the next run of this process can have its port."""
        self.client.close_communicator()

    def _answer(self, prompt: list[int], seed: int) -> tuple[list[int], list[float]]:
        """(response ids, log π_sampler of each). Everything that the model's generation config could set is set here."""
        answer = self.client.generate(
            [prompt],
            temperature=self.settings.temperature,
            max_tokens=self.settings.max_new_tokens,
            logprobs=0,  # the sampled token's alone
            generation_kwargs={
                "seed": seed,
                "ignore_eos": True,  # our stop tokens, and no others, end a response
                "stop_token_ids": list(self.stops),
                "presence_penalty": 0.0,
                "frequency_penalty": 0.0,
            },
        )
        ids = answer["completion_ids"][0]
        logprobs = [math.nan if place[0] is None else place[0] for place in (answer["logprobs"] or [[]])[0]]
        self._require_sound(prompt, answer["prompt_ids"][0], ids, logprobs)
        return ids, logprobs

    def _require_sound(self, prompt: list[int], read: list[int], ids: list[int], logprobs: list[float]) -> None:
        """UserError where a response is not what was asked for: the server is another one than it says."""
        most, words = self.settings.max_new_tokens, unwrapped(self.policy).get_input_embeddings().num_embeddings
        ended = bool(ids) and ids[-1] in self.stops
        wrong = [
            (read != prompt, "read other tokens than the prompt's"),
            (not ids or len(ids) > most, f"has {len(ids)} tokens, not 1 to {most} (--max-new-tokens)"),
            (any(token in self.stops for token in ids[:-1]), "goes on after its stop token"),
            (not ended and len(ids) < most, f"ends after {len(ids)} tokens without a stop token"),
            (max(ids, default=0) >= words, f"has token {max(ids, default=0)}, but the policy has {words}"),
            (len(logprobs) != len(ids) or not all(map(math.isfinite, logprobs)), "lacks log-probs of its tokens"),
        ]
        for is_wrong, what in wrong:
            if is_wrong:
                raise UserError(
                    f"--vllm-url {self.client.base_url}: a response {what}; serve --policy, or the base of its adapter"
                )


@torch.no_grad()
def merged_weights(policy: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """(name in a checkpoint, W + Σ ΔW over the active adapters) of every parameter, one at a time.

    TRL merges into the model and takes the adapter out again, which changes W in its last bits at every sync; here W is
    never touched, so that "adapter off" stays the reference to the last bit."""
    for name, weight, layer in _parameters(policy):
        deltas = (
            []
            if layer is None
            else [layer.get_delta_weight(one) for one in layer.active_adapters if one in layer.lora_A]
        )
        yield name, sum(deltas, weight.detach())


def _parameters(policy: Any) -> Iterator[tuple[str, torch.Tensor, Any]]:
    """(name in a checkpoint, weight, the LoRA layer that changes it or None) of the bare model's parameters; tied ones once."""
    layers = {
        f"{name}.base_layer.weight": layer
        for name, layer in unwrapped(policy).named_modules()
        if isinstance(layer, LoraLayer)
    }
    for name, weight in unwrapped(policy).named_parameters():
        if ".lora_" not in name:
            yield name.replace(".base_layer.", "."), weight, layers.get(name)
