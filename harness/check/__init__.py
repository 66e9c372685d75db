"""The regression gate: a run against what was accepted before.

baseline       the file of accepted numbers: reading it, and writing a new one
rules          what is allowed to happen to each metric
gate           the verdict: coverage, worsening, what a test can see
comparable     whether run and baseline measured the same, and what is different around them
changes        what accepting a run would change in the baseline
sentences      reasons, as a person reads them
pages          the terminal's table and the Markdown summary
junit          the same as JUnit XML
"""
