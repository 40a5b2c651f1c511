"""The contract between the two stages: what a run is, as data. Needs neither torch nor pandas.

roles, columns   which role each token of a prompt has; the columns of a run's tables
manifest         the fields of `run.json`
store/           runs on disk: open, write, resume, validate
sample_ids       how samples are named
files, text      reading JSON and Parquet that may be damaged; text on one line
errors, cli      the errors that reach a user as one line; what both commands share
"""
