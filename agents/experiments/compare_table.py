"""What `neural-envs compare` found, as one Markdown table that is also read in a terminal."""

from collectors.progress import counted

# figure of the card -> head of its column
SHARED = {"one_step.psnr": "PSNR", "one_step.ssim": "SSIM"}
OWN = {  # what else matters most in a world; elsewhere the frames after a long rollout
    "snake": {
        "rules.transition_exact_rate": "exact",
        "survival.astar.one_head_one_food": "one head, one food",
    },
    "pong": {"rules.one_ball": "one ball", "rules.rollout.ball_error.32": "ball error, 32 steps"},
    "worldmap": {"rules.shift_error": "shift error", "rules.known_psnr": "known PSNR"},
}
OTHERS = {"rollout.psnr.32": "PSNR, 32 steps"}
DEEP = {"sharpness": "sharpness, dream / game", "kid": "KID"}  # at the greatest depth
TAUGHT = ("PPO steps", "real return (95 %)")


def number(value: float | None, digits: int = 3) -> str:
    """A figure with few digits; "-" where there is none."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"


def taught(row: dict) -> list[str]:
    """The steps of PPO, none for the random policy, and a mean return with its interval."""
    low, high = row["return_ci"]
    return [number(row.get("steps")), f"{row['return_mean']:.2f} ({low:.2f} to {high:.2f})"]


def cells(row: dict, figures: dict[str, str]) -> list[str]:
    """One family's line; one that failed shows why."""
    if "failed" in row:
        return [row["family"], row["preset"], f"failed: {row['failed']}"]
    rates, scores = row["frames_per_second"], row["scores"]
    size = [
        number(row["updates"]),
        f"{row['parameters'] / 1e6:.2f} M",
        f"{row['macs_per_frame'] / 1e6:.0f} M",
    ]
    fidelity = [number(scores.get(name)) for name in figures]
    return [
        row["family"],
        row["preset"],
        *size,
        *(number(rate) for rate in rates.values()),
        *fidelity,
        *(taught(row["ppo"]) if row["ppo"] else ()),
    ]


def deep_columns(result: dict) -> dict[str, str]:
    """Columns of figures of whole games, where those were played: by name of the card."""
    scores = [row["scores"] for row in result["families"] if "failed" not in row]
    names = dict.fromkeys(name for one in scores for name in one)
    depths = [int(name.split(".")[1]) for name in names if name.startswith("hold.")]
    kept = {
        f"hold.{max(depths)}.{name}": f"{text}, {max(depths)} deep"
        for name, text in (DEEP.items() if depths else ())
    }
    played = [name for name in names if name.startswith("game.")]
    return kept | {name: f"events, dream / game: {name.split('.')[1]}" for name in played}


def references(result: dict, columns: int) -> list[list[str]]:
    """Lines of the agents that were not trained in a dream."""
    names = {"random": "random policy", "real": "the real game"}
    blank = [""] * (columns - 3)
    return [[names[name], *blank, *taught(row)] for name, row in result["references"].items()]


def markdown(result: dict) -> str:
    """The table, what was measured, and on what."""
    figures = SHARED | OWN.get(result["world"], OTHERS) | deep_columns(result)
    head = [
        "family",
        "preset",
        "updates",
        "size",
        "MACs",
        "fps, 1",
        "fps, 64",
    ]
    head += [*figures.values(), *(TAUGHT if result["budget"]["ppo_steps"] else ())]
    lines = [
        head,
        *(cells(row, figures) for row in result["families"]),
        *references(result, len(head)),
    ]
    lines = [line + [""] * (len(head) - len(line)) for line in lines]
    widths = [max(3, *map(len, column)) for column in zip(*lines, strict=True)]
    text = [
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    ]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join([*text, "", *about(result)]) + "\n"


def about(result: dict) -> list[str]:
    """Sentences on budget and machine, with how much of the machine each training had."""
    budget, machine = result["budget"], result["machine"]
    limit = f" or {budget['ppo_minutes']:g} minutes" if budget["ppo_minutes"] else ""
    place = (
        machine["card"]
        or f"{machine['processor']}, {counted(machine['threads'], 'thread')} on "
        f"{counted(machine['cores'], 'core')}"
    )
    learning = (
        f", then PPO of {budget['ppo_steps']:,} steps in each dream{limit}, measured in "
        f"{budget['episodes']} real episodes"
    )
    lines = [
        f"{result['world']}: {budget['minutes']:g} minutes of training each on {result['data']}"
        f"{learning if budget['ppo_steps'] else ''}; {place}, torch {machine['torch']}."
    ]
    done = [row for row in result["families"] if "failed" not in row]
    cards = {row.get("trained_on", {}).get("cuda") for row in done} - {None, machine["card"]}
    if cards:  # the record was begun on another machine
        lines.append(f"Trained on {', '.join(sorted(cards))}; timed on the machine above.")
    shares = ", ".join(f"{row['family']} {row['cpu_seconds_per_second']:.2f}" for row in done)
    if done:
        lines.append(
            f"CPU seconds per second of each training: {shares}. MACs: multiply-adds per frame; "
            "fps: frames per second in 1 and in 64 lanes, timed in turn"
            + (
                "; real return: that of one PPO run, trained in the dream, in the real game; its "
                "95 % are over games, and another run may differ by more."
                if budget["ppo_steps"]
                else "."
            )
        )
    return lines
