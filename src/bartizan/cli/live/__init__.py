"""What `bartizan watch` is made of. Only `app` and `asking` need textual, which is an extra.

look      what a broker told at one moment, and what happened between two of them: rates
source    asks a broker, here or elsewhere, and has it act
rows      what is shown of it: columns, rows, lines
acts      what can be done about a row, by which key, after which question
asking    the dialogs: what is about to be done, to whom, and why
app       the view
"""
