"""Statistics in, an Axes out.

figures        style, colours, fonts, and files of pictures
panels         a picture of `analyze.pictures` -> a figure
labels         the mass columns in words
histograms     stacked histograms
heads          bars for each head, and the layer x head heatmap
verification   a run compared with published figures
"""
