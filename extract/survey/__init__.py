"""Which models can be run: the table of families, or what would happen to one. Run by `python -m extract families`.

settings  what can be asked
table     what each family offers, in words
command   the table, or a model by its config files
"""
