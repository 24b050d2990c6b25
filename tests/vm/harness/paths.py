# SPDX-License-Identifier: GPL-2.0
"""Where things are: the harness, the project, and what is built."""
from pathlib import Path

VM = Path(__file__).resolve().parent.parent
PROJECT = VM.parent.parent
CACHE = PROJECT / "build" / "vm"
