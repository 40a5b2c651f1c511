"""The parts of the guide that are made or held: the reference, from the code, and what pages quote.

quotes   what pages quote of commands, run and compared; `make tour` ends with it
pages    which pages have which tables; `make reference` writes them
flags    the flags of a stage, from the settings of its commands
tables   the contract and the model families
notebook what a run offers in a notebook
words    Chinese for what the code says in English; `chinese/` has it
"""
