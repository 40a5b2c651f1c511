"""What a user can ask for.

settings       settings as typed objects, read and checked
command_line   flags and commands, made from settings
shared         settings that commands of both stages have
headflow       the program that has all commands
"""
