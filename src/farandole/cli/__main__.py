"""`python -m farandole.cli` is `farandole`."""

import sys

from farandole.cli import main

sys.exit(main())
