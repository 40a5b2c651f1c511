"""What the page says first.

sentence   which heads look most and matter most, and whether looking goes with mattering, in one sentence
links      heads in a text, as links that choose them
difference what differs between two runs, in one sentence and a picture
ranking    the highest heads as a table and as a picture, which need no script
"""
