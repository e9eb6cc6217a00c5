"""The shipped gunicorn configuration without its access log, which no command line can take away."""

import runpy
from pathlib import Path

globals().update(runpy.run_path(str(Path(__file__).parent.parent / "gunicorn.conf.py")))

accesslog = None
