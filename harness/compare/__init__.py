"""Runs side by side: ``python -m harness.compare RUN [RUN …]``.

::

    __main__.py      the command line
    columns.py       which metrics a table has, and how their values are printed
    layouts.py       the main tables of three papers: their columns, order, units and decimals
    significance.py  the tests of a table, their correction, and what bold means
    table.py         runs, tests and footnotes as one table
    literature.py    published figures as rows of that table
    sheets.py        the table as texts: values, then differences from the baseline
    terminal.py, markdown.py, latex.py, html.py, spreadsheet.py   the formats
"""
