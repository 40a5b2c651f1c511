"""The commands of `python -m analyze`: each has its settings and its work in a module, imported when it is called.

shared_settings   settings that several commands share
plots, summary, verify, compare, report, card   a command each
runs, legacy   validate, subset, merge; export-pt, import-pt
answers/       what a run answers: diagnose, image, prompts, answers
heads/         what its heads do: maps, mentions, prune, text, words
"""

from schemas.commands.command_line import Command

COMMANDS = {
    name: Command(help, f"analyze.commands.{target}", "analyze.results:run_and_present")
    for name, (help, target) in {
        "plots": ("draw all pictures of a run", "plots:draw_plots"),
        "summary": ("means, quantiles and scores, as tables and CSV", "summary:summarise_run"),
        "compare": ("compare two runs, or the distances of several; a verdict in words", "compare:compare_runs"),
        "diagnose": ("where and how a model fails; a verdict in words", "answers.diagnose:diagnose_run"),
        "image": ("what the answers owe to the image, from a run without it; a verdict", "answers.image:image_of_run"),
        "answers": ("write what a run answered as other tools' scorers read it", "answers.answers:write_answers"),
        "prompts": ("compare the wordings of a run; a recommendation in words", "answers.prompts:compare_wordings"),
        "prune": ("which heads or layers can be cut; sets to knock out, then a plan", "heads.prune:prune_run"),
        "maps": ("where in the image heads look: maps on images, heads that localise", "heads.maps:map_run"),
        "words": ("where heads look while the model writes, word by word; a verdict", "heads.words:observe_words"),
        "text": ("draw generated texts, each token shaded by image mass", "heads.text:draw_texts"),
        "mentions": ("what texts name, true or made up, and where heads look then", "heads.mentions:find_in_run"),
        "report": ("one page for a browser: a run, and its comparison with another one", "report:report_run"),
        "verify": ("compare a run with published figures; exit code 0 if it matches", "verify:verify_run"),
        "validate": ("say what is wrong with a run; exit code 1 if anything is", "runs:validate_run"),
        "subset": ("write some samples of a run as a run; each keeps all of its rows", "runs:subset_run"),
        "merge": ("write the samples of several runs of the same settings as one run", "runs:merge_runs"),
        "card": ("write a copy of a run with a dataset card, for the Hugging Face hub", "card:write_card"),
        "export-pt": ("write the records of the earlier tool, a .pt", "legacy:export_pt"),
        "import-pt": ("make a run from records of the earlier tool", "legacy:import_pt"),
    }.items()
}
