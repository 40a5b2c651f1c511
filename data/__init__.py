"""Artefacts and the recipes that make them; no library code.

scenes.py              the demo's pictures and questions, from a seed
demo_model.py          the tiny LLaVA before training, and its tokenizer
training_examples.py   what it is trained on: labels of patches, questions packed behind one prefix
train_vision.py        the first stage: tower and projector
train_demo.py          the second stage: answers; writes demo/tiny-llava

demo/           what these made; `make demo` runs on it
MME/            MME, once `make data` has fetched it; ignored by git
readme/         the README's pictures
"""
