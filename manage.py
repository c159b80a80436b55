"""Django's management commands, for developers; operators use `huoshui`."""

import os
import sys

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "huoshui.settings")
execute_from_command_line(sys.argv)
