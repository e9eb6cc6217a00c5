"""gunicorn finds this file by itself in the folder of `gunicorn wsgi:app`; the settings are the package's."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # gunicorn adds the folder of --chdir after it has read this

from scenext_service.serving.settings import *  # noqa: F403
