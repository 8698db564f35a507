"""What a training of `transfer` leaves in its stage's record: which policy, on which machine."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from world_models.training.run_info import machine_class


def training_record(policy: Path, device: str) -> dict[str, Any]:
    """The hash of the policy's file and the class of this machine, with its card if it was used."""
    found = hashlib.sha256(policy.read_bytes()).hexdigest()
    return {"policy": found, "machine": machine_class(device)}


def check_training(found: Mapping[str, Any]) -> None:
    """Raises AttributeError, TypeError or ValueError for what no training can have left."""
    if len(bytes.fromhex(found["policy"])) != hashlib.sha256().digest_size:
        raise ValueError("no hash of a policy")
    if not all(isinstance(card, str) for card in cards_of([found])):
        raise TypeError("no name of a card")


def cards_of(trainings: Iterable[Mapping[str, Any]]) -> list[str]:
    """The names of the cards that they computed on, sorted; older records tell none."""
    cards = {each.get("machine", {}).get("cuda") for each in trainings}
    return sorted(cards - {None})
