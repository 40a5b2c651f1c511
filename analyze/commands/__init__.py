"""The commands of `python -m analyze`: each does its work, prints, and writes files.

opening   what they share: opening a run, and the folder that files go to
plots, summary, verify, compare, diagnose, prompts   a command each
runs      validate, subset, merge
legacy    export-pt, import-pt
"""
