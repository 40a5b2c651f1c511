"""Artefacts and the recipes that make them; no library code.

scenes, questions, hard_questions   the demo's pictures and what is asked about them, from a seed
choice_questions                    the same with options
demo_model                          a tiny LLaVA before training, and its tokenizer
training_examples                   what it is trained on: labels of patches, questions after one prefix
recipes, train_vision, train_demo   how the models are trained: tower and projector first, then answers
captions                            what is said of a scene, and the question file that asks for it
writing_examples, train_writer      how the model that writes is taught, from another one's weights
choice_examples, train_chooser      how the model that chooses is taught, from the same weights
evaluation, head_effects            what they answer, also if the question cannot see the image
model_card, writer_card, chooser_card, overview   the texts in demo/

demo/           what these made; `make demo` and `make tour` run on it
MME/            MME, once `make data` has fetched it; ignored by git
readme/         the README's pictures
"""
