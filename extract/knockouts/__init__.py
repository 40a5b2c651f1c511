"""Knock-outs: the model's answers with a part of it knocked out. Run by `python -m extract knock-out`.

settings       what can be asked
command        what it takes from a run
sets           which heads and layers are knocked out together
references     what heads put out on other images; which image takes another's place
passes         batches of images -> the rows of their questions
runner         the loop of a job: a run's samples through its model again
effects        the largest effects of a job, for the end of the command
"""
