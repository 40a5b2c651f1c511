"""The commands of `python -m analyze`: each does its work, prints, and writes files; `opening` beside them is shared.

plots, summary, verify, compare, diagnose, prompts, prune   a command each
runs      validate, subset, merge
legacy    export-pt, import-pt
"""
