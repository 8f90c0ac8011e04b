"""The command line: verbs by name, and errors as one line.

Heavy modules are imported inside the verbs, so that `moyin --help` answers at once.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from moyin import __version__
from moyin.cli.doctor import doctor
from moyin.cli.edit import edit
from moyin.cli.evaluate import compare, evaluate
from moyin.cli.export import export
from moyin.cli.generate import generate
from moyin.cli.import_ import import_
from moyin.cli.inspect import inspect
from moyin.cli.prepare import prepare
from moyin.cli.recipes import recipes
from moyin.cli.train import train

VERBS: dict[str, Callable[..., None]] = {
    "generate": generate,
    "edit": edit,
    "prepare": prepare,
    "train": train,
    "recipes": recipes,
    "evaluate": evaluate,
    "compare": compare,
    "export": export,
    "import": import_,
    "inspect": inspect,
    "doctor": doctor,
}

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Moyin (墨印): train and run hybrid autoregressive-diffusion image generators.",
)
for _name, _verb in VERBS.items():
    app.command(_name)(_verb)

MEMORY = (
    "generate with --offload, --quantization int4 or a smaller --size (moyin doctor --checkpoint "
    "lists what fits); train with a smaller batch"
)
# What helps against an error of the library, by a part of its message.
HINTS = {
    "can't allocate memory": MEMORY,
    "out of memory": MEMORY,
    "merged into packed weights": "leave out --merge",
    "no default checkpoint": "give --checkpoint",
}


def _version(wanted: bool) -> None:
    if wanted:
        print(f"moyin {__version__}")
        raise typer.Exit


@app.callback()
def _moyin(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


def main(arguments: list[str] | None = None) -> int:
    """Run the command line. What the user can mend is one line on stderr and exit code 2."""
    try:
        return int(app(arguments, prog_name="moyin", standalone_mode=False) or 0)
    except KeyboardInterrupt:
        return _report("stopped", 130)
    except (ValueError, MemoryError) as e:
        return _report(_with_hint(e), 2)
    except ModuleNotFoundError as e:
        if (e.name or "").startswith("moyin"):
            raise
        return _report(str(e), 2)
    except OSError as e:
        full = e.errno in (errno.ENOSPC, errno.EDQUOT)
        if full and e.strerror != os.strerror(e.errno or 0):  # ours, which says what to do
            return _report(str(e.strerror), 2)
        return _report(f"no space left on disk: free some and retry ({e})" if full else str(e), 2)
    except Exception as e:
        return _other(e)


def _other(error: Any) -> int:
    """An interrupted training, typer's messages, and memory that ran out, for which frameworks
    raise RuntimeError. Any other exception is a bug and keeps its traceback."""
    if type(error).__name__ == "Interrupted":
        return _report(str(error), 130)
    if hasattr(error, "format_message"):
        return _report(error.format_message(), 2)
    if isinstance(error, RuntimeError) and _hint(error) == MEMORY:
        return _report(_with_hint(error), 2)
    raise error


def _hint(error: Exception) -> str | None:
    if isinstance(error, MemoryError):
        return MEMORY
    message = str(error).lower()
    return next((hint for part, hint in HINTS.items() if part in message), None)


def _with_hint(error: Exception) -> str:
    hint = _hint(error)
    message = "out of memory" if hint == MEMORY and not isinstance(error, ValueError) else error
    return f"{message}: {hint}" if hint else str(message)


def _report(message: str, code: int) -> int:
    print(f"moyin: {' '.join(message.split())}", file=sys.stderr)
    return code
