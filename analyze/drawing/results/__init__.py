"""The figures of one command each.

intervals      panels of named rows
signed         layer x head maps of signed values
verification   a run compared with published figures
comparison     two runs side by side
diagnosis      how a model fails, and what the image brings
prompts        wordings of the same questions
maps           where heads look
generated      where heads look while the model writes
prune          what cutting heads or layers costs
"""
