"""What the trainings of `transfer` computed on is kept with each, and told where it was a card."""

import dataclasses
import json
from pathlib import Path

import pytest

from agents.experiments import transfer_records
from agents.experiments.transfer import run_transfer
from agents.experiments.transfer_records import cards_of, check_training, training_record
from agents.results.released import read_results
from agents.results.tables import origin_text
from tests.agents.experiments.test_transfer import config, parts, three

__all__ = ["config", "parts"]
HASH = "ab" * 32


def test_a_transfer_names_the_cards_of_its_trainings_also_where_others_played(
    parts, config, monkeypatch
):
    used = []

    def machine_class(device):
        used.append(device)
        return {"cuda": "NVIDIA H200" if len(used) < 3 else None}

    monkeypatch.setattr(transfer_records, "machine_class", machine_class)
    first = run_transfer(dataclasses.replace(config, device="cuda"))
    assert used == ["cuda"] * 2 and first["trained_on"] == ["NVIDIA H200"]
    result = run_transfer(three(config))  # the other seeds, elsewhere
    assert used[2:] == ["cpu"] * 4 and result["trained_on"] == ["NVIDIA H200"]
    alone = json.loads((Path(config.out) / "seed_1" / "transfer.json").read_text())
    assert "trained_on" not in alone


def test_records_from_before_and_of_processors_name_no_card(parts, config):
    assert "trained_on" not in run_transfer(config)
    state = Path(config.out) / "state.json"
    kept = json.loads(state.read_text())
    assert kept["done"]["dream/train"]["machine"]["cuda"] is None
    for name in ("dream/train", "real/train"):
        del kept["done"][name]["machine"]
    state.write_text(json.dumps(kept))
    parts.calls.clear()
    assert "trained_on" not in run_transfer(config) and parts.calls == []


def test_a_record_has_the_hash_of_the_policy_and_the_machine(tmp_path):
    (tmp_path / "policy.zip").write_text("weights")
    record = training_record(tmp_path / "policy.zip", "cpu")
    assert len(record["policy"]) == 64 and record["machine"]["cuda"] is None
    check_training(record)
    assert cards_of([record, {"policy": HASH}, {"machine": {"cuda": "B"}}]) == ["B"]


@pytest.mark.parametrize("damage", [{"policy": "ab"}, {"machine": 3}, {"machine": {"cuda": 3}}])
def test_a_damaged_record_is_told_from_a_training(damage):
    with pytest.raises((AttributeError, TypeError, ValueError)):
        check_training({"policy": HASH, **damage})


def test_a_source_names_the_cards_that_its_agents_learned_on():
    machine = {"processor": "x86_64", "vectors": "AVX512", "cores": 2, "threads": 1}
    made = {"command": "neural-envs transfer", "commit": "a" * 40, "date": "2026-11-27"}
    figures = {"made": {**made, "machine": machine}}
    assert origin_text(figures).endswith("2026-11-27, x86_64 AVX512, 2 cores, 1 thread")
    text = origin_text({**figures, "trained_on": ["NVIDIA A100", "NVIDIA H200"]})
    assert text.endswith("1 thread, trained on NVIDIA A100 and NVIDIA H200")


def test_a_spread_over_world_models_names_them_too(tmp_path):
    machine = dict.fromkeys(("processor", "vectors", "cores", "threads"), 1)
    made = {"command": "c", "commit": "a" * 40, "date": "d", "machine": machine}
    figures = {"made": made, "weights": ["x", "y"], "spread": {}, "trained_on": ["NVIDIA H200"]}
    (tmp_path / "snake").mkdir()
    (tmp_path / "snake" / "spread.json").write_text(json.dumps(figures))
    ((source,),) = read_results(tmp_path).values()
    assert origin_text(source.figures).endswith("trained on NVIDIA H200")
