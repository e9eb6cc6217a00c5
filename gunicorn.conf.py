"""The settings of `gunicorn wsgi:app`, imported from the package. gunicorn finds this file in its working directory."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # gunicorn adds the --chdir folder only after reading this file

from scenext_service.server.gunicorn.settings import *  # noqa: F403
