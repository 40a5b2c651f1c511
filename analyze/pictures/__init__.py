"""What the pictures of a run show, as numbers and words; `drawing` draws them.

kinds        the kinds of pictures, each with its numbers
of_run       the pictures of a run: of its tally, and of contributions and effects of heads
overlays     maps on images
texts        generated texts, token by token
images       these images
labels       the mass columns in words and colours
file_names   file names made from categories
"""
