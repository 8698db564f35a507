"""Presets: what each `train NAME` trains."""
