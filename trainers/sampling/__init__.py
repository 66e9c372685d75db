"""Preference data from a model's own answers: ``python -m trainers.sampling``.

* ``rejection``: n answers to each prompt, rated; the best to learn from, pairs for DPO, all with their ratings
* ``online``: two answers of the policy, the better one chosen; mixed with given pairs where that is wanted
* ``bdhs``: a true answer, and what the model makes of it with the picture hidden
* ``steerlm``: rated answers as training records that tell the wanted ratings

All of them write the plain format of ``trainers.preferences``, which ``python -m trainers.run --data`` reads.
"""
