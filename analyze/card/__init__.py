"""A run as a folder for the Hugging Face hub: a copy without what is withheld, and a dataset card.

withheld      what of a run is not published
publishing    the copy, and the files beside it; which pictures of the run go with it
page, words   the card, with the YAML that the hub reads; its texts that are the same for all runs
sections      what it says of this run: settings, samples, score
markdown      text of data in Markdown
"""
