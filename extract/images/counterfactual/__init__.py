"""What a model reads in place of an image, to tell what its answers owe to the image.

altered    blank, noise, or shuffled patches
swapping   another image of the same category
"""
