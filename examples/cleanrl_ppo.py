"""PPO in one file, in the style of CleanRL, in a dream whose frames never leave the device. Needs
torch alone.

    python examples/cleanrl_ppo.py --steps 200000 --device cuda

`output="torch"` makes the vector environment give and take tensors on its device. What a dream
starts from is all that comes from the host. PPO: Schulman et al. 2017 (arXiv:1707.06347); GAE:
Schulman et al. 2016 (arXiv:1506.02438). T steps, B lanes.
"""

import argparse
import time

import gymnasium as gym
import torch
from torch import Tensor, nn

import neural_envs  # noqa: F401  (registers the ids)

GAMMA, GAE, CLIP, ENTROPY, VALUE, EPOCHS, MINIBATCHES = 0.97, 0.95, 0.2, 0.01, 0.5, 3, 4


class Agent(nn.Module):
    """Patches of 4x4 pixels; a spatial softmax that finds what is rare in the frame; two heads.

    shape: (H, W, C) of a frame, H and W multiples of 4.
    """

    def __init__(self, shape: tuple[int, ...], actions: int, width: int = 16, points: int = 8):
        super().__init__()
        height, breadth, channels = shape
        self.patches = nn.Sequential(nn.Conv2d(channels, width, 4, 4), nn.ReLU())
        self.near = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU())
        self.maps = nn.Sequential(
            nn.Conv2d(width, points, 1), nn.InstanceNorm2d(points), nn.Flatten(2), nn.Softmax(2)
        )
        self.body = nn.Sequential(nn.Linear(points * (width + 2), 128), nn.ReLU())
        self.actor, self.critic = nn.Linear(128, actions), nn.Linear(128, 1)
        rows, columns = torch.linspace(-1, 1, height // 4), torch.linspace(-1, 1, breadth // 4)
        self.register_buffer("places", torch.cartesian_prod(rows, columns))

    def forward(self, frames: Tensor) -> tuple[torch.distributions.Categorical, Tensor]:
        """(B, H, W, C) uint8 -> the policy and the values (B,)."""
        grid = self.patches(frames.permute(0, 3, 1, 2).float() / 255)
        points = self.maps(grid)  # (B, points, places)
        around = points @ self.near(grid).flatten(2).transpose(1, 2)
        features = self.body(torch.cat([points @ self.places, around], 2).flatten(1))
        return torch.distributions.Categorical(logits=self.actor(features)), self.critic(features)[
            :, 0
        ]


class Rollout:
    """Plays T steps at a time; the lanes go on between them.

    `returns` are those of the episodes that ended.
    """

    def __init__(self, env: gym.vector.VectorEnv, seed: int):
        self.env, self.frames = env, env.reset(seed=seed)[0]
        self.total, self.returns = torch.zeros(env.num_envs, device=self.frames.device), []

    @torch.no_grad()
    def __call__(self, agent: Agent, steps: int) -> list[Tensor]:
        """Frames, actions, their log-probabilities, advantages and targets, each (T * B, ...)."""
        rows = []
        for _ in range(steps):
            policy, value = agent(self.frames)
            action = policy.sample()
            after, reward, ended, cut, info = self.env.step(action)
            target = reward.clone()
            if cut.any():  # a truncated episode has the value of its last frame left
                target += GAMMA * agent(info["final_obs"])[1] * (cut & ~ended)
            done = ended | cut
            rows.append((self.frames, action, policy.log_prob(action), value, target, done))
            self._count(reward, done)
            self.frames = after
        frames, actions, chances, values, rewards, dones = map(torch.stack, zip(*rows, strict=True))
        advantages = advantage(values, rewards, dones, agent(self.frames)[1])
        return [
            part.flatten(0, 1)
            for part in (frames, actions, chances, advantages, advantages + values)
        ]

    def _count(self, reward: Tensor, done: Tensor) -> None:
        self.total += reward
        self.returns += self.total[done].tolist()
        self.total[done] = 0


def advantage(values: Tensor, rewards: Tensor, dones: Tensor, last: Tensor) -> Tensor:
    """(T, B) by generalised advantage estimation; last (B,) is the value after the last step."""
    advantages, running = torch.zeros_like(values), torch.zeros_like(last)
    for step in reversed(range(len(values))):
        goes_on = (~dones[step]).float()
        after = last if step == len(values) - 1 else values[step + 1]
        running = (
            rewards[step] + GAMMA * after * goes_on - values[step] + GAMMA * GAE * goes_on * running
        )
        advantages[step] = running
    return advantages


def improve(agent: Agent, optimizer: torch.optim.Optimizer, batch: list[Tensor]) -> None:
    """A few epochs over one rollout."""
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(batch[0]), device=batch[0].device).chunk(MINIBATCHES):
            frames, actions, before, advantages, targets = (part[rows] for part in batch)
            policy, values = agent(frames)
            gains = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
            ratio = (policy.log_prob(actions) - before).exp()
            gain = torch.min(ratio * gains, ratio.clamp(1 - CLIP, 1 + CLIP) * gains).mean()
            loss = (
                VALUE * (values - targets).square().mean()
                - gain
                - ENTROPY * policy.entropy().mean()
            )
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
            optimizer.step()


def main(argv: list[str] | None = None) -> list[float]:
    """Train; print the mean return as it goes; return those of all finished episodes."""
    parser = argparse.ArgumentParser(description="PPO in a dream")
    parser.add_argument("--env", default="NeuralSnake-v0")
    for name, default in (("num-envs", 64), ("rollout", 32), ("steps", 200_000), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args(argv)
    torch.manual_seed(args.seed)
    lanes = {"num_envs": args.num_envs, "autoreset_mode": "SameStep"}
    env = gym.make_vec(args.env, device=args.device, output="torch", **lanes)
    frames, actions = env.single_observation_space, env.single_action_space
    assert isinstance(frames, gym.spaces.Box) and isinstance(actions, gym.spaces.Discrete)
    agent = Agent(frames.shape, int(actions.n)).to(args.device)
    optimizer, play, start = (
        torch.optim.Adam(agent.parameters(), lr=1e-3, eps=1e-5),
        Rollout(env, args.seed),
        time.time(),
    )
    updates = args.steps // (args.num_envs * args.rollout)
    for update in range(1, updates + 1):
        optimizer.param_groups[0]["lr"] = 1e-3 * (1 - 0.9 * (update - 1) / updates)
        improve(agent, optimizer, play(agent, args.rollout))
        if play.returns and (update % 10 == 0 or update == updates):
            latest, done = play.returns[-200:], update * args.num_envs * args.rollout
            print(
                f"{done} steps, {done / (time.time() - start):.0f}/s, return "
                f"{sum(latest) / len(latest):.2f}"
            )
    env.close()
    return play.returns


if __name__ == "__main__":
    main()
