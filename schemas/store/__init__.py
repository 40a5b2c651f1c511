"""Runs on disk.

run             how a run is opened
ledger          a chunk's ledger: its parts and sessions
grids           which rows a sample has in each table
part_files      one part of a run: a Parquet file for each table
thumbnails      small pictures of a run's images
jobs            jobs on a run, each a run itself
directory       the directory of a run: whether there is one, and removing it
writer          writes runs
identity        whether the run in a directory is the one that a command asks for
"""
