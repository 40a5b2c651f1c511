"""What commands print.

terminal    tables as text that fits the terminal
"""
