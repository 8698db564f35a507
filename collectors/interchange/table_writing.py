"""A dataset as tables of images that the Hugging Face Hub shows and `datasets` loads: Parquet
files with a column `image` of PNG, without loss.
"""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from collectors.dataset.dataset import Dataset, DatasetError, recorded_dataset
from collectors.extras import optional
from collectors.files import put_in_place, write_atomically, writing
from collectors.interchange.own_tables import OWN, description
from collectors.interchange.writing import check_empty, header_of

GROUP_ROWS = 256  # of a table that are read at once: images are large
CARD = """---
license: mit
task_categories: [reinforcement-learning]
tags: [neural-envs, world-model]
configs:
- config_name: default
  data_files: data/*.parquet
---

# Games of {world}

{episodes} games of {world}, {steps} steps, recorded by `neural-envs` (policy: {policy}). A row is a
frame: `image`, the `action` that was chosen on seeing it, and the `reward` and the ends
(`terminated`, `truncated`) that came with the next frame. The last frame of a game has none of
these. Actions: {actions}.

```bash
neural-envs import {place} --out data/{world}
```
"""


def export_tables(data: str | Path, out: str | Path, place: str = "") -> Path:
    """Writes the dataset of a directory as tables of images into the new folder `out`; `place` is
    what the card calls it, by default the folder. Raises DatasetError.
    """
    optional("pyarrow.parquet")
    dataset, out = recorded_dataset(data, verify=True), check_empty(out)
    if dataset.spec["frame_shape"][2] not in (1, 3):
        raise DatasetError(
            f"{data} has frames of {dataset.spec['frame_shape'][2]} channels, and a PNG has 1 or 3"
        )
    temporary = out.with_name(out.name + ".exporting")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with writing(out):
            (temporary / "data").mkdir(parents=True)
            for number in range(len(dataset.shards)):
                _write_shard(dataset, number, temporary / "data")
            write_atomically(temporary / "README.md", _card(dataset, place or str(out)))
            if out.exists():
                out.rmdir()
            put_in_place(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return out


def _write_shard(dataset: Dataset, number: int, folder: Path) -> None:
    parquet = optional("pyarrow.parquet")
    entry, count = dataset.manifest["shards"][number], len(dataset.shards)
    first = dataset.shards[number].first_episode
    rows = dataset.episodes[first : first + entry["episodes"]]
    shard = {key: entry[key] for key in ("index", "quota", "episodes")}
    about = description(
        header_of(dataset), shard, [[row.seed, row.policy, row.key] for row in rows]
    )
    schema = _schema(dataset).with_metadata({OWN: about, b"huggingface": _features(dataset)})
    file = folder / f"train-{number:05d}-of-{count:05d}.parquet"
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for row in rows:
            table = _table(dataset, row.id, schema)
            writer.write_table(table, row_group_size=GROUP_ROWS)


def _table(dataset: Dataset, number: int, schema: Any) -> Any:
    """The rows of one episode, a frame each."""
    pa, episode = optional("pyarrow"), dataset.episode(number)
    frames, steps = len(episode.frames), len(episode)
    outcome = [*episode[1:5]]
    columns = {
        "episode_index": np.full(frames, number, np.int64),
        "frame_index": np.arange(frames),
        "timestamp": np.arange(frames, dtype=np.float32) / dataset.spec["fps"],
        "image": [{"bytes": png(frame), "path": None} for frame in episode.frames],
        **{
            name: [*values[:steps].tolist(), None]
            for name, values in zip(OUTCOME, outcome, strict=True)
        },
    }
    return pa.table(columns, schema=schema)


OUTCOME = ("action", "reward", "terminated", "truncated")


def _schema(dataset: Dataset) -> Any:
    pa = optional("pyarrow")
    return pa.schema(
        {
            "episode_index": pa.int64(),
            "frame_index": pa.int64(),
            "timestamp": pa.float32(),
            "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
            "action": _action_type(dataset),
            "reward": pa.float32(),
            "terminated": pa.bool_(),
            "truncated": pa.bool_(),
        }
    )


def _action_type(dataset: Dataset) -> Any:
    pa = optional("pyarrow")
    number = pa.float32() if dataset.actions.is_box else pa.int64()
    return number if dataset.actions.is_discrete else pa.list_(number)


def _features(dataset: Dataset) -> bytes:
    """The types of the columns as the Hub's `datasets` reads them: which one is an image."""
    values = {
        "episode_index": "int64",
        "frame_index": "int64",
        "timestamp": "float32",
        "reward": "float32",
        "terminated": "bool",
        "truncated": "bool",
    }
    features: dict[str, Any] = {
        name: {"dtype": kind, "_type": "Value"} for name, kind in values.items()
    }
    features["image"] = {"_type": "Image"}
    number: Any = {"dtype": np.dtype(dataset.actions.dtype).name, "_type": "Value"}
    plain = dataset.actions.is_discrete
    features["action"] = number if plain else {"feature": number, "_type": "List"}
    return json.dumps({"info": {"features": features}}).encode()


def png(frame: np.ndarray) -> bytes:
    """A frame (H, W, 1 or 3) uint8 as PNG."""
    stream = io.BytesIO()
    Image.fromarray(frame[..., 0] if frame.shape[2] == 1 else frame).save(stream, "PNG")
    return stream.getvalue()


def _card(dataset: Dataset, place: str) -> str:
    return CARD.format(
        world=dataset.spec["world"],
        episodes=len(dataset.episodes),
        steps=dataset.steps,
        policy=dataset.manifest["policy"],
        actions=", ".join(dataset.spec["action_names"]),
        place=place,
    )
