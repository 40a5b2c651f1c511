"""What the answers of a run owe to the image: the run beside one on counterfactual images.

pairs      the questions of both runs, one row each
gain       the gain of the image in lead, accuracy and score; what is answered from the prompt without the image
content    which heads look elsewhere where the image shows something else
failures   wrong answers by their cause: the prompt, a misread image, an ignored one
"""
