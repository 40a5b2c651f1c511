"""What is wrong with a run.

run       all of it: ledgers, files, the tables, and the jobs on the run
parts     the parts of a table, read one by one
samples   the table `samples`
grids     tables with a grid: whether each sample has all of its rows
values    what these rows say: masses, contributions, maps
limits    comparisons of numbers, and how far rounding goes
answers   whether the first token is an answer
"""
