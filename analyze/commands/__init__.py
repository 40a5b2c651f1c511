"""The commands of `python -m analyze`: each does its work, prints, and writes files; `opening` beside them is shared.

plots, summary, verify, compare, report, card   a command each
runs, legacy   validate, subset, merge; export-pt, import-pt
answers/       what a run answers: diagnose, image, prompts
heads/         what its heads do: maps, prune
"""
