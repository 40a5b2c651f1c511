"""Statistics in, an Axes out.

page           the width and the letters that pictures are made for
figures        style, titles, margins, and files of pictures
panels         a picture of `analyze.pictures` -> a figure
fonts, texts   text that can be drawn; text that fits
heads          bars for each head, and layer x head heatmaps
maps           maps on images
tokens         a text as tokens on a page, with the maps of its words
results/       the figures of one command each: verify, compare, diagnose, prompts, prune, maps
"""
