"""Synthesis of text images: layouts, fonts, effects and captions."""
