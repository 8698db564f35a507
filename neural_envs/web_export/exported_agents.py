"""Trained agents beside an exported dream: a graph from frames to how likely each action is."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from neural_envs.backends.errors import ExportError
from neural_envs.backends.graph_files import write_graph
from neural_envs.web.agent_list import AgentList
from world_models.world_spec import WorldSpec


@runtime_checkable
class ExportableAgent(Protocol):
    """A player that is a network."""

    def action_network(self) -> tuple[nn.Module, tuple[int, int, int]]:
        """A module from observations (1, H, W, C * frames) uint8, the newest frame last, to how
        likely each choice is, of all parts one after another (1, A) float32, of a Box of P parts to
        means and deviations of encoded actions (1, 2 P); and the shape of one observation.
        """
        ...


def export_agents(agents: AgentList, spec: WorldSpec, folder: Path) -> list[dict[str, Any]]:
    """Write the graphs of the agents that play this world into `folder`; returns their rows of the
    page's list. Raises ExportError for an agent that is no graph.
    """
    rows, actions = [], spec.action_inputs
    for number, name in enumerate(agents.names(actions, spec.world)):
        agent, file = agents.make(name, actions, spec.world), folder / f"agent-{number}.onnx"
        if not isinstance(agent, ExportableAgent):
            raise ExportError(f"{name} cannot be exported: a {type(agent).__name__} is no network")
        network, shape = agent.action_network()
        try:
            write_graph(network, [torch.zeros(1, *shape, dtype=torch.uint8)], file)
        except ExportError as error:
            raise ExportError(f"{name} cannot be exported: {error}") from error
        stacked = shape[2] // spec.frame_shape[2]
        rows.append({"name": name, "file": file.name, "shape": list(shape), "count": stacked})
    return rows
