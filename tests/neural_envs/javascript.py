"""Modules of the exported page, run by node."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

import neural_envs

STATIC = Path(neural_envs.__file__).parent / "web_export" / "static"
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(not NODE, reason="there is no node: apt install nodejs")


def run(module: str, code: str, given=None):
    """What `code` returns, with the module as `own` and the JSON value as `given`."""
    script = f"""
import * as own from {json.dumps((STATIC / module).as_uri())};
import {{ readFileSync }} from "node:fs";
const given = JSON.parse(readFileSync(0, "utf8"));
const result = await (async () => {{ {code} }})();
process.stdout.write(JSON.stringify(result, (_, x) => typeof x === "bigint" ? String(x) : x));
"""
    done = subprocess.run(
        [str(NODE), "--input-type=module", "-e", script],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
