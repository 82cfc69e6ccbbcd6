"""From predictions to numbers: overlap, topology, statistics over patients, and the checks that keep them honest.

Takes arrays and records and gives numbers; never imports torch or transformers.
"""
