"""The score of a task, such as MME's.

accuracy    questions -> right or wrong -> scores by category and in total
answers     accuracy and bias
intervals   how far a score would be from that on other images
images      the score as a sum over images
"""
