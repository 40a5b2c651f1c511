"""A run as a folder for the Hugging Face hub: a copy without what is withheld, and a dataset card.

withheld      what of a run is not published
publishing    the copy, and the files beside it
pictures      which pictures of the run go with it
page, words   the card; its texts that are the same for all runs
front_matter  its YAML, which the hub reads
settings      what the card says of how the run was made
answers       what it says of the samples, and of the score
markdown      text of data in Markdown
"""
