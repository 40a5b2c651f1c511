"""The commands of `python -m analyze`: each does its work, prints, and writes files; `opening` beside them is shared.

plots, summary, verify, compare, prompts, prune, report   a command each
diagnose  diagnose, image
runs      validate, subset, merge, export-pt, import-pt
"""
