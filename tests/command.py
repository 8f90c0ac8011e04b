"""The command line as tests call it."""

from collections.abc import Callable

# Arguments → exit code, stdout, stderr.
Moyin = Callable[..., tuple[int, str, str]]
