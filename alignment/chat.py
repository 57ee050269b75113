"""Text ⇄ tokens ⇄ masks. Every mask is made from positions, never by comparing ids: PAD, EOS and BOS may be one token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jinja2
import torch

from alignment.errors import UserError
from alignment.records import Prompt


@dataclass(frozen=True)
class Tokens:
    """Prompts, left-padded to P, followed by responses, right-padded to T.

    input_ids (B,S) int64 with S = P+T; attention_mask (B,S) bool, True = a real token;
    response_mask (B,T) bool, True = a response token that counts (EOS included).
    Example: prompt [7, 8], response [9, EOS] in a batch with P = 3, T = 3:
    input_ids [pad, 7, 8, 9, EOS, pad], attention_mask [0, 1, 1, 1, 1, 0], response_mask [1, 1, 0].
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    response_mask: torch.Tensor

    def __post_init__(self) -> None:
        if self.input_ids.shape != self.attention_mask.shape or self.response_mask.shape[0] != self.input_ids.shape[0]:
            raise ValueError(
                f"shapes differ: {self.input_ids.shape}, {self.attention_mask.shape}, {self.response_mask.shape}"
            )

    @property
    def prompt_length(self) -> int:
        """P, the padded length of the prompts."""
        return self.input_ids.shape[1] - self.response_mask.shape[1]

    @property
    def position_ids(self) -> torch.Tensor:
        """(B,S) 0 for the first real token of a row, whatever the padding before it."""
        return (self.attention_mask.long().cumsum(1) - 1).clamp(min=0)

    @property
    def response_ids(self) -> torch.Tensor:
        """(B,T)."""
        return self.input_ids[:, self.prompt_length :]

    def model_inputs(self) -> dict[str, torch.Tensor]:
        """What the transformer is called with."""
        mask = self.attention_mask.long()
        return {"input_ids": self.input_ids, "attention_mask": mask, "position_ids": self.position_ids}

    def __len__(self) -> int:
        return self.input_ids.shape[0]

    def select(self, rows: torch.Tensor | slice) -> Tokens:
        """The rows asked for, trimmed to the longest prompt and response among them: padding is never computed."""
        mask, response, ids = self.attention_mask[rows], self.response_mask[rows], self.input_ids[rows]
        start = int((self.prompt_length - mask[:, : self.prompt_length].sum(1)).min())
        end = self.prompt_length + max(int(response.sum(1).max()), 1)
        return Tokens(ids[:, start:end], mask[:, start:end], response[:, : end - self.prompt_length])

    def to(self, device: torch.device) -> Tokens:
        return Tokens(self.input_ids.to(device), self.attention_mask.to(device), self.response_mask.to(device))

    def rows(self) -> list[tuple[list[int], list[int]]]:
        """(prompt ids, response ids) of each row, without padding."""
        prompt_mask = self.attention_mask[:, : self.prompt_length]
        return [
            (ids[: self.prompt_length][prompt].tolist(), ids[self.prompt_length :][response].tolist())
            for ids, prompt, response in zip(self.input_ids, prompt_mask, self.response_mask, strict=True)
        ]


def collate(prompts: list[list[int]], responses: list[list[int]], pad_id: int) -> Tokens:
    """Token lists → one left- and right-padded batch."""
    longest_prompt, longest_response = max(map(len, prompts)), max(max(map(len, responses)), 1)
    size = (len(prompts), longest_prompt + longest_response)
    ids, mask = torch.full(size, pad_id, dtype=torch.long), torch.zeros(size, dtype=torch.bool)
    response_mask = torch.zeros((len(prompts), longest_response), dtype=torch.bool)
    for row, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
        start, end = longest_prompt - len(prompt), longest_prompt + len(response)
        ids[row, start:end] = torch.tensor(prompt + response, dtype=torch.long)
        mask[row, start:end] = True
        response_mask[row, : len(response)] = True
    return Tokens(ids, mask, response_mask)


def prompt_string(tokenizer: Any, prompt: Prompt) -> str:
    """The text that the model sees: the prompt as it stands, or its messages through the tokenizer's chat template."""
    if isinstance(prompt, str):
        return prompt
    if not tokenizer.chat_template:
        raise UserError(
            f"a prompt is a list of chat messages, but the tokenizer of {tokenizer.name_or_path} has no chat template; "
            "give prompts as text, or a model that has one"
        )
    try:
        return tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
    except jinja2.TemplateError as error:
        raise UserError(
            f"the chat template of {tokenizer.name_or_path} does not take a prompt's messages ({error}); change their "
            f"roles or order: {[message['role'] for message in prompt]}"
        ) from error


def encode_prompt(tokenizer: Any, prompt: Prompt) -> list[int]:
    """Token ids of a prompt: with the tokenizer's own leading special tokens (BOS), without an EOS at the end.

    A prompt with no token at all gets the BOS (or EOS) token, since a model needs something to continue."""
    text = prompt_string(tokenizer, prompt)
    special = isinstance(prompt, str)  # chat templates write their own special tokens
    ids = list(tokenizer(text, add_special_tokens=special).input_ids)
    plain = list(tokenizer(text, add_special_tokens=False).input_ids) if special else ids
    if len(ids) > len(plain) and ids[-1] == tokenizer.eos_token_id and ids[-len(plain) - 1 : -1] == plain:
        ids = ids[:-1]  # the tokenizer closes texts with EOS; a prompt is not closed
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    if not ids and start is None:
        raise UserError("an empty prompt needs a tokenizer with a BOS or EOS token")
    return ids or [start]


def encode_response(tokenizer: Any, prompt: Prompt, response: str, finished: bool = True) -> list[int]:
    """Token ids of a response as they follow its prompt; EOS is added when it is finished.

    Tokenized together with the prompt where that leaves the prompt's tokens as they are; else after a new line; else
    on its own. So the dummy space that some tokenizers put before a text does not appear in the middle of one."""
    ids: list[int] = []
    for start in (prompt_string(tokenizer, prompt), "\n", ""):
        before = list(tokenizer(start, add_special_tokens=False).input_ids)
        both = list(tokenizer(start + response, add_special_tokens=False).input_ids)
        if both[: len(before)] == before:
            ids = both[len(before) :]
            break
    return ids + ([tokenizer.eos_token_id] if finished and tokenizer.eos_token_id is not None else [])


def decode_response(tokenizer: Any, prompt_ids: list[int], response_ids: list[int]) -> str:
    """The response's text: what it adds to the decoded prompt, special tokens left out."""
    prompt = tokenizer.decode(prompt_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    both = tokenizer.decode(prompt_ids + response_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    if both.startswith(prompt):
        return both[len(prompt) :]
    return tokenizer.decode(response_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def stop_ids(tokenizer: Any, model: Any) -> list[int]:
    """The ids that end a response: the tokenizer's EOS and those of the model's generation config (Llama 3 has several)."""
    configured = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    several = configured if isinstance(configured, list) else [configured]
    return sorted({token for token in [tokenizer.eos_token_id, *several] if token is not None})


def padding_id(tokenizer: Any) -> int:
    """An id to fill padded places with. Any id will do, since masks come from positions."""
    for token in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if token is not None:
            return token
    return 0


def same_tokens(policy: Any, reward: Any) -> bool:
    """Whether every token of the policy has the same id in the reward model (which may have a PAD more)."""
    vocabulary = reward.get_vocab()
    return all(vocabulary.get(token) == index for token, index in policy.get_vocab().items())
