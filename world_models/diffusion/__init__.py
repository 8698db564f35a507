"""From noise to a frame: objectives and samplers."""
