"""Clients of servers that others run: chat completions, images, captions, prompt rewriting."""
