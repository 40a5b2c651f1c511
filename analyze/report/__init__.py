"""`report`: a run, and its comparison with another one, as one page that needs nothing but a browser.

tallying     values of heads in, small tables out: means, intervals, histograms, highest samples; never rows
measures     what heads look at, add and matter for, as such tables
overview     what was run, its score, its distributions
answer/      what the page says first: one sentence, and the highest heads
samples/     samples: what is said of each, and which of their images and maps are in the page
writing      image mass by step, where the model writes
comparison   two runs, and the curves of `prune`
packing      arrays and texts in a form that a page can hold safely
charts       the charts, as Altair makes them
words        the texts of the page, in English and in Chinese
page         the sections put together, and the template filled
templates/   the page's HTML, its style and its script, which `make page` builds from
app/         the script's sources: TypeScript with Preact
"""
