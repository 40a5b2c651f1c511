"""Artefacts and the recipes that make them; no library code."""
