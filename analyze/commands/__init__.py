"""The commands of `python -m analyze`: each does its work, prints, and writes files; `opening` beside them is shared.

plots, compare, diagnose, image, prompts, prune, maps   a command each
summary   summary, verify
runs      validate, subset, merge, export-pt, import-pt
"""
