"""Artefacts and the recipes that make them; no library code.

scenes.py       the demo's pictures and questions, from a seed
demo_model.py   the tiny LLaVA before training, and its tokenizer
lessons.py      what it is taught: labels of patches, questions packed behind one prefix
sight.py        it learns to see
train_demo.py   it learns to answer; writes demo/tiny-llava

demo/           what these made; `make demo` runs on it
MME/            MME, once `make data` has fetched it; ignored by git
readme/         the README's pictures
"""
