"""Benchmarks: a suite of prompts, a judge of pictures, a report."""
