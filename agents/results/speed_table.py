"""The table of docs/speed.md: what each backend gains, read from a file of `neural-envs bench`."""

from pathlib import Path

from agents.envs import weights_fingerprint
from agents.results.released import read_file
from agents.results.tables import OLDER, OLDER_NOTE

EAGER = "eager"
NONE = "Not measured yet: `neural-envs bench --out agents/results/measured/bench.json`.\n"


def speed_table(file: Path) -> str:
    """A row per bundle and number of lanes: frames per second of eager torch and the share of the
    machine's fastest convolution that they take, then each backend as a ratio to it, and eager
    torch and `auto` beside the DIAMOND-sized model. A sentence where the file has no backends.
    """
    figures = read_file(file) if file.is_file() else {}
    report = figures.get("backends") or {}
    names = list(dict.fromkeys(name for row in report.values() for name in row if name != EAGER))
    if not names:
        return NONE
    measured = figures.get("weights", {})
    present = {name for name in report if measured.get(name) == weights_fingerprint(name, name)}
    lines = [
        "| bundle, lanes | eager, frames/s | of the peak | "
        + " | ".join([*(f"`{name}`" for name in names), "/ DIAMOND-sized"])
        + " |",
        "|---" * (len(names) + 4) + "|",
    ]
    for bundle, backends in report.items():
        title = bundle if bundle in present else f"{bundle}{OLDER}"
        lines += [_row(title, lanes, backends, names) for lanes in backends[EAGER]]
    if len(present) < len(report):
        lines += ["", f"{OLDER_NOTE}; the present ones are not measured."]
    return "\n".join([*lines, "", _source(figures), *_ppo(figures.get("ppo") or {})]) + "\n"


def _row(title: str, lanes: str, backends: dict, names: list[str]) -> str:
    eager = backends[EAGER][lanes]
    cells = [_cell(backends.get(name, {}).get(lanes)) for name in names]
    cells.append(_beside_diamond(eager, backends.get("auto", {}).get(lanes)))
    rate = f"{eager['frames_per_second']:.0f} | {100 * eager['share_of_peak']:.0f} %"
    return f"| `{title}`, {lanes} | {rate} | " + " | ".join(cells) + " |"


def _cell(row: dict | None) -> str:
    """As "1.50 (20 %)": times eager, and the share of the peak or what `auto` took where known."""
    if row is None:
        return "-"
    share = [f"{100 * row['share_of_peak']:.0f} %"] if "share_of_peak" in row else []
    known = ", ".join([*share, *([f"`{row['runs']}`"] if "runs" in row else [])])
    return f"{row['ratio_to_eager']:.2f}" + (f" ({known})" if known else "")


def _beside_diamond(eager: dict, auto: dict | None) -> str:
    """As "71, `auto` 190": times the DIAMOND-sized model in the same run."""
    if "ratio_to_diamond" not in eager:
        return "-"
    by_auto = "" if auto is None else f", `auto` {auto['ratio_to_diamond']:.0f}"
    return f"{eager['ratio_to_diamond']:.0f}{by_auto}"


def _source(figures: dict) -> str:
    made, peaks = figures["made"], figures["convolution_peak_gmac_per_second"]
    machine = made["machine"]
    speeds = ", ".join(f"{peak:.0f} in {name}" for name, peak in peaks.items())
    rows = [row for each in figures["backends"].values() for row in each.get("auto", {}).values()]
    chosen = ", behind `auto` what it took" if any("runs" in row for row in rows) else ""
    return (
        f"Times eager in the same run, in brackets the share of the peak: the machine's fastest "
        f"convolution, {speeds}, in thousand million multiply-adds per second; `openvino-bf16` is "
        f"held against that in bfloat16{chosen}. From `{made['command']}` ({made['date']}, "
        f"{machine['vectors']}, {figures['machine']['threads']} threads); - where a backend is not "
        "installed or refused."
    )


def _ppo(report: dict) -> list[str]:
    """Lines of how long PPO takes, a table with a row per bundle."""
    if not report:
        return []
    rows = [
        f"| `{name}` | {row['dream_seconds']:.0f} s | {row['real_seconds']:.0f} s "
        f"| {row['ratio']:.2f} |"
        for name, row in report.items()
    ]
    steps = next(iter(report.values()))["steps"]
    head = f"| PPO, {steps} steps | in the dream | in the real game | ratio |"
    return ["", head, "|---|---|---|---|", *rows]
