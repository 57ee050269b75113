"""`align queue`: slices, their shares and order, what is asked twice, what is left out.

Mutations seen to fail: the uniform slice drawn by another order; tasks of the store not counted as known; excluded prompts
kept; sets whose responses are all alike kept; slices swapped; runs not mixed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy
import pytest
from models import tiny_model
from refusals import refused

from alignment.cli import command
from alignment.command import main
from alignment.errors import UserError
from alignment.loop import queue
from alignment.loop.queue import INFORMATION, UNIFORM
from alignment.loop.queue_config import QueueSettings
from alignment.preferences.store import Store
from alignment.records import Response, ResponseSet, write_jsonl

NOUNS = ("boat", "kite", "moon", "river", "mat", "cat")


@pytest.fixture(scope="module")
def reward_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    from reward_model.model import new_scorer, save

    folder = tmp_path_factory.mktemp("queue")
    (folder / "reward-model").mkdir()
    save(new_scorer(tiny_model("llama", folder / "policy"), None), folder / "reward-model")
    return str(folder / "reward-model")


def sets(count: int, name: str = "p") -> list[ResponseSet]:
    def response(n: int, k: int) -> Response:
        return Response(f" {NOUNS[(n + k) % 6]} and {NOUNS[(n * k) % 6]} {n * k}.", "policy@champion")

    return [ResponseSet(f"{name}{n}", f"{name} {n}: a {NOUNS[n % 6]}", tuple(response(n, k) for k in range(4))) for n in range(count)]  # fmt: skip


def write(path: Path, records: list) -> str:
    write_jsonl(path, records)
    return str(path)


def settings(tmp_path: Path, reward_model: str, count: int = 60, **changes) -> QueueSettings:
    responses = write(tmp_path / "responses.jsonl", sets(count))
    given = {"store": str(tmp_path / "labels.db"), "responses": responses, "reward_model": reward_model, "count": 30}
    return QueueSettings(**given | {"threads": 1} | changes)


def asked(path: str) -> list[tuple[str, str]]:
    """(slice, record) of all tasks in the order in which people get them."""
    with Store(path) as store:
        store.add_annotator("simulated:reader")
        found = []
        while (task := store.next_task("simulated:reader")) is not None:
            store.submit("simulated:reader", task.lease, {"tiers": [[card.slot for card in task.cards]]}, f"key-{len(found)}-long")  # fmt: skip
            found.append(task.prompt)
        by_prompt = {label.prompt: (label.slice, label.record_id) for label in store.labels()}
        return [by_prompt[prompt] for prompt in found]


def test_shares_and_order(tmp_path: Path, reward_model: str) -> None:
    metrics = queue.run(settings(tmp_path, reward_model))
    assert (metrics["candidates"], metrics["new_tasks"], metrics[INFORMATION], metrics[UNIFORM]) == (60, 30, 20, 10)
    slices = [slice_ for slice_, _ in asked(str(tmp_path / "labels.db"))]
    assert (slices.count(INFORMATION), slices.count(UNIFORM)) == (20, 10)
    assert 1 <= slices[:15].count(UNIFORM) <= 9  # mixed: whoever stops half-way leaves both


def test_the_uniform_slice_does_not_depend_on_the_reward_model(tmp_path: Path, reward_model: str) -> None:
    """It is drawn from all candidates by the seed alone, or it could not evaluate."""
    queue.run(settings(tmp_path, reward_model, seed=3))
    drawn = {record for slice_, record in asked(str(tmp_path / "labels.db")) if slice_ == UNIFORM}
    expected = numpy.random.default_rng(3).permutation(60)[:10]
    assert drawn == {f"p{n}" for n in expected}


def test_information_beats_chance_and_comes_most_telling_first(tmp_path: Path, reward_model: str) -> None:
    by_information = queue.run(settings(tmp_path, reward_model, uniform_share=0.0))
    at_random = queue.run(settings(tmp_path, reward_model, uniform_share=1.0, store=str(tmp_path / "other.db")))
    assert by_information["nats_information"] > 1.1 * at_random["nats_uniform"]
    assert {slice_ for slice_, _ in asked(str(tmp_path / "labels.db"))} == {INFORMATION}


def test_a_second_call_asks_others_and_knows_the_first(tmp_path: Path, reward_model: str) -> None:
    first = queue.run(settings(tmp_path, reward_model, uniform_share=0.0))
    second = queue.run(settings(tmp_path, reward_model, uniform_share=0.0))
    assert (second["candidates"], second["asked_before"], second["new_tasks"]) == (30, 30, 30)
    assert second["nats_information"] < first["nats_information"]
    assert len({record for _, record in asked(str(tmp_path / "labels.db"))}) == 60
    with pytest.raises(UserError, match=r"are tasks of .* already; sample new ones"):
        queue.run(settings(tmp_path, reward_model))


def test_the_same_words_with_other_names_tell_little(tmp_path: Path, reward_model: str) -> None:
    """What the store's tasks told already is worth less than what is new: known is what is known, labelled or waiting."""
    queue.run(settings(tmp_path, reward_model, count=60))
    fresh = queue.run(settings(tmp_path, reward_model, store=str(tmp_path / "fresh.db"), uniform_share=0.0))
    again = write(
        tmp_path / "again.jsonl", [ResponseSet(f"again{one.id}", one.prompt, one.responses) for one in sets(60)]
    )
    known = queue.run(settings(tmp_path, reward_model, responses=again, uniform_share=0.0))
    assert known["nats_information"] < 0.8 * fresh["nats_information"]


def test_what_evaluates_and_what_cannot_be_ranked_is_left_out(tmp_path: Path, reward_model: str) -> None:
    same = ResponseSet("same", "all alike", (Response(" a."), Response(" a.")))
    responses = write(tmp_path / "some.jsonl", [*sets(12), same])
    hidden = write(tmp_path / "hidden.jsonl", sets(4))
    metrics = queue.run(settings(tmp_path, reward_model, responses=responses, exclude=hidden))
    assert (metrics["candidates"], metrics["new_tasks"]) == (8, 8)
    assert {record for _, record in asked(str(tmp_path / "labels.db"))} == {f"p{n}" for n in range(4, 12)}


def test_nothing_left_is_said_and_leaves_no_store(capsys, tmp_path: Path, reward_model: str) -> None:
    write(tmp_path / "responses.jsonl", sets(6))
    words = ["new.db", "--responses", "responses.jsonl", "--exclude", "responses.jsonl", "--reward-model", reward_model]
    refused(capsys, command("queue"), words, tmp_path, "no set is left that has two different responses")


def test_json_is_printed(tmp_path: Path, reward_model: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = settings(tmp_path, reward_model)
    assert (
        main(command("queue"), [line.store, "--responses", line.responses, "--reward-model", reward_model, "--json"])
        == 0
    )
    assert json.loads(capsys.readouterr().out)["new_tasks"] == 60
