"""The public games of docs/any_game.md, and the file of figures that there is of each.

`measured/games/NAME/game.json` is written by `make games`: how the dream was made, what `evaluate`
and `transfer` found, shortened, and the sentence of what failed.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.results.released import FOLDER, read_file
from collectors.dataset.dataset import dataset_name
from collectors.files import write_atomically

PUBLIC_GAMES: Mapping[str, tuple[str, ...]] = {  # id -> options of the game
    "MiniGrid-DoorKey-8x8-v0": (),
    "MiniGrid-FourRooms-v0": ("size=76",),  # 19 tiles of 4 pixels
    "ALE/Breakout-v5": (),
    "ALE/Freeway-v5": (),
    "CarRacing-v3": (),
    "CrafterReward-v1": (),
    "LunarLander-v3": ("continuous=true",),
}
GAMES = FOLDER / "games"
FILE = "game.json"
OF_AN_EVALUATION = ("one_step", "reward", "termination", "control", "reduced", "seconds")
OF_A_HOLD = ("sharpness", "kid", "policy", "omitted")
OF_A_TRANSFER = ("made", "budget_steps", "seeds", "random", "dream", "real", "learned")
RATIO = ("transfer", "transfer_ci")


def shortened_evaluation(found: Mapping[str, Any]) -> dict[str, Any]:
    """What the table shows of an evaluation.json."""
    kept = {"made": found["made"], **{name: found[name] for name in OF_AN_EVALUATION}}
    rollout = {name: value for name, value in found["rollout"].items() if name != "curves"}
    hold = found["hold"]
    if "omitted" not in hold:
        hold = {
            depth: {name: row[name] for name in OF_A_HOLD if name in row}
            for depth, row in hold.items()
        }
    return {**kept, "rollout": rollout, "hold": hold}


def shortened_transfer(found: Mapping[str, Any]) -> dict[str, Any]:
    """What the table shows of a transfer.json."""
    return {name: found[name] for name in (*OF_A_TRANSFER, *RATIO)}


def write_game(folder: Path, figures: Mapping[str, Any]) -> Path:
    """Write the file of one game, whose id is in `figures`; NaN is no figure."""
    text = json.dumps(figures, indent=1, allow_nan=False) + "\n"
    return write_atomically(folder / dataset_name(figures["id"]) / FILE, text)


def read_games(folder: Path = GAMES) -> dict[str, dict[str, Any]]:
    """The files of all games that have one, by id, in the order of PUBLIC_GAMES, others behind.

    Raises ValueError with the remedy as `read_results`.
    """
    found = [read_file(file) for file in sorted(folder.glob(f"*/{FILE}"))]
    order = list(PUBLIC_GAMES)
    found.sort(key=lambda row: order.index(row["id"]) if row["id"] in order else len(order))
    return {row["id"]: row for row in found}
