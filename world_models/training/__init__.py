"""The parts of a training run: processes, clips drawn ahead, checkpoints, figures,
and what a run was made with.
"""
