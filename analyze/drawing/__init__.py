"""Statistics in, an Axes out.

figures        style, fonts, and files of pictures
histograms     stacked histograms
heads          bars for each head, and the layer x head heatmap
verification   a run beside published figures
"""
