"""What a model's texts name: whether it is in the image, and where heads look meanwhile.

finding   the words of a text that name an object, true or made up
telling   which heads tell true mentions from made-up ones; pointing while writing
results   both together, and what they say
"""
