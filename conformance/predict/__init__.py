"""What devices that nobody has here would return; imports everything below run.

Programs are compiled ahead of time, and a GPU's are run by an emulator of its PTX.
"""
