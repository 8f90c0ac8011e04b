"""The command line."""

from moyin.cli.app import main

__all__ = ["main"]
