"""The commands of `python -m analyze`: each does its work, prints, and writes files; `opening` beside them is shared.

plots, summary, verify, compare, diagnose, image, prompts, prune   a command each
runs      validate, subset, merge, export-pt, import-pt
"""
