"""`neural-envs report BUNDLE`: one page about a bundle that one would rather look at than read."""

from agents.report.command import main

__all__ = ["main"]
