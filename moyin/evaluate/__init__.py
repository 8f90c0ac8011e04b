"""Benchmarks: a suite of prompts, a judge of images, a report."""
