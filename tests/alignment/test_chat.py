"""Text ⇄ tokens ⇄ masks. Each test was seen to fail under the mutation named beside it (in `alignment/chat.py`):

- response mask from `ids != pad` (or `!= eos`): test_collate_by_hand, test_masks_do_not_depend_on_what_the_pad_id_is
- position ids not from the mask: test_collate_by_hand, test_left_padding_changes_no_log_prob
- attention mask True on the left padding: test_left_padding_changes_no_log_prob
- select does not trim, or trims one column too many: test_select_trims_and_keeps_every_row
- EOS left at the end of prompts: test_a_prompt_is_not_closed
- EOS added to unfinished responses: test_response_ids_by_hand
- first stop not counted, or stops looked for in the prompt: test_a_response_ends_with_its_first_stop
- responses tokenized on their own, or no new line tried before them: test_a_response_that_would_merge_with_its_prompt_keeps_its_text
- decode_response of the response alone: test_a_dummy_prefix_space_stays_out_of_the_middle
"""

from __future__ import annotations

import pytest
import torch
from models import KINDS, tiny_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from alignment.chat import (
    Tokens,
    collate,
    decode_response,
    encode_prompt,
    encode_response,
    padding_id,
    prompt_string,
    stop_ids,
)
from alignment.config import GenerationSettings
from alignment.errors import UserError
from alignment.logprobs import response_logprobs
from alignment.models import load_policy
from alignment.sampling import first_stop_mask, generate

CHAT = [{"role": "user", "content": "Where is the boat?"}]
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
VARIANTS = [("own", False), ("own", True), ("none", False), ("none", True), ("eos", False), ("eos", True)]


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """(model, tokenizer) of a tiny model, made once for each combination."""
    made = {}

    def loaded(kind="llama", pad="own", bos_is_eos=False):
        key = (kind, pad, bos_is_eos)
        if key not in made:
            folder = tmp_path_factory.mktemp("model")
            made[key] = load_policy(tiny_model(kind, folder, pad=pad, bos_is_eos=bos_is_eos), "--policy")
        return made[key]

    return loaded


def sentencepiece_like(special_prefix: bool) -> PreTrainedTokenizerFast:
    """A tokenizer that, like Llama's, puts a dummy space before every text and turns it off when it decodes."""
    raw = Tokenizer(models.BPE(unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    raw.decoder = decoders.Metaspace(prepend_scheme="always", split=True)
    trainer = trainers.BpeTrainer(vocab_size=120, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False)
    raw.train_from_iterator(["the cat sat on the mat", "the dog ran"] * 3, trainer)
    if special_prefix:
        raw.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>")


def test_collate_by_hand():
    """PAD and EOS are the same id, 2, and it also stands in the prompt and ends a response: masks are by position."""
    tokens = collate([[7], [2, 7, 8]], [[9, 2, 5], [2]], pad_id=2)
    assert tokens.input_ids.tolist() == [[2, 2, 7, 9, 2, 5], [2, 7, 8, 2, 2, 2]]
    assert tokens.attention_mask.int().tolist() == [[0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]]
    assert tokens.response_mask.int().tolist() == [[1, 1, 1], [1, 0, 0]]
    assert tokens.position_ids.tolist() == [[0, 0, 0, 1, 2, 3], [0, 1, 2, 3, 3, 3]]
    assert tokens.response_ids.tolist() == [[9, 2, 5], [2, 2, 2]]
    assert (tokens.prompt_length, len(tokens)) == (3, 2)
    assert tokens.rows() == [([7], [9, 2, 5]), ([2, 7, 8], [2])]


def test_an_empty_response_has_one_masked_place():
    tokens = collate([[7, 8]], [[]], pad_id=0)
    assert tokens.input_ids.tolist() == [[7, 8, 0]]
    assert tokens.response_mask.tolist() == [[False]]
    assert tokens.rows() == [([7, 8], [])]


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="shapes differ"):
        Tokens(torch.zeros(2, 3), torch.ones(2, 4, dtype=torch.bool), torch.ones(2, 1, dtype=torch.bool))
    with pytest.raises(ValueError, match="shapes differ"):
        Tokens(torch.zeros(2, 3), torch.ones(2, 3, dtype=torch.bool), torch.ones(1, 1, dtype=torch.bool))


def test_select_trims_and_keeps_every_row():
    tokens = collate([[7], [1, 7, 8], [5, 6]], [[9, 2, 5, 5], [2], [3, 4]], pad_id=0)
    some = tokens.select(torch.tensor([2, 0]))
    assert some.rows() == [tokens.rows()[2], tokens.rows()[0]]
    assert some.input_ids.tolist() == [[5, 6, 3, 4, 0, 0], [0, 7, 9, 2, 5, 5]]
    assert tokens.select(slice(1, 2)).input_ids.tolist() == [[1, 7, 8, 2]]
    assert tokens.select(slice(0, 3)).input_ids.tolist() == tokens.input_ids.tolist()


@pytest.mark.parametrize("pad_id", [0, 1, 2, 200])
def test_masks_do_not_depend_on_what_the_pad_id_is(load, pad_id):
    """... and neither do log-probs."""
    model, _ = load()
    prompts, responses = [[1, 40, 41], [1, 50]], [[60, 61, 2], [70, 2]]
    tokens, other = collate(prompts, responses, pad_id), collate(prompts, responses, 99)
    assert torch.equal(tokens.response_mask, other.response_mask)
    assert torch.equal(response_logprobs(model, tokens)[0], response_logprobs(model, other)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_left_padding_changes_no_log_prob(load, kind):
    model, _ = load(kind)
    prompts, responses = [[1, 40], [1, 50, 51, 52, 53, 54, 55]], [[60, 61, 62, 2], [70, 71]]
    together = response_logprobs(model, collate(prompts, responses, 0))
    for row, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
        alone = response_logprobs(model, collate([prompt], [response], 0))
        for values, expected in zip(together, alone, strict=True):
            torch.testing.assert_close(values[row, : len(response)], expected[0], rtol=0, atol=2e-6)
            assert not values[row, len(response) :].any()


@pytest.mark.parametrize(("pad", "bos_is_eos"), VARIANTS)
def test_every_kind_of_special_tokens_gives_the_same_tokens(load, pad, bos_is_eos):
    """Whatever PAD, BOS and EOS are, the prompt begins with one BOS, has no EOS, and the response ends with one."""
    _, tokenizer = load("llama", pad, bos_is_eos)
    assert (tokenizer.pad_token_id is None) == (pad == "none")
    assert (tokenizer.bos_token_id == tokenizer.eos_token_id) == bos_is_eos
    prompt, response = encode_prompt(tokenizer, "The cat"), encode_response(tokenizer, "The cat", " sat.")
    words = tokenizer("The cat sat.", add_special_tokens=False).input_ids
    assert [*prompt[1:], *response[:-1]] == words
    assert (prompt[0], response[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)
    batch = collate([prompt, prompt[:2]], [response, response[:1]], padding_id(tokenizer))
    assert batch.response_mask.sum(1).tolist() == [len(response), 1]
    assert batch.attention_mask.sum(1).tolist() == [len(prompt) + len(response), 3]
    assert decode_response(tokenizer, prompt, response) == " sat."


def test_response_ids_by_hand(load):
    _, tokenizer = load()
    words = tokenizer(" sat.", add_special_tokens=False).input_ids
    assert encode_response(tokenizer, "The cat", " sat.", finished=True) == [*words, tokenizer.eos_token_id]
    assert encode_response(tokenizer, "The cat", " sat.", finished=False) == words
    assert encode_response(tokenizer, "The cat", "", finished=True) == [tokenizer.eos_token_id]


def test_a_prompt_is_not_closed():
    tokenizer = sentencepiece_like(special_prefix=True)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    words = tokenizer("the cat", add_special_tokens=False).input_ids
    assert encode_prompt(tokenizer, "the cat") == [1, *words]
    assert encode_prompt(tokenizer, "the cat</s>") == [1, *words, 2]  # one that the user wrote stays


def test_an_empty_prompt_gets_a_first_token(load):
    _, tokenizer = load()
    assert encode_prompt(tokenizer, "") == [tokenizer.bos_token_id]
    bare = sentencepiece_like(special_prefix=False)
    assert encode_prompt(bare, "") == [1]
    bare.bos_token = None
    assert encode_prompt(bare, "") == [2]
    bare.eos_token = None
    with pytest.raises(UserError, match="BOS or EOS"):
        encode_prompt(bare, "")


def test_a_dummy_prefix_space_stays_out_of_the_middle():
    tokenizer = sentencepiece_like(special_prefix=True)
    prompt, response = encode_prompt(tokenizer, "the cat"), encode_response(tokenizer, "the cat", " sat")
    assert prompt + response[:-1] == tokenizer("the cat sat").input_ids
    assert decode_response(tokenizer, prompt, response) == " sat"


@pytest.mark.parametrize(
    ("prompt", "response"), [("the c", "at sat"), ("the ", "cat"), ("the cat ", " sat"), ("", "mat")]
)
def test_a_response_that_would_merge_with_its_prompt_keeps_its_text(load, prompt, response):
    """Tokens of prompt + response differ from those of the prompt there; the response still decodes to what it is."""
    for tokenizer in (load()[1], sentencepiece_like(special_prefix=True)):
        ids = encode_prompt(tokenizer, prompt)
        assert decode_response(tokenizer, ids, encode_response(tokenizer, prompt, response)) == response


def test_decoding_gives_back_what_was_encoded(load):
    for tokenizer in (load()[1], sentencepiece_like(special_prefix=True)):
        prompt = encode_prompt(tokenizer, "the cat")
        for text in (" sat on the mat", " on", ""):
            response = encode_response(tokenizer, "the cat", text)
            assert decode_response(tokenizer, prompt, response) == text


def test_messages_go_through_the_chat_template(load):
    _, tokenizer = load()
    with pytest.raises(UserError, match="no chat template"):
        encode_prompt(tokenizer, CHAT)
    tokenizer.chat_template = TEMPLATE
    try:
        assert prompt_string(tokenizer, CHAT) == "<s>[user]Where is the boat?[assistant]"
        ids = encode_prompt(tokenizer, CHAT)
        assert ids.count(tokenizer.bos_token_id) == 1  # the template writes it, the tokenizer does not add another
        response = encode_response(tokenizer, CHAT, "At the river.")
        assert tokenizer.decode(ids + response) == "<s>[user]Where is the boat?[assistant]At the river.</s>"
    finally:
        tokenizer.chat_template = None


def test_stops_are_those_of_tokenizer_and_model(load):
    model, tokenizer = load()
    before = model.generation_config.eos_token_id
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, 77]
    try:
        assert stop_ids(tokenizer, model) == sorted([tokenizer.eos_token_id, 77])
    finally:
        model.generation_config.eos_token_id = before
    assert padding_id(load("llama", "none")[1]) == load("llama", "none")[1].eos_token_id


def test_a_response_ends_with_its_first_stop():
    responses = torch.tensor([[5, 2, 2, 2], [2, 5, 5, 2], [5, 5, 5, 5], [5, 9, 2, 5]])
    assert first_stop_mask(responses, [2, 9]).int().tolist() == [[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1], [1, 1, 0, 0]]


@pytest.mark.parametrize(("pad", "bos_is_eos"), VARIANTS)
def test_generation_masks_hold_where_bos_and_pad_are_eos(load, pad, bos_is_eos):
    """Every row: prompt as given, then up to one EOS, which counts; nothing after it does. 64 draws, some end early."""
    model, tokenizer = load("llama", pad, bos_is_eos)
    prompts = [encode_prompt(tokenizer, text) for text in ("The cat", "Anna has a red kite.")] * 32
    torch.manual_seed(0)
    model.lm_head.weight.data[tokenizer.eos_token_id] *= 3  # so that responses do end
    try:
        tokens = generate(model, tokenizer, prompts, GenerationSettings(max_new_tokens=12))
    finally:
        model.lm_head.weight.data[tokenizer.eos_token_id] /= 3
    ended = 0
    for (prompt, response), expected in zip(tokens.rows(), prompts, strict=True):
        assert prompt == expected
        assert tokenizer.eos_token_id not in response[:-1]
        ended += response[-1] == tokenizer.eos_token_id
        assert response[-1] == tokenizer.eos_token_id or len(response) == 12
    assert 0 < ended < 64
