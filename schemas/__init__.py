"""The contract between the two stages: what a run is, as data. Needs neither torch nor pandas.

In the order of the flow:

    roles.py      which role each token of a prompt has, and which queries are averaged
    columns.py    the columns of the tables `heads` and `samples`
    texts.py      text that UTF-8 can hold
    ids.py        how samples are named
    manifest.py   the fields of `run.json`
    parquet_files.py  opening Parquet, and one line that says what is wrong with it
    run.py        where the files of a run lie, and how a run is opened
    locks.py      locks between processes that do not outlive their owner
    resume.py     whether a run that lies there is the one that a command asks for
    parts.py      one part of a run: two Parquet files
    writer.py     the one place that writes runs: gathers, goes on, lists parts
    validate.py   what is wrong with a run, one line each
    flags.py      values of flags, for the commands of both stages
    json_files.py a JSON object in a file, or one line that says why not
    errors.py     the error that reaches a user as one line

`python -m schemas` prints the tables of the README.
"""
