"""Stage 2, the laptop: a run in; pictures, tables and the legacy `.pt` out. Never torch, but for the `.pt`.

`python -m analyze --help`. In the order of the flow:

    flags.py        the commands and their flags
    flows.py        the flow columns as a reader meets them: label, colour, what counts as text
    blocks.py       the rows of `heads`, streamed as numpy arrays
    counts.py       one pass over the rows -> histograms and means, by category, layer and head
    histograms.py   stacked histograms, on an Axes
    heads.py        per-head bars and the layer x head heatmap, on an Axes
    figures.py      style, fonts, and files of pictures
    plots.py        all pictures of a run
    summary.py      mean, spread and quantiles, by layer and by category
    scores.py       the MME score, by category
    reference.py    published figures of a model, from data/reference
    verification.py a run held against them: settings, tolerances, verdict
    deviations.py   a run beside a reference, on an Axes
    legacy.py       the `.pt` of the earlier tool: export and import
"""
