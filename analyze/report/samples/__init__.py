"""Single samples in the page.

rows     what is said of each
choice   the images that are in the page, and the heads whose maps are
maps     these maps, as bytes
values   the values of heads for single samples
steps    generated texts as they are read: tokens, masses and maps of steps
texts    these, as the page has them
second   the same of a second run
folder   the pieces of a page that is a folder
pieces   all of it put together
"""
