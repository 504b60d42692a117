"""`python -m tdmm_jax.cli`: the `tdmm` command, without its script."""

import sys

from tdmm_jax.cli import main

if __name__ == "__main__":
  sys.exit(main.main())
