"""Evaluation tasks, a file each."""
