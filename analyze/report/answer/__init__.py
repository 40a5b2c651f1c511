"""What the page says first.

sentence   which heads look most and matter most, and whether looking goes with mattering, in one sentence
ranking    the highest heads as a table and as a picture, which need no script
"""
