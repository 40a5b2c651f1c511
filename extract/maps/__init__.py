"""The table `maps`: where in the image each head looks, read in the same pass.

sinks    which image tokens are visual sinks, layer by layer
reader   attention on image tokens -> maps and their numbers
chosen   which heads keep their maps
tables   whose attention, of which heads, and where the tokens of images lie
"""
