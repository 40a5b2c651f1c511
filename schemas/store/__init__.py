"""Runs on disk.

run        where the files of a run lie, and how a run is opened
parts      one part of a run: a Parquet file for each table
writer     the one place that writes runs
identity   whether the run in a directory is the one that a command asks for
locks      locks between processes that end with their owner
validate   what is wrong with a run, one line each
"""
