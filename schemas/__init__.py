"""The contract between the two stages: what a run is, as data. Needs neither torch nor pandas.

roles, columns   which role each token of a prompt has; the columns of a run's tables
tasks            what an answer is
manifest, contract   the fields of `run.json`; all of this as tables in Markdown
store/           runs on disk: open, write, resume
validation/      what is wrong with a run, a line each
jobs/            later jobs on a run, such as knock-outs
workers/         tasks done in several processes, or on a Ray cluster
files/           files on a disk or an object store: where they lie, read though damaged, written whole
text             text on one line; how samples are named
commands/        settings as typed objects, and the command line made from them
errors, cli      the errors that reach a user as one line; what both commands share
"""
