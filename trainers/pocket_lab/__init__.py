"""The pocket laboratory: ``python -m trainers.pocket_lab`` trains and evaluates what three papers compare.

* ``plan``: which experiments there are, on which data
* ``work``: making data, training, evaluating; each step is kept and done once
* ``jobs``: the processes that do them
* ``compare``: differences between experiments over pictures and seeds
* ``claims``: what the papers claim, and the rule by which it is called replicated or not
* ``results``: values and verdicts of what is finished
* ``page``, ``plots``: what a person reads
"""
