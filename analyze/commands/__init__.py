"""The commands of `python -m analyze`: each does its work, prints, and writes files; `opening` beside them is shared.

plots, compare, prompts, prune, maps, report   a command each
diagnose  diagnose, image
summary   summary, verify
runs      validate, subset, merge, export-pt, import-pt
"""
