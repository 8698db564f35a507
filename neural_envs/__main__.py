"""`python -m neural_envs VERB ...` is the command `neural-envs VERB ...`."""

import sys

from neural_envs.cli import main

if __name__ == "__main__":
    sys.exit(main())
