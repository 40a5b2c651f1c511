"""Text -> token ids and the role of each token.

templates       LLaVA's conversation templates
chat_template   a checkpoint's own chat template
prompt          prompts of one model and one template
"""
