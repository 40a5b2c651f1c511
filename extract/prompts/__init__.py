"""Text -> token ids and the role of each token.

conversation_templates   those of LLaVA
chat_template   a checkpoint's own chat template
wordings        the wordings in which each question is asked
prompt_builder  a question -> token ids and roles, by one template
given           texts that a model is given, instead of writing its own
show_prompt     prompts token by token, for people
prompt_format   what prompts for a checkpoint are made of: tokenizer, templates, image tokens
"""
